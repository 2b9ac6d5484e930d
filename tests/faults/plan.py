"""A seeded plan of faults, carried out on the real service: lives of it, in each of which several things go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.bot.whole import CREATE, Whole, whole_of
from tests.fake_discord import FakeDiscord, faults
from tests.faults import machine
from tests.faults.ledger import Figures, Ledger
from tests.faults.shop import furnish
from tests.project import ROOT, Project

READY = "ready; Ctrl-C stops"
IN_USE = "is in use by"
WORKING = ("tick", "long", "once", "post-0")
DISCORD = (
    faults.rate_limited(0.05),
    faults.status(500),
    faults.status(503, after=True),
    faults.dropped(),
    faults.dropped(after=True),
    faults.hung(),
    faults.hung(after=True),
)

Deed = Callable[[], Awaitable[bool]]
"""Does one thing wrong; True when the service's life is over with it."""


class Plan:
    """Breaks one project's service again and again, then lets it stop cleanly and checks the books."""

    def __init__(self, whole: Whole, seed: int) -> None:
        """All that chance decides comes from `seed`."""
        self.figures = Figures()
        self._whole, self._dice = whole, random.Random(seed)
        self._channels = furnish(whole)
        self._clock = machine.SteppedClock(whole.project.folder)
        self._store = whole.project.folder / "store.db"
        self._asking: set[asyncio.Task[None]] = set()
        self._deeds: dict[str, tuple[int, Deed]] = {
            "kill -9 of the service": (10, self._kill),
            "power loss": (5, self._power_loss),
            "kill -9 of a worker": (14, self._kill_worker),
            "service frozen": (6, lambda: self._freeze([self._pid])),
            "worker frozen": (6, self._freeze_worker),
            "memory of a worker exhausted": (5, self._no_memory),
            "store locked": (8, self._lock),
            "disk full": (8, self._disk_full),
            "second start": (3, self._second_start),
            "Discord call failed": (14, self._discord),
            "gateway dropped": (4, self._gateway),
            "clock forward": (4 if self._clock.can_step else 0, lambda: self._step(self._dice.randint(2, 90))),
            "clock back": (3 if self._clock.can_step else 0, lambda: self._step(-self._dice.randint(1, 3))),
        }

    async def carry_out(self, count: int) -> Figures:
        """Let `count` things go wrong, and return the figures, broken promises among them."""
        done = 0
        while done < count:
            done += await self._life(min(count - done, self._dice.randint(4, 12)))
        async with self._started(early=False):
            await self._in_peace()
        return self.figures

    async def _life(self, most: int) -> int:
        """One start of the service and up to `most` faults; one that outlives them ends in peace. Returns how many."""
        async with self._started(early=self._dice.random() < 0.12) as came_up:
            if not came_up:
                return 1
            for number in range(1, most + 1):
                await asyncio.sleep(self._dice.uniform(0.0, 0.3))  # the moment of a fault is part of the plan
                self._ask_for_a_run()
                if await self._fault():
                    return number
            await self._in_peace()
        return most

    @asynccontextmanager
    async def _started(self, *, early: bool) -> AsyncIterator[bool]:
        """Start the service; with `early` it is killed on the way, and this yields False."""
        self.figures.starts += 1
        with self._whole.service(**self._clock.environment):
            try:
                if early:
                    await asyncio.sleep(self._dice.uniform(0.1, 1.5))
                    self.figures.faults["kill -9 during the start"] += 1
                    await self._kill()
                else:
                    await self._whole.said(READY)
                yield not early
            finally:
                await asyncio.gather(*self._asking, return_exceptions=True)
                for worker in machine.family(self._pid):
                    worker.kill()

    async def _fault(self) -> bool:
        names = list(self._deeds)
        (name,) = self._dice.choices(names, [weight for weight, _ in self._deeds.values()])
        over = await self._deeds[name][1]()
        self.figures.faults[name] += 1
        if not over and self._whole.now.process.poll() is not None:
            self.figures.broken.append(f"the service ended by itself after: {name}\n{self._whole.now.said[-2000:]}")
            return True
        return over

    async def _in_peace(self) -> None:
        """Each kind of pipeline succeeds anew, all is told, the service stops when asked to, and the books agree."""
        whole = self._whole
        whole.fake.faults.clear()
        whole.fake.faults.release()
        since = whole.rows("SELECT coalesce(max(id), 0) FROM runs")[0][0]
        await whole.until(lambda: set(WORKING) <= self._succeeded(since), f"a success of each of {WORKING}")
        stopped_at = self._clock.now()
        await whole.until(lambda: not whole.waiting(), "an empty outbox")
        if (code := await whole.stop()) != 0:
            self.figures.broken.append(f"the service stopped with exit code {code}\n{whole.now.said[-2000:]}")
        figures = Figures()
        if whole.waiting():  # what ended during the stop is told by the next start
            with whole.service(**self._clock.environment):
                await whole.said(READY)
                await whole.until(lambda: not whole.waiting(), "an empty outbox at the next start")
                await whole.stop()
        Ledger(whole, self._channels, stopped_at, figures).check()
        self.figures.broken += figures.broken
        for name in ("occurrences", "messages", "runs"):  # what holds now, not the sum over all peaces
            setattr(self.figures, name, getattr(figures, name))

    def _succeeded(self, since: int) -> set[str]:
        rows = self._whole.rows("SELECT DISTINCT pipeline FROM runs WHERE id > ? AND state = 'succeeded'", since)
        return {name for (name,) in rows}

    # ------------------------------------------------------------ faults

    @property
    def _pid(self) -> int:
        return self._whole.now.process.pid

    async def _kill(self) -> bool:
        await self._whole.kill()
        return True

    async def _power_loss(self) -> bool:
        aside = Path(f"{self._store}.aside")
        self._whole.now.process.send_signal(signal.SIGSTOP)
        machine.image(self._store, aside, self._dice)
        await self._whole.kill()
        machine.boot_from(aside, self._store)
        return True

    async def _kill_worker(self) -> bool:
        if workers := machine.family(self._pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                self._dice.choice(workers).kill()
        return False

    async def _freeze_worker(self) -> bool:
        return await self._freeze([each.pid for each in machine.family(self._pid)][:1])

    async def _freeze(self, pids: list[int]) -> bool:
        processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in processes:
                process.suspend()
            await asyncio.sleep(self._dice.uniform(0.1, 1.5))
            for process in processes:
                process.resume()
        return False

    async def _no_memory(self) -> bool:
        workers = [each.pid for each in machine.family(self._pid)]
        for pid in workers:
            machine.take_memory(pid)
        await asyncio.sleep(self._dice.uniform(0.1, 1.5))
        for pid in workers:
            machine.give_memory(pid)
        return False

    async def _lock(self) -> bool:
        connection = await asyncio.to_thread(machine.lock_store, self._store)
        await asyncio.sleep(self._dice.uniform(0.1, 2.0))
        connection.close()
        return False

    async def _disk_full(self) -> bool:
        machine.fill_disk(self._pid)
        await asyncio.sleep(self._dice.uniform(0.1, 1.5))
        machine.free_disk(self._pid)
        return False

    async def _second_start(self) -> bool:
        """Start it a second time on the same store: it must be refused in words."""
        project = self._whole.project
        second = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "main_scheduler.py"),
            cwd=project.folder,
            env=project.environment | self._clock.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await second.communicate()
        if second.returncode != 1 or IN_USE not in said.decode():
            self.figures.broken.append(f"a second start: exit code {second.returncode}: {said.decode()[-500:]}")
        return False

    async def _discord(self) -> bool:
        fault = self._dice.choice(DISCORD)
        route = self._dice.choice(["*", CREATE])
        self._whole.fake.faults.next(fault, route=route, times=self._dice.randint(1, 4))
        if fault.kind == "hang":
            asyncio.get_running_loop().call_later(0.7, self._whole.fake.faults.release)
        return False

    async def _gateway(self) -> bool:
        self._whole.fake.gateway.drop()
        return False

    async def _step(self, seconds: int) -> bool:
        self._clock.step(seconds)
        return False

    # ------------------------------------------------------------ people

    def _ask_for_a_run(self) -> None:
        """Have somebody type /run now and then, whatever goes on."""
        if self._whole.fake.gateway.connected and self._dice.random() < 0.2:
            self._asking.add(task := asyncio.create_task(self._run()))
            task.add_done_callback(self._asking.discard)

    async def _run(self) -> None:
        with contextlib.suppress(TimeoutError, LookupError, ConnectionError):
            fake: Any = self._whole.fake
            asked = await fake.command(self._whole.olga, "run", channel=self._whole.channel, pipeline="tick")
            await asked.answered(timeout_s=3)


async def carry_out(folder: Path, *, seed: int, count: int) -> Figures:
    """Carry out one plan in an empty folder, over a fake Discord of its own."""
    fake = await FakeDiscord.start()
    try:
        return await Plan(whole_of(Project(folder), fake), seed).carry_out(count)
    finally:
        await fake.stop()
