"""The task that removes what is older than the pipelines file wants it kept, a little at a time and out of the way.

What may go and what must stay is in `store.retention` and `store.leavings`; how long is `keep` under `scheduler`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from pipelines.catalog import Catalog
from pipelines.errors import StoreError
from pipelines.model import utcnow
from pipelines.store import leavings, retention
from pipelines.store.retention import Age, Erased, Old, Page
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)

FIRST_S = 300.0
"""So long after its start, in seconds, the service looks first: it has other things to do then."""
EVERY_S = 3_600.0
REST_S = 0.02
"""At least so long, in seconds, other writers have the store to themselves after each slice."""
SHARE = 3
"""And so many times as long as the slice took."""
BUSY = 100
"""While so many writes wait, nothing is removed."""


class Retention:
    """Removes old history. `run` is its task; `sweep` does it once."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        catalog: Catalog,
        *,
        reports: Path | None = None,
        clock: Callable[[], datetime] = utcnow,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep what `catalog` says; `reports` is the folder of the JSON reports, `rest` waits so many seconds."""
        self._writer, self._reader, self._catalog = writer, reader, catalog
        self._reports, self._clock, self._rest = reports, clock, rest

    async def run(self) -> None:
        """Sweep five minutes after the start and then every hour, for ever."""
        await self._rest(FIRST_S)
        while True:
            try:
                await self.sweep()
            except (StoreError, OSError) as error:
                logger.error("old history stays for now, the next try is in an hour: %s", error)
            await self._rest(EVERY_S)

    async def sweep(self) -> dict[str, int]:
        """Remove all that is too old, say so in one line of the log, and return how many of each thing went.

        Raises:
            StoreError: the database refused; the rest goes the next time.
            OSError: the folder of the reports cannot be read.
        """
        began, keep = perf_counter(), self._catalog.options.keep
        gone = {
            "cards": await self._old(keep.messages, leavings.old_cards, leavings.erase_cards),
            "messages": await self._old(keep.messages, leavings.old_messages, leavings.erase_messages),
            "questions": await self._old(keep.messages, leavings.old_questions, leavings.erase_questions),
            "incidents": await self._old(keep.runs, leavings.old_incidents, leavings.erase_incidents),
            "log lines": await self._old(keep.logs, retention.old_logs, retention.erase_logs),
            "runs": await self._old(keep.runs, retention.old_runs, retention.erase_runs),
        }
        gone["runs"] += await self._surplus(keep.runs_per_pipeline)
        gone["due instants"] = await self._instants(keep.runs)
        gone["audit rows"] = await self._old(keep.audit, leavings.old_audit, leavings.erase_audit)
        gone["reports"] = await asyncio.to_thread(self._remove_reports, keep.reports)
        if any(gone.values()):
            await self._reader.read(retention.settle)
            told = ", ".join(
                f"{number:,} {name if number > 1 else name.removesuffix('s')}"
                for name, number in gone.items()
                if number
            )
            logger.info("removed what was kept long enough: %s (%.1f s)", told, perf_counter() - began)
        return gone

    async def _old(self, kept: timedelta | None, find: Callable[..., Page], erase: Callable[..., list[Erased]]) -> int:
        """Erase page by page what `find` finds to be older than `kept`; None: nothing."""
        if kept is None:
            return 0
        now = self._clock()
        age, gone = Age(now - kept, now), 0
        page = await self._reader.read(find, age)
        while True:
            if page.keys:
                gone += await self._erase(erase, Old(page.keys, age.before))
            if page.then is None:
                return gone
            page = await self._reader.read(find, age, page.then)

    async def _surplus(self, kept: int | None) -> int:
        """Erase the runs of each pipeline beyond its newest `kept`."""
        name, gone = "", 0
        while kept is not None and (found := await self._reader.read(retention.next_pipeline, name)) is not None:
            name = found
            page = await self._reader.read(retention.surplus_runs, name, kept)
            while page.keys:
                gone += await self._erase(retention.erase_runs, Old(page.keys, self._clock()))
                if page.then is None:
                    break
                page = await self._reader.read(retention.surplus_runs, name, kept, page.then)
        return gone

    async def _instants(self, kept: timedelta | None) -> int:
        return 0 if kept is None else await self._erase(retention.erase_occurrences, self._clock() - kept)

    async def _erase(self, erase: Callable[..., list[Erased]], wish: Any) -> int:
        """Erase in slices until nothing of the wish is left, and return how many things went."""
        gone, done = 0, False
        while not done:
            while self._writer.pending > BUSY:
                await self._rest(REST_S)
            began = perf_counter()
            erased: Erased = await self._writer.call(erase, wish, durable=False)
            gone, done = gone + erased.things, erased.done
            await self._rest(max(REST_S, SHARE * (perf_counter() - began)))
        return gone

    def _remove_reports(self, kept: timedelta | None) -> int:
        """Remove the reports that were written too long ago."""
        if kept is None or self._reports is None or not self._reports.is_dir():
            return 0
        before = (self._clock() - kept).timestamp()
        gone = [_removed(path) for path in _reports(self._reports, before)]
        return sum(gone)


def _reports(folder: Path, before: float) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            ours = entry.name.startswith("job_report_") and entry.name.endswith((".json", ".tmp"))
            if ours and entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < before:
                yield Path(entry.path)


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError as error:
        logger.warning("a report stays: %s", error)
        return False
    return True
