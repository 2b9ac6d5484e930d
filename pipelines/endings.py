"""Those who wait for a run to be over, and the runs that a service which died had left behind."""

from __future__ import annotations

import asyncio
from datetime import datetime

from pipelines.catalog import Catalog
from pipelines.definition import OnCrash
from pipelines.errors import UnknownName
from pipelines.model import Run, RunState
from pipelines.store import ends, history
from pipelines.store.writer import Reader, Writer


class Endings:
    """Tells those who wait for a run once it is over."""

    def __init__(self, reader: Reader) -> None:
        """Nobody waits yet."""
        self._reader = reader
        self._awaited: dict[int, asyncio.Future[Run]] = {}

    async def wait(self, run_id: int) -> Run:
        """Return the run once it is over. It must be queued on this scheduler.

        Raises:
            UnknownName: there is no such run.
        """
        future = self._awaited.setdefault(run_id, asyncio.get_running_loop().create_future())
        run = await self._reader.read(history.run, run_id)
        if run is None:
            raise UnknownName("run", str(run_id), None)
        if run.state.final and not future.done():
            future.set_result(run)
        try:
            return await asyncio.shield(future)
        finally:
            self._awaited.pop(run_id, None)

    def happened(self, run: Run) -> None:
        """Take note of what became of a run."""
        future = self._awaited.pop(run.id, None) if run.state.final else None
        if future is not None and not future.done():
            future.set_result(run)


async def recover(*, catalog: Catalog, writer: Writer, reader: Reader, at: datetime) -> tuple[int, list[Run]]:
    """End what was running when an earlier service died; return how many are tried again, and those that are not."""
    at_most_once = frozenset(name for name, each in catalog.pipelines.items() if each.on_crash is OnCrash.FAIL)
    requeued, crashed = await writer.call(ends.recover, ends.Recover(at=at, fail=at_most_once))
    if not crashed:
        return requeued, []
    newest = await reader.read(history.runs, state=RunState.CRASHED, limit=10_000)
    return requeued, [run for run in newest if run.ended_at == at]
