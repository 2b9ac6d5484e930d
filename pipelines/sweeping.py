"""Takes up, again and again, the runs whose process died, and those that nobody can execute as they stand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

from pipelines.errors import StoreError
from pipelines.model import Run, RunState
from pipelines.store import history, leases, processes
from pipelines.store.leases import Sweep, Swept
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)

SOONEST_S, LATEST_S = 0.3, 5.0
"""Between two sweeps lies a sixth of a lease, but no less and no more than so many seconds."""
AGAIN_S = 10.0
"""So long, in seconds, after the store refused: those who hold runs renew their leases and record ends first."""


class Sweeping:
    """Sweeps for one process. `taken_up` is called with the runs, as they stand then.

    `dead` gives the processes that are known to be gone before their leases are over; `more` is done with each sweep.
    """

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        *,
        exclusive: bool,
        taken_up: Callable[[Sequence[Run]], None],
        dead: Callable[[], Awaitable[frozenset[str]]],
        more: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], datetime],
    ) -> None:
        """With `exclusive` the store is this process's alone, so that nobody else can hold a run."""
        self._writer, self._reader, self._clock = writer, reader, clock
        self._exclusive, self._taken_up, self._dead, self._more = exclusive, taken_up, dead, more

    async def start(self) -> None:
        """Take up at once what an earlier process left behind."""
        await self._sweep(Sweep(self._clock(), exclusive=self._exclusive, dead=await self._dead()))

    async def keep(self, lease: timedelta) -> None:
        """Sweep for ever, in step with the length of a lease; with `exclusive` there is nobody who could be gone."""
        if self._exclusive:
            await asyncio.Event().wait()
        pause_s = min(max(lease.total_seconds() / 6, SOONEST_S), LATEST_S)
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self._sweep(Sweep(self._clock(), dead=await self._dead()))
                if self._more is not None:
                    await self._more()
            except StoreError as error:
                logger.error("runs of dead processes cannot be taken up: %s; tried again in %g s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)

    async def _sweep(self, look: Sweep) -> None:
        swept = await self._writer.call(leases.sweep, look)
        for process in look.dead:
            self._writer.post(processes.leave, process)
        if not swept:
            return
        again = sum(each.state is RunState.QUEUED for each in swept)
        logger.warning("%s died under %d run(s): %d tried again", _owners(swept), len(swept), again)
        self._taken_up(await self._reader.read(history.of_ids, [each.run_id for each in swept]))


def _owners(swept: Sequence[Swept]) -> str:
    names = sorted({each.owner for each in swept if each.owner})
    return ", ".join(names) or "the service"
