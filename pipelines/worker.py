"""Claims queued runs, keeps to the limit of parallel runs, and gives a freed slot to the next run at once.

What one run does is `runner`'s business; what is due when, `timetable`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from pipelines import elapsed
from pipelines.errors import StoreError
from pipelines.execution import Lease
from pipelines.leases import Leases
from pipelines.live_run import LiveRun
from pipelines.model import JSON, Run, RunState, utcnow
from pipelines.runner import Runner
from pipelines.store import claims
from pipelines.store.runs import Claim
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=1)
"""How soon a run that another process queued is noticed."""

AGAIN_S = 5
"""How soon claiming is tried again after the store refused, in seconds."""

SLICE = 10
"""So many runs are begun between two turns of the event loop, which must answer others meanwhile."""

RECORDED_S = 10.0
"""So long, in seconds, a process that stops tries to record how its runs ended: whoever is there later takes them up.
"""

SERVICE_STOPPED = "the service was stopped"


class Worker:
    """Runs what is queued. `live` holds the runs that are being executed here, by run id."""

    def __init__(
        self,
        *,
        writer: Writer,
        reader: Reader,
        runner: Runner,
        slots: Callable[[], int],
        started: Callable[[Run], None],
        ended: Callable[[Run], None],
        wish: Callable[[], Claim],
        leases: Leases,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`slots()` runs at once at most; `wish` gives a claim with what holds for all, `leases` how long they last.

        `started` is called with each run whose attempt begins, `ended` with each as it stands after an attempt; they
        must not raise or block.
        """
        self.live: dict[int, LiveRun] = {}
        self._writer = writer
        self._reader = reader
        self._runner = runner
        self._slots = slots
        self._wish = wish
        self._leases = leases
        self._started = started
        self._ended = ended
        self._clock = clock
        self._wake = asyncio.Event()
        self._stopping = False
        self._claims_no_more = asyncio.Event()
        self._claiming = False
        self._tasks: dict[asyncio.Task[None], LiveRun] = {}
        self._busy = 0
        self._taking = 0

    @property
    def held(self) -> Collection[LiveRun]:
        """All attempts that go on here, those that were given up too, until they have ended."""
        return self._tasks.values()

    def wake(self) -> None:
        """Look for queued runs now; call it after queueing one."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and execute until `drain` is called. While the store refuses, nothing new is begun."""
        self._claiming = True
        try:
            while not self._stopping:
                self._wake.clear()
                slots = self._slots()
                free = slots - self._busy
                try:
                    claimed = await self._claim(free)
                except StoreError as error:
                    logger.error("no run can be begun: %s; tried again in %d s", error, AGAIN_S)
                    await asyncio.sleep(AGAIN_S)
                    continue
                if claimed < free or self._busy >= slots:
                    await self._rest()
        finally:
            self._claims_no_more.set()

    async def _claim(self, free: int) -> int:
        """Begin up to `free` runs, and return how many; fewer means that no more may start now."""
        if free <= 0:
            return 0
        taken = await self._taken(replace(self._wish(), limit=free))
        for number, each in enumerate(taken, start=1):
            self._begin(*each)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return len(taken)

    async def take(self, run_id: int) -> bool:
        """Execute one run to the end of its attempt, if it may start now; tell whether it did.

        Raises:
            StoreError: the store refuses; the run is as it was.
        """
        self._taking += 1
        try:
            if self._stopping:
                return False
            taken = await self._taken(replace(self._wish(), limit=1, only=frozenset({run_id})))
            tasks = [self._begin(*each) for each in taken]
        finally:
            self._taking -= 1
            self._wake.set()
        for task in tasks:
            await asyncio.wait({task})
        return bool(tasks)

    async def _taken(self, wish: Claim) -> list[tuple[Run, dict[str, JSON], float]]:
        """Claim runs. Returns each with when its lease was asked for: anew, where the claim waited long."""
        claimed_s = elapsed.now_s()
        taken = await self._writer.call(claims.take, wish)
        if not taken or not self._leases.due(claimed_s):
            return [(*each, claimed_s) for each in taken]
        asked_s = elapsed.now_s()
        kept = await self._leases.renew(self._writer, [run for run, _ in taken])
        return [
            (*each, asked_s if lease.renewed else claimed_s)
            for each, lease in zip(taken, kept, strict=True)
            if lease is not None
        ]

    def _begin(self, run: Run, values: Mapping[str, JSON], asked_s: float) -> asyncio.Task[None]:
        live = LiveRun(run, values, lease=Lease(self._leases.until_s(asked_s)))
        if run.cancel_wish is not None:
            live.request_cancel(run.cancel_wish)
        self.live[run.id] = live
        self._busy += 1
        task = asyncio.create_task(self._attempt(live), name=f"run {run.id} of {run.pipeline}")
        self._tasks[task] = live
        task.add_done_callback(self._tasks.pop)
        self._started(run)
        return task

    def give_up(self, live: LiveRun, why: str) -> None:
        """Kill the chain of a run that may no longer be ours; nothing of it is recorded."""
        live.lost = live.lost or why
        for task, mine in self._tasks.items():
            if mine is live:
                task.cancel()

    async def _attempt(self, live: LiveRun) -> None:
        try:
            ended = await self._runner.attempt(live, self._executed)
        except StoreError as error:
            logger.error(
                "run %s could not be recorded: %s; it is taken up by whoever is there later", live.run.id, error
            )
        except Exception:  # the task's outermost frame: a fault of ours must not end the service
            logger.exception("run %s could not be recorded; it is taken up at the next start", live.run.id)
        else:
            if ended is not None:
                self._wake_for(ended)
                self._ended(ended)
        finally:
            if self.live.get(live.run.id) is live:
                del self.live[live.run.id]

    def _executed(self) -> None:
        """A slot is free: the next run is claimed while the end of this one is recorded, in the same transaction."""
        self._busy -= 1
        self._wake.set()

    def _wake_for(self, run: Run) -> None:
        if run.state is RunState.QUEUED:
            self.wake()
        if run.not_before is not None and run.state is RunState.WAITING_RETRY:
            delay_s = (run.not_before - self._clock()).total_seconds()
            asyncio.get_running_loop().call_later(max(delay_s, 0.0), self.wake)

    async def _rest(self) -> None:
        """Wait for a wake-up, at most until the next attempt is due or another process may have queued a run."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL.total_seconds()):
                await self._wake.wait()

    async def drain(self, grace_s: float, *, hand_back: bool = False) -> None:
        """Claim no more; give what runs `grace_s` seconds, then cancel it and wait until that is recorded.

        With `hand_back`, others are given what was cancelled, to run it again.
        """
        await self._stop_claiming()
        if self._tasks:
            logger.info("waiting up to %g s for %d running pipeline(s)", grace_s, len(self._tasks))
            await asyncio.wait(self._tasks, timeout=grace_s)
        for live in self.live.values():
            live.request_stop(SERVICE_STOPPED, hand_back=hand_back)
        await self._settled()

    async def kill(self, *, hand_back: bool = False) -> None:
        """Stop what runs at once; each is recorded as cancelled, or, with `hand_back`, given to others."""
        await self._stop_claiming()
        for task, live in self._tasks.items():
            live.request_stop(SERVICE_STOPPED, hand_back=hand_back)
            task.cancel()
        await self._settled()

    async def _stop_claiming(self) -> None:
        """Claim no more; what a claim that is under way brings is begun, as it is recorded as running."""
        self._stopping = True
        self._writer.hurry()
        self._wake.set()
        if self._claiming:
            await self._claims_no_more.wait()
        while self._taking:
            self._wake.clear()
            await self._wake.wait()

    async def _settled(self) -> None:
        """Wait until all that was begun is over and recorded, as far as the store lets it be."""
        self._runner.hurry(RECORDED_S)
        while self._tasks:
            await asyncio.wait(self._tasks)
