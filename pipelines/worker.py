"""Claims queued runs, keeps to the limit of parallel runs, and gives a freed slot to the next run at once.

What one run does is `runner`'s business; what is due when, `timetable`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from pipelines.errors import StoreError
from pipelines.model import Run, RunState, utcnow
from pipelines.runner import LiveRun, Runner
from pipelines.store import claims, runs
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)

POLL = timedelta(seconds=1)
"""How soon a run that another process queued is noticed."""

AGAIN_S = 5
"""How soon claiming is tried again after the store refused, in seconds."""

SLICE = 10
"""So many runs are begun between two turns of the event loop, which must answer others meanwhile."""

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
        owner: str,
        started: Callable[[Run], None],
        ended: Callable[[Run], None],
        only: frozenset[int] | None = None,
        pools: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`slots()` runs at once at most; `only` restricts the worker to these run ids (None: all).

        `pools` gives the limits of pools by name. `started` is called with each run whose attempt begins, `ended` with
        each as it stands after an attempt; they must not raise or block.
        """
        self.live: dict[int, LiveRun] = {}
        self._writer = writer
        self._reader = reader
        self._runner = runner
        self._slots = slots
        self._owner = owner
        self._only = only
        self._pools = pools
        self._started = started
        self._ended = ended
        self._clock = clock
        self._wake = asyncio.Event()
        self._stopping = False
        self._claims_no_more = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0

    def wake(self) -> None:
        """Look for queued runs now; call it after queueing one."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and execute until `drain` is called. While the store refuses, nothing new is begun."""
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
        claim = runs.Claim(free, self._owner, self._clock(), self._only, self._pools())
        taken = await self._writer.call(claims.take, claim)
        for number, (run, values) in enumerate(taken, start=1):
            self._begin(LiveRun(run, values))
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return len(taken)

    def _begin(self, live: LiveRun) -> None:
        run = live.run
        self.live[run.id] = live
        self._busy += 1
        task = asyncio.create_task(self._attempt(live), name=f"run {run.id} of {run.pipeline}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._started(run)

    async def _attempt(self, live: LiveRun) -> None:
        try:
            ended = await self._runner.attempt(live, self._executed)
        except Exception:  # the task's outermost frame: a fault of ours must not end the service
            logger.exception("run %s could not be recorded; it is taken up at the next start", live.run.id)
        else:
            if ended is not None:
                self._wake_for(ended)
                self._ended(ended)
        finally:
            del self.live[live.run.id]

    def _executed(self) -> None:
        """A slot is free: the next run is claimed while the end of this one is recorded, in the same transaction."""
        self._busy -= 1
        self._wake.set()

    def _wake_for(self, run: Run) -> None:
        if run.not_before is not None and run.state is RunState.WAITING_RETRY:
            delay_s = (run.not_before - self._clock()).total_seconds()
            asyncio.get_running_loop().call_later(max(delay_s, 0.0), self.wake)

    async def _rest(self) -> None:
        """Wait for a wake-up, at most until the next attempt is due or another process may have queued a run."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL.total_seconds()):
                await self._wake.wait()

    async def drain(self, grace_s: float) -> None:
        """Claim no more; give what runs `grace_s` seconds, then cancel it and wait until that is recorded."""
        await self._stop_claiming()
        if self._tasks:
            logger.info("waiting up to %g s for %d running pipeline(s)", grace_s, len(self._tasks))
            await asyncio.wait(self._tasks, timeout=grace_s)
        for live in self.live.values():
            live.request_cancel(SERVICE_STOPPED)
        await self._settled()

    async def kill(self) -> None:
        """Stop what runs at once; each is recorded as cancelled."""
        await self._stop_claiming()
        for task in self._tasks:
            task.cancel()
        await self._settled()

    async def _stop_claiming(self) -> None:
        """Claim no more; what a claim that is under way brings is begun, as it is recorded as running."""
        self._stopping = True
        self._wake.set()
        await self._claims_no_more.wait()

    async def _settled(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
