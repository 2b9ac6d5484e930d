"""Keeps the leases of the runs that are executed here, and gives up those that may no longer be ours.

A lease counts as held until 0.8 of its length after its last renewal was *asked for*: whether the database took longer
to answer, or this process slept, makes no difference. What looks at that touches no database, so that a renewal which
hangs on a dead connection holds nothing up; in a worker process the chain's own watchdog does the same
(`execution.watchdog`). A store that this process has for itself takes no run away, so there nothing is given up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from pipelines import elapsed
from pipelines.errors import StoreError
from pipelines.live_run import LiveRun
from pipelines.model import Run
from pipelines.store import leases
from pipelines.store.leases import Kept, Renew
from pipelines.store.writer import Writer

logger = logging.getLogger(__name__)

CERTAIN = 0.8
"""This share of a lease counts as certain."""
RENEWALS = 3
"""So often a lease is renewed within its length."""
LOOKS = 40
"""So often within a lease's length it is looked for leases that are over."""
LOST = "its lease was lost: another process may execute it by now"


class Leases:
    """The leases of one process. `held` are the runs that are executed here; `lost` is called with each given up."""

    def __init__(
        self,
        writer: Writer,
        *,
        length: timedelta,
        exclusive: bool,
        held: Callable[[], Iterable[LiveRun]],
        lost: Callable[[LiveRun, str], None],
        clock_s: Callable[[], float] = elapsed.now_s,
    ) -> None:
        """Leases are of this `length`; with `exclusive` the store is this process's alone. `clock_s` counts seconds."""
        self.length = length
        self._writer, self._exclusive, self._held, self._lost = writer, exclusive, held, lost
        self._clock_s = clock_s

    def until_s(self, asked_s: float) -> float | None:
        """Return until when, by the clock, a lease is certain that was asked for at `asked_s`; None: for ever."""
        return None if self._exclusive else asked_s + CERTAIN * self.length.total_seconds()

    async def keep(self) -> None:
        """Renew the leases of what is executed here, for ever.

        They wait for no other write: one that waits for a process which froze with a lock must not cost all others
        their runs.
        """
        async with self._writer.beside() as writer:
            while True:
                await asyncio.sleep(self.length.total_seconds() / RENEWALS)
                try:
                    await self._renew(writer, list(self._held()))
                except StoreError as error:
                    logger.error("leases cannot be renewed: %s", error)

    async def _renew(self, writer: Writer, held: list[LiveRun]) -> None:
        if not held:
            return
        asked_s = self._clock_s()
        for live, kept in zip(held, await self.renew(writer, [each.run for each in held]), strict=True):
            self._renewed(live, kept, asked_s)

    async def renew(self, writer: Writer, runs: Sequence[Run]) -> list[Kept | None]:
        """Renew the leases of these runs' attempts, which this process holds; None for each that is lost.

        Raises:
            StoreError: the store refuses.
        """
        wishes = [Renew(each.id, each.attempt, self.length) for each in runs]
        return await writer.call(leases.renew_lists, wishes, durable=False)

    def due(self, asked_s: float) -> bool:
        """Say whether a lease that was asked for then should have been renewed by now."""
        return not self._exclusive and self._clock_s() - asked_s > self.length.total_seconds() / RENEWALS

    def _renewed(self, live: LiveRun, kept: Kept | None, asked_s: float) -> None:
        if kept is None:
            if not live.over:
                self._lost(live, LOST)
            return
        if kept.renewed and (until_s := self.until_s(asked_s)) is not None:
            live.lease.renew(until_s)
        if kept.cancel_wish is not None:
            live.request_cancel(kept.cancel_wish)

    async def watch(self) -> None:
        """Give up runs whose lease may be over, for ever. It asks nobody."""
        if self._exclusive:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self.length.total_seconds() / LOOKS)
            now_s = self._clock_s()
            for live in list(self._held()):
                if live.lease.until_s is not None and live.lease.until_s <= now_s and not live.over:
                    self._lost(live, "its lease could not be renewed in time")
