"""How far runs are that go on, wherever they are executed: from memory here, from the store in another process.

Who shows runs asks again and again. The store is asked only for those that run elsewhere, and once for all who ask
within a moment: a hundred run cards cost one read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from pipelines.live_run import LiveRun
from pipelines.store import progress
from pipelines.store.progress import Progress
from pipelines.store.writer import Reader

FRESH_S = 0.5
"""So long, in seconds, what was read is good enough; it is written about once a second."""
ASKED_S = 30.0
"""Runs that somebody asked for so long ago, in seconds, are read along with those that are asked for now."""


class Following:
    """Follows runs for all who show them. `live` gives the runs that are executed here, by id."""

    def __init__(
        self,
        reader: Reader,
        *,
        live: Callable[[], Mapping[int, LiveRun]],
        elsewhere: bool,
        clock: Callable[[], datetime],
        passed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`elsewhere` says that other processes may execute runs; without it the store is never asked.

        `clock` gives the time now (UTC), `passed` seconds that only rise.
        """
        self._reader, self._live, self._elsewhere = reader, live, elsewhere
        self._clock, self._passed = clock, passed
        self._rows: Mapping[int, Progress] = {}
        self._read_at: dict[int, float] = {}
        self._asked_at: dict[int, float] = {}
        self._turn = asyncio.Lock()

    async def of(self, run_ids: Iterable[int]) -> Mapping[int, Progress]:
        """Return how far runs are that go on, by id; those that have not said so are left out.

        Raises:
            StoreError: the store cannot be read, and one of them runs elsewhere.
        """
        live, now = self._live(), self._clock()
        found: dict[int, Progress] = {}
        others = []
        for run_id in run_ids:
            if (each := live.get(run_id)) is not None:
                found[run_id] = progress_of(each, now)
            else:
                others.append(run_id)
        if others and self._elsewhere:
            rows = await self._stored(others)
            found |= {run_id: rows[run_id] for run_id in others if run_id in rows}
        return found

    async def one(self, run_id: int) -> Progress | None:
        """Return how far a run is; None where it does not go on, or has not said so. Raises as `of` does."""
        return (await self.of([run_id])).get(run_id)

    async def _stored(self, wanted: list[int]) -> Mapping[int, Progress]:
        async with self._turn:  # who comes while another reads finds what that one read
            now = self._passed()
            self._asked_at |= dict.fromkeys(wanted, now)
            if any(now - self._read_at.get(run_id, -FRESH_S) >= FRESH_S for run_id in wanted):
                self._asked_at = {key: at for key, at in self._asked_at.items() if now - at < ASKED_S}
                self._rows = await self._reader.read(progress.of, list(self._asked_at))
                self._read_at = dict.fromkeys(self._asked_at, now)
            return self._rows


def progress_of(live: LiveRun, at: datetime) -> Progress:
    """Return how far a run is that is executed here, at an instant (UTC)."""
    return Progress(live.run.id, live.run.attempt, at, live.done, live.note, live.stages)
