"""What a process does about changes that others made in its store: the terminal, other schedulers, workers.

Signals tell of changes as they happen. Should one be lost, as while the database was away for long, what is known of
runs that are not over is compared with the store now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from pipelines.cancels import Cancels
from pipelines.errors import StoreError
from pipelines.jobs import Jobs
from pipelines.model import Run
from pipelines.overview import LIVE_LOADED, Overview
from pipelines.reads import Reads
from pipelines.reload import Reload
from pipelines.signals import Handlers
from pipelines.store.signals import Signal, SignalKind

EVERY_S = 60.0
"""So often, in seconds, the runs that are not over are compared with the store."""
AT_ONCE = 1_000
"""So many runs are read in one question."""

logger = logging.getLogger(__name__)


class Here(Protocol):
    """What is needed of the engine that takes the changes up."""

    jobs: Jobs
    overview: Overview
    reads: Reads
    reload: Reload

    def news(self, runs: Sequence[Run]) -> None:
        """Take up how runs stand now that other processes queued, began or ended."""

    def people_spoke(self, *, send_again: bool = False) -> None:
        """Take note that people decided something."""


class Elsewhere:
    """The handlers of signals of one process, and its slow look at what they may have missed."""

    def __init__(self, engine: Here, cancels: Cancels) -> None:
        """Act on `engine`."""
        self._engine, self._cancels = engine, cancels

    @property
    def handlers(self) -> Handlers:
        """Who handles which signals. Those of jobs come first: what a run means for its job depends on the job."""
        return {
            SignalKind.JOB: self._engine.jobs.take_up,
            SignalKind.RUN: self._runs,
            SignalKind.CANCEL: self._cancels.take_up,
            SignalKind.PEOPLE: self._people,
            SignalKind.RELOAD: self._engine.reload.take_up,
        }

    async def keep_up(self) -> None:
        """Compare with the store at once and then every minute, for ever: a start begins with what runs elsewhere."""
        while True:
            try:
                await self.compare()
            except StoreError as error:
                logger.debug("runs cannot be compared with the store: %s", error)
            await asyncio.sleep(EVERY_S)

    async def compare(self) -> None:
        """Take up how all runs stand that are not over, here or in the store.

        Raises:
            StoreError: the database refused.
        """
        live = await self._engine.reads.live(LIVE_LOADED)
        unsure = {run.id for run in self._engine.overview.live_runs()} - {run.id for run in live}
        self._engine.news(live)
        await self._take_up(sorted(unsure))

    async def _runs(self, signals: Sequence[Signal]) -> None:
        """Follow runs that were queued, began or ended elsewhere; of each only how it stands now is read."""
        await self._take_up(list(dict.fromkeys(int(signal.subject) for signal in signals)))

    async def _take_up(self, ids: Sequence[int]) -> None:
        for first in range(0, len(ids), AT_ONCE):
            self._engine.news(await self._engine.reads.runs_of(ids[first : first + AT_ONCE]))

    async def _people(self, signals: Sequence[Signal]) -> None:
        self._engine.people_spoke(send_again=any(signal.detail for signal in signals))
