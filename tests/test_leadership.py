"""Leadership: at most one process leads at any instant, its duties begin and end in turn, and who lost it stops."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import StoreError
from pipelines.leadership import Leadership
from pipelines.leading import Leading

LIFE_S = 10.0
CERTAIN_S = 8.0


class World:
    """A server that gives one key a time to live, and the time; nothing moves by itself."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.owner: FakeLock | None = None
        self.until = -math.inf

    def free(self) -> bool:
        return self.owner is None or self.now >= self.until


class FakeLock:
    """A lock in that world. What it would do every now and then it does in `step`, unless its process is frozen."""

    kind = "fake"

    def __init__(self, world: World, process: str = "one") -> None:
        self.world, self.process = world, process
        self.frozen = False
        self.broken: Exception | None = None
        self.sure_until = -math.inf
        self.released = 0
        self._turn = asyncio.Event()

    def step(self) -> None:
        self._turn.set()

    async def _next(self) -> None:
        """Wait for the test's next step in which this process runs."""
        while True:
            await self._turn.wait()
            self._turn.clear()
            if not self.frozen:
                return

    async def acquire(self) -> None:
        while True:
            await self._next()
            if self.broken is not None:
                raise self.broken
            if self.world.free():
                self.world.owner, self.world.until = self, self.world.now + LIFE_S
                self.sure_until = self.world.now + CERTAIN_S
                return

    async def hold(self) -> str:
        while True:
            await self._next()
            late = self.world.now >= self.sure_until
            if late or self.world.owner is not self or self.world.free():
                self.sure_until = -math.inf
                return "stood still" if late else "lost"
            self.world.until = self.world.now + LIFE_S
            self.sure_until = self.world.now + CERTAIN_S

    async def release(self) -> None:
        self.released += 1
        self.sure_until = -math.inf
        if self.world.owner is self:
            self.world.owner = None

    async def holder(self) -> str | None:
        return None if self.world.free() or self.world.owner is None else self.world.owner.process


class Process:
    """One that competes. `did` is what became of it, in order; its duties count as going on between begin and end."""

    def __init__(self, world: World, name: str = "one") -> None:
        self.lock = FakeLock(world, name)
        self.leadership = Leadership(self.lock, lambda: world.now, breath_s=0)
        self.did: list[str] = []
        self.told: list[bool] = []
        self.leadership.watch(self.told.append)
        self.task = asyncio.create_task(self.leadership.run(self._begin, self._end))

    async def _begin(self) -> None:
        self.did.append("begin")

    async def _end(self, why: str) -> None:
        self.did.append(f"end: {why}")

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


async def settle(*processes: Process) -> None:
    """Let all take a step, and what follows from it."""
    for process in processes:
        process.lock.step()
    for _ in range(30):
        await asyncio.sleep(0)


STEP = st.tuples(
    st.sampled_from(["pass", "pass", "freeze", "thaw"]),
    st.integers(0, 2),
    st.floats(0, 12, allow_nan=False),
)


@given(st.lists(STEP, max_size=25))
@settings(max_examples=60)
def test_at_most_one_leads(steps):
    """Whoever is frozen or let go on, and however time passes: never two lead, and each begin has its end."""
    asyncio.run(_compete(steps))


async def _compete(steps) -> None:
    world = World()
    processes = [Process(world, name) for name in ("one", "two", "three")]
    await settle(*processes)
    for what, which, seconds in steps:
        process = processes[which]
        if what == "pass":
            world.now += seconds
        else:
            process.lock.frozen = what == "freeze"
        _check(processes)
        await settle(*processes)
        _check(processes)
    for process in processes:
        await process.stop()
    assert [False] * 3 == [process.leadership.leads for process in processes]


def _check(processes) -> None:
    assert sum(each.leadership.leads for each in processes) <= 1
    for each in processes:
        kinds = [did.partition(":")[0] for did in each.did]
        assert kinds == (["begin", "end"] * len(kinds))[: len(kinds)]


async def test_without_a_lock_one_leads_always():
    """On a store of its own a process leads from the start, and begins its duties once."""
    alone = Leadership(None)
    began = asyncio.Event()
    told: list[bool] = []
    alone.watch(told.append)

    async def begin() -> None:
        began.set()

    async def end(why: str) -> None:
        raise AssertionError(why)

    assert (True, None, "none") == (alone.leads, alone.holder, alone.kind)
    running = asyncio.create_task(alone.run(begin, end))
    async with asyncio.timeout(5):
        await began.wait()
    running.cancel()
    await asyncio.wait({running})
    assert (True, [True]) == (alone.leads, told)


