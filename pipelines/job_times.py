"""What times the jobs: each one's entry, from the pipelines file or from somebody, and its place on the timetable.

Which jobs there are is `jobs`' business; when they are due, the timetable's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from pipelines.catalog import Catalog, ScheduleEntry
from pipelines.definition import MisfirePolicy, PipelineDefinition, ScheduleDefinition
from pipelines.errors import BadSchedule
from pipelines.faults import faults
from pipelines.model import Params, ScheduleRow, ScheduleState
from pipelines.scheduled import Scheduled
from pipelines.store import processes
from pipelines.store.schedules import PYTHON
from pipelines.store.writer import Reader
from pipelines.timetable import Timetable
from pipelines.triggers import Trigger, check_zone

logger = logging.getLogger(__name__)

LATELY = timedelta(minutes=1)
"""A process that has been silent for longer does not count among those that run a job."""


@dataclass(slots=True)
class Stray:
    """A job whose pipeline is not there, whether it was before, and whether that was told."""

    row: ScheduleRow
    had: bool
    told: bool = False


class JobTimes:
    """The entries of jobs by id; one without an entry has no pipeline that could run now."""

    def __init__(self, catalog: Catalog, timetable: Timetable, *, clock: Callable[[], datetime]) -> None:
        """Begin with none."""
        self.entries: dict[str, ScheduleEntry] = {}
        self._catalog, self._timetable, self._clock = catalog, timetable, clock
        self._timed: dict[str, tuple[ScheduleEntry, PipelineDefinition]] = {}
        self._strays: dict[str, Stray] = {}
        self._answers: dict[str, tuple[datetime, datetime | None]] = {}

    def entry(
        self, pipeline: str, spec: Mapping[str, Any], *, zone: str, job_id: str, given: Params | None = None
    ) -> ScheduleEntry:
        """Return the entry of a job that somebody makes.

        Raises:
            UnknownName: there is no such pipeline.
            BadSchedule: the time cannot be read, or the zone is unknown.
        """
        params = {**self._catalog.get(pipeline).default_params, **(given or {})}
        check_zone(zone)
        try:
            definition = ScheduleDefinition.model_validate(dict(spec))
        except ValidationError as error:
            raise BadSchedule("; ".join(words for _, words in faults(error, ScheduleDefinition))) from None
        return ScheduleEntry(job_id, pipeline, definition, definition.trigger(zone, job_id), zone, params)

    def adopt(self, row: ScheduleRow, *, tell: bool) -> None:
        """Make the entry of a job that somebody made; one whose pipeline is gone is kept without.

        It is told of where it had one, or by `tell`: see `tell_strays`.
        """
        had = self.entries.pop(row.id, None) is not None
        definition = self._catalog.pipelines.get(row.pipeline)
        if definition is None and (had or tell):
            self._strays.setdefault(row.id, Stray(row, had=had))
        if definition is None or not definition.enabled:
            if definition is not None and (had or tell):
                logger.warning("job '%s' does not run: its pipeline %s is not enabled", row.id, row.pipeline)
            return
        self._strays.pop(row.id, None)
        try:
            self.entries[row.id] = self.entry(
                row.pipeline, row.spec, zone=row.timezone, job_id=row.id, given=row.params
            )
        except BadSchedule as error:
            logger.error("job '%s' does not run: %s", row.id, error)

    async def tell_strays(self, reader: Reader) -> None:
        """Log, once, which jobs do not run as their pipeline is gone; not those that another process runs."""
        untold = [each for each in self._strays.values() if not each.told]
        asked = any(not each.had for each in untold)
        there = await reader.read(processes.versions, LATELY) if asked else {}
        for stray in untold:
            row = stray.row
            if row.pipeline in there and not stray.had:
                continue
            stray.told = True
            if row.source == PYTHON:
                logger.info("job '%s' runs once the Python program is there that has %s", row.id, row.pipeline)
            else:
                logger.warning("job '%s' does not run: its pipeline %s is not there", row.id, row.pipeline)

    def put(self, rows: Iterable[ScheduleRow]) -> None:
        """Put active jobs that have an entry on the timetable, and take the others off it."""
        now = self._clock()
        due = []
        for row in rows:
            if row.state is ScheduleState.ACTIVE and row.id in self.entries:
                due.append(self._scheduled(row, now))
            else:
                self._untime(row.id)
        self._timetable.put(due)

    def put_changed(self, rows: Iterable[ScheduleRow]) -> None:
        """Do the same for those whose entry or pipeline is another than when they were put last."""
        self.put([row for row in rows if self._timed.get(row.id) != self._now(row)])

    def _now(self, row: ScheduleRow) -> tuple[ScheduleEntry, PipelineDefinition] | None:
        entry, definition = self.entries.get(row.id), self._catalog.pipelines.get(row.pipeline)
        return (entry, definition) if entry is not None and definition is not None else None

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        self._untime(job_id)
        self.entries.pop(job_id, None)
        self._strays.pop(job_id, None)

    def _untime(self, job_id: str) -> None:
        self._timetable.remove(job_id)
        self._timed.pop(job_id, None)

    def _scheduled(self, row: ScheduleRow, now: datetime) -> Scheduled:
        entry, definition = self.entries[row.id], self._catalog.get(row.pipeline)
        self._timed[row.id] = (entry, definition)
        scheduled = Scheduled.of(entry, definition, last=row.last_due_at or now)
        if entry.definition.misfire_policy is MisfirePolicy.ASK:
            scheduled.ask = self._catalog.alerts_target(row.pipeline)
            if scheduled.ask is None:
                logger.warning("job '%s' has nowhere to ask: its missed runs are only recorded; set `alerts`", row.id)
        return scheduled

    def with_next_due(self, row: ScheduleRow) -> ScheduleRow:
        """Return the row with its next run, None where there is to be none."""
        entry = self.entries.get(row.id)
        if entry is None or row.state is not ScheduleState.ACTIVE:
            return row
        return self._due(row, entry)

    def due_after(self, job_id: str, due_at: datetime) -> bool:
        """Tell whether a job has an instant after one at which it was due (UTC); not, where nothing times it."""
        entry = self.entries.get(job_id)
        return entry is not None and self._next_after(entry.trigger, due_at - entry.offset) is not None

    def _due(self, row: ScheduleRow, entry: ScheduleEntry) -> ScheduleRow:
        now, offset = self._clock(), entry.offset
        due_at = self._next_after(entry.trigger, max(now - offset, row.last_due_at or now))
        return replace(row, next_due_at=due_at + offset if due_at is not None else None)

    def foretold(self, row: ScheduleRow) -> ScheduleRow:
        """Return the row with its next run by what it says itself, for one who knows no pipelines."""
        if row.state is not ScheduleState.ACTIVE:
            return row
        try:
            definition = ScheduleDefinition.model_validate(dict(row.spec))
            entry = ScheduleEntry(
                row.id, row.pipeline, definition, definition.trigger(row.timezone, row.id), row.timezone, row.params
            )
        except (ValidationError, BadSchedule):
            return row
        return self._due(row, entry)

    def _next_after(self, trigger: Trigger, after: datetime) -> datetime | None:
        """Return the trigger's next instant; many ask for the same one."""
        asked, answer = self._answers.get(trigger.key, (after, None))
        if answer is None or not asked <= after < answer:
            answer = trigger.next_after(after)
            self._answers[trigger.key] = (after, answer)
        return answer
