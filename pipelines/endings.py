"""Those who wait for a run to be over, and the runs that a service which died had left behind."""

from __future__ import annotations

import asyncio
import logging

from pipelines.errors import StoreError, UnknownName
from pipelines.model import Run
from pipelines.store import history
from pipelines.store.writer import Reader

logger = logging.getLogger(__name__)

AGAIN_S = 3.0
"""So often, in seconds, runs that are waited for are read again, where other processes may execute them."""


class Endings:
    """Tells those who wait for a run once it is over."""

    def __init__(self, reader: Reader, *, again_s: float | None = None) -> None:
        """Nobody waits yet. `again_s`: so often they are read again, as their news may be lost (None: it cannot be)."""
        self._reader, self._again_s = reader, again_s
        self._awaited: dict[int, asyncio.Future[Run | None]] = {}
        self._looked_at = 0.0

    async def wait(self, run_id: int) -> Run:
        """Return the run once it is over, wherever it is executed.

        Raises:
            UnknownName: there is no such run, or no more.
        """
        future = self._awaited.setdefault(run_id, asyncio.get_running_loop().create_future())
        try:
            self._settle(run_id, await self._reader.read(history.run, run_id))
            while not (await asyncio.wait([future], timeout=self._again_s))[0]:
                await self._look()
            run = future.result()
        finally:
            if future.done():  # others may go on to wait for it
                self._awaited.pop(run_id, None)
        if run is None:
            raise UnknownName("run", str(run_id), None)
        return run

    async def _look(self) -> None:
        """Read all runs that are waited for, once for all who wait."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < (self._again_s or 0.0):
            return
        self._looked_at = now
        wanted = list(self._awaited)
        try:
            found = {run.id: run for run in await self._reader.read(history.of_ids, wanted)}
        except StoreError as error:
            logger.debug("runs that are waited for cannot be read: %s", error)
            return
        for run_id in wanted:
            self._settle(run_id, found.get(run_id))

    def _settle(self, run_id: int, run: Run | None) -> None:
        """Tell those who wait, if the run is over or not there."""
        future = self._awaited.pop(run_id, None) if run is None or run.state.final else None
        if future is not None and not future.done():
            future.set_result(run)

    def happened(self, run: Run) -> None:
        """Take note of what became of a run."""
        self._settle(run.id, run)
