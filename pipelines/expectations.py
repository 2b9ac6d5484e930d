"""Runs that go on for too long, and pipelines that have not succeeded for too long: found here, told by `alerts`.

What is expected stands in a pipeline's `expect`. Runs that go on are known from what passes by; since when a success
is expected is remembered in the store, so that a service that was down for long notices it at its start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from pipelines.catalog import Catalog
from pipelines.model import JSON, Incident, IncidentKind, Run, RunState, utcnow
from pipelines.store import expectations as store
from pipelines.store import notes
from pipelines.store.notes import Note
from pipelines.store.writer import Reader, Writer
from pipelines.watch_definition import Expect

KNOWN_NOTE = "expect.known"
"""The note that says since when a success of each pipeline is expected: names to ISO instants."""

_GOES_ON = frozenset({RunState.RUNNING, RunState.WAITING_RETRY})


class Expectations:
    """Finds what falls short of what is expected, and opens incidents for it."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        catalog: Catalog,
        *,
        wake: Callable[[], None],
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`wake` is called when a run that goes on has become slow: `find_slow` opens its incident. `clock`: UTC."""
        self._writer = writer
        self._reader = reader
        self._catalog = catalog
        self._wake, self._clock = wake, clock
        self._going: dict[int, Run] = {}
        self._told: set[int] = set()
        self._alarms: dict[int, asyncio.TimerHandle] = {}

    def happened(self, run: Run) -> bool:
        """Take note of what became of a run; tell whether it fell short. Quick."""
        expected = self._expected(run.pipeline)
        if run.state in _GOES_ON:
            self._going[run.id] = run
            if run.id not in self._alarms and expected.max_duration is not None:
                since = run.started_at or self._clock()  # news of a run elsewhere may be late
                after_s = (since + expected.max_duration - self._clock()).total_seconds()
                self._alarms[run.id] = asyncio.get_running_loop().call_later(max(after_s, 0.0), self._wake)
        elif run.state.final:
            self._going.pop(run.id, None)
            if (alarm := self._alarms.pop(run.id, None)) is not None:
                alarm.cancel()
            was_slow = run.id in self._told
            self._told.discard(run.id)
            return was_slow or (run.state is RunState.SUCCEEDED and run.items_out < expected.min_items)
        return False

    async def find_slow(self, now: datetime) -> None:
        """Open incidents of runs that go on for longer than expected, once each.

        Raises:
            StoreError: the database refused; they are found again the next time.
        """
        slow = [found for run in self._going.values() if (found := self._slow(run, now)) is not None]
        if slow:
            await asyncio.gather(*(self._writer.call(store.open_slow, each) for each in slow))
            self._told |= {each.last_run_id for each in slow if each.last_run_id in self._going}

    def _slow(self, run: Run, now: datetime) -> Incident | None:
        longest = self._expected(run.pipeline).max_duration
        if longest is None or run.started_at is None or run.id in self._told or run.started_at + longest > now:
            return None
        summary = f"run #{run.id} goes on for longer than {spelt(longest)}"
        since = run.started_at + longest
        return Incident(run.pipeline, IncidentKind.SLOW, since, now, run.id, run.id, summary=summary)

    async def find_missing(self, now: datetime) -> None:
        """Open incidents of pipelines that have not succeeded for longer than expected.

        That counts from the last success, or from when it was first expected, if that was later.

        Raises:
            StoreError: the database refused; they are found again the next time.
        """
        wanted = {each.name: each.expect for each in self._catalog.enabled() if each.expect.every is not None}
        noted = await self._reader.read(notes.get, KNOWN_NOTE)
        known = _instants(noted, wanted)
        if known.keys() != wanted.keys() or (isinstance(noted, dict) and noted.keys() != wanted.keys()):
            known = {name: known.get(name, now) for name in wanted}
            told: dict[str, JSON] = {name: at.isoformat() for name, at in known.items()}
            await self._writer.call(notes.put, Note(KNOWN_NOTE, told, now))
        if not wanted:
            return
        last = await self._reader.read(store.last_of, list(wanted))
        found = []
        for name, expect in wanted.items():
            run_id, success = last.get(name, (None, None))
            due = max(known[name], success or known[name]) + (expect.every or timedelta()) + expect.grace
            if due <= now:
                summary = f"no success for longer than {spelt((expect.every or timedelta()) + expect.grace)}"
                found.append(Incident(name, IncidentKind.MISSING, due, now, run_id, run_id, summary=summary))
        unless = [(each, last.get(each.pipeline, (None, None))[1]) for each in found]
        await asyncio.gather(*(self._writer.call(store.open_missing, each) for each in unless))

    def _expected(self, pipeline: str) -> Expect:
        definition = self._catalog.pipelines.get(pipeline)
        return definition.expect if definition is not None else Expect()


def _instants(noted: object, wanted: Mapping[str, Expect]) -> dict[str, datetime]:
    """Return since when each of the wanted pipelines is known, as far as that was noted."""
    if not isinstance(noted, dict):
        return {}
    return {name: datetime.fromisoformat(at) for name, at in noted.items() if name in wanted}


def spelt(duration: timedelta) -> str:
    """Return a duration as a pipelines file would say it: `1d 30m`, `1.5s`."""
    left, parts = duration.total_seconds(), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count:.0f}{unit}")
    return " ".join([*parts, *([f"{left:g}s"] if left or not parts else [])])