async def test_one_that_was_frozen_does_not_lead_when_it_wakes():
    """Before any of its tasks has run, the clock alone says that it leads no longer; then its duties end."""
    world = World()
    process = Process(world)
    await settle(process)
    assert process.leadership.leads
    world.now += CERTAIN_S
    assert (False, ["begin"]) == (process.leadership.leads, process.did)
    await settle(process)
    assert ["begin", "end: stood still"] == process.did[:2]
    await settle(process)
    assert (["begin", "end: stood still", "begin"], [True, False, True]) == (process.did, process.told)
    await process.stop()


async def test_those_who_wait_know_who_leads(monkeypatch):
    """A standby says which process leads, once it has looked; when it leads itself nobody else does."""
    monkeypatch.setattr("pipelines.leadership.BREATH_S", 0.001)
    world = World()
    first = Process(world, "host:1:a")
    await settle(first)
    second = Process(world, "host:2:b")
    async with asyncio.timeout(5):
        while second.leadership.holder is None:
            await asyncio.sleep(0.001)
    assert ("host:1:a", None) == (second.leadership.holder, first.leadership.holder)
    await first.stop()
    await settle(second)
    assert (True, None) == (second.leadership.leads, second.leadership.holder)
    await second.stop()


async def test_a_begin_that_takes_long_is_cut_short():
    """Who loses the lock while its duties begin does not wait for them: they are cancelled, and ended."""
    world = World()
    lock = FakeLock(world)
    leadership = Leadership(lock, lambda: world.now, breath_s=0)
    did: list[str] = []

    async def begin() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            did.append("cancelled")

    async def end(why: str) -> None:
        did.append(why)

    running = asyncio.create_task(leadership.run(begin, end))
    for _ in range(2):
        lock.step()
        await asyncio.sleep(0.01)
    world.owner = None
    lock.step()
    await asyncio.sleep(0.01)
    assert (["cancelled", "lost"], False) == (did, leadership.leads)
    running.cancel()
    await asyncio.wait({running})


@pytest.mark.parametrize("where", ["lock", "begin"])
async def test_what_goes_wrong_for_good_ends_it(where):
    """An error of the lock or of the duties ends the task, and the lock is given up: the service says why it stops."""
    world = World()
    lock = FakeLock(world)
    lock.broken = StoreError("no such place") if where == "lock" else None

    async def begin() -> None:
        raise StoreError("no such place")

    ended: list[str] = []

    async def end(why: str) -> None:
        ended.append(why)

    leadership = Leadership(lock, lambda: world.now, breath_s=0)
    running = asyncio.create_task(leadership.run(begin, end))
    await asyncio.sleep(0)
    lock.step()
    with pytest.raises(StoreError, match="no such place"):
        await asyncio.wait_for(running, 5)
    assert (False, True) == (leadership.leads, lock.released > 0)
    assert ([] if where == "lock" else ["it stops"]) == ended


async def test_cancelling_ends_the_duties_and_gives_the_lock_up():
    """Who leads and stops ends its duties first, then the next process has the lock at once."""
    world = World()
    process = Process(world)
    await settle(process)
    await process.stop()
    assert (["begin", "end: it stops"], True, False) == (process.did, world.free(), process.leadership.leads)


async def test_a_new_leader_waits_until_the_one_before_must_know():
    """It leads no sooner than the lock says that one who lost it may take to learn of that."""
    world = World()
    world.now = 0.0
    for notice_s, leads in ((0.0, True), (60.0, False)):
        lock = FakeLock(world)
        lock.notice_s = notice_s
        leadership = Leadership(lock, lambda: world.now)
        task = asyncio.create_task(leadership.run(nothing, nothing))
        for _ in range(10):
            lock.step()
            await asyncio.sleep(0)
        assert (leads, lock) == (leadership.leads, world.owner)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def nothing(*_: str) -> None:
    """Begin or end nothing."""


async def test_who_lost_the_lead_by_a_fault_can_retire():
    """A lock that can never be had is told by `failed`; retiring all the same lays everything down."""
    world = World()
    lock = FakeLock(world)
    lock.broken = StoreError("never")
    leading = Leading(Leadership(lock, lambda: world.now, breath_s=0))
    leading.compete()
    lock.step()
    with pytest.raises(StoreError, match="never"):
        await leading.failed()
    await leading.retire("the service stops")
