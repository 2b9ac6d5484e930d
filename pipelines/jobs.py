"""The jobs in force: the schedules of the pipelines file and those that people made, in memory, store and timetable.

In chat and tables a schedule is called a job. Every change is one row in the store first; then the timetable follows.
Who may ask for a change is `verbs`' business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from pipelines.catalog import Catalog, ScheduleEntry
from pipelines.definition import MisfirePolicy, ScheduleDefinition
from pipelines.errors import BadSchedule, InvalidTransition, StoreError, UnknownName
from pipelines.faults import faults
from pipelines.model import Params, Run, ScheduleRow, ScheduleState
from pipelines.schedule_definition import NAME
from pipelines.store import schedules
from pipelines.store.schedules import FILE, SetState
from pipelines.store.writer import Reader, Writer
from pipelines.timetable import Scheduled, Timetable
from pipelines.triggers import Trigger, check_zone

logger = logging.getLogger(__name__)

LOOK_S = 30.0
"""So often, in seconds, paused jobs are looked at: the clock may have been set."""
UNDO = timedelta(minutes=10)
"""So long after its removal a job can be brought back."""

Write = Callable[[Callable[..., Any], Any], Awaitable[Any]]
"""Writes a change, given a store function and its argument, with what else belongs into the transaction."""


class Jobs:
    """All jobs that are active or paused, by id. `rows` is what the store has of them, `entries` what times them.

    `changed` is called with each row that comes, changes or goes.
    """

    def __init__(
        self, catalog: Catalog, writer: Writer, reader: Reader, timetable: Timetable, *, clock: Callable[[], datetime]
    ) -> None:
        """Begin with none; see `start`."""
        self.rows: dict[str, ScheduleRow] = {}
        self.entries: dict[str, ScheduleEntry] = {}
        self.changed: Callable[[ScheduleRow], None] = lambda _: None
        self._catalog, self._timetable, self._clock = catalog, timetable, clock
        self._writer, self._reader = writer, reader
        self._woken = asyncio.Event()
        self._turn = asyncio.Lock()  # one change after the other, so that each sees what the one before it did
        self._answers: dict[str, tuple[datetime, datetime | None]] = {}

    async def start(self) -> list[ScheduleRow]:
        """Store the file's schedules, retire those that vanished from it, time all; return them with their next run."""
        now = self._clock()
        self.entries = {entry.id: entry for entry in self._catalog.schedules()}
        rows = [entry.row() for entry in self.entries.values()]
        stored = await self._writer.call(schedules.sync, schedules.SyncFile(rows=rows, at=now))
        self.rows = {row.id: row for row in stored}
        for row in stored:
            if row.source != FILE:
                self._adopt(row)
        active = [row for row in stored if row.state is ScheduleState.ACTIVE and row.id in self.entries]
        self._timetable.put(self._scheduled(row, now) for row in active)
        shown = [self.with_next_due(row) for row in stored]
        for row in (each for each in shown if each.created_at == now and each.next_due_at is None):
            logger.warning("schedule '%s' of %s (%s) lies in the past; it never runs", row.id, row.pipeline, row.words)
        return shown

    def _adopt(self, row: ScheduleRow) -> None:
        """Time a job that somebody made; one whose pipeline is gone is kept, and told."""
        definition = self._catalog.pipelines.get(row.pipeline)
        if definition is None or not definition.enabled:
            why = "is not in the pipelines file" if definition is None else "is not enabled"
            logger.warning("job '%s' does not run: its pipeline %s %s", row.id, row.pipeline, why)
            return
        try:
            self.entries[row.id] = self.entry(
                row.pipeline, row.spec, zone=row.timezone, job_id=row.id, given=row.params
            )
        except BadSchedule as error:
            logger.error("job '%s' does not run: %s", row.id, error)

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

    def _scheduled(self, row: ScheduleRow, now: datetime) -> Scheduled:
        scheduled = Scheduled.of(self.entries[row.id], self._catalog.get(row.pipeline), last=row.last_due_at or now)
        if scheduled.entry.definition.misfire_policy is MisfirePolicy.ASK:
            scheduled.ask = self._catalog.alerts_target(row.pipeline)
            if scheduled.ask is None:
                logger.warning("job '%s' has nowhere to ask: its missed runs are only recorded; set `alerts`", row.id)
        return scheduled

    def with_next_due(self, row: ScheduleRow) -> ScheduleRow:
        """Return the row with its next run, None where there is to be none."""
        entry = self.entries.get(row.id)
        if entry is None or row.state is not ScheduleState.ACTIVE:
            return row
        now, offset = self._clock(), entry.offset
        due_at = self._next_after(entry.trigger, max(now - offset, row.last_due_at or now))
        return replace(row, next_due_at=due_at + offset if due_at is not None else None)

    def _next_after(self, trigger: Trigger, after: datetime) -> datetime | None:
        """Return the trigger's next instant; many ask for the same one."""
        asked, answer = self._answers.get(trigger.key, (after, None))
        if answer is None or not asked <= after < answer:
            answer = trigger.next_after(after)
            self._answers[trigger.key] = (after, answer)
        return answer

    def get(self, job_id: str) -> ScheduleRow:
        """Return a job.

        Raises:
            UnknownName: there is none of this id.
        """
        if job_id not in self.rows:
            raise UnknownName("job", job_id, self.rows)
        return self.rows[job_id]

    def check_free(self, job_id: str) -> None:
        """Let an id pass that a new job may have.

        Raises:
            BadSchedule: it is no name.
            InvalidTransition: a job has it.
        """
        try:
            NAME.read(job_id)
        except ValueError as error:
            raise BadSchedule(f"the job's name: {error}") from None
        if job_id in self.rows or job_id in {entry.id for entry in self._catalog.schedules()}:
            raise InvalidTransition(f"a job is called '{job_id}' already; give this one another name")

    def free_id(self, pipeline: str) -> str:
        """Return an id that no job has: the pipeline's name, or the start of that with a number."""
        taken = {*self.rows, *(entry.id for entry in self._catalog.schedules())}
        numbered = (f"{pipeline[:74]}-{number}" for number in range(2, len(taken) + 3))
        return pipeline if pipeline not in taken else next(each for each in numbered if each not in taken)

    # ------------------------------------------------------------ changes

    async def add(self, row: ScheduleRow, entry: ScheduleEntry, write: Write) -> ScheduleRow:
        """Store a new job and time it.

        Raises:
            InvalidTransition: its id is taken.
        """
        async with self._turn:
            stored = None if row.id in self.rows else await write(schedules.add, row)
            if stored is None:
                raise InvalidTransition(f"a job is called '{row.id}' already; give this one another name")
            self.entries[row.id] = entry
            return self._follow(stored)

    async def pause(self, job_id: str, write: Write, *, until: datetime | None, reason: str | None) -> ScheduleRow:
        """Let a job be due no more, until somebody resumes it or `until` (UTC) has come.

        Raises:
            InvalidTransition: it is paused just so already.
        """
        async with self._turn:
            row = self.get(job_id)
            paused = replace(row, state=ScheduleState.PAUSED, paused_until=until, pause_reason=reason)
            if paused == row:
                raise InvalidTransition(f"job '{job_id}' is paused already")
            await write(schedules.set_state, SetState(job_id, ScheduleState.PAUSED, self._clock(), until, reason))
            return self._follow(paused)

    async def resume(self, job_id: str, write: Write) -> ScheduleRow:
        """Let a paused job be due again, from now on; what was due meanwhile is not made up for."""
        async with self._turn:
            row, at = self.get(job_id), self._clock()
            if row.state is not ScheduleState.PAUSED:
                raise InvalidTransition(f"job '{job_id}' is not paused")
            await write(schedules.set_state, SetState(job_id, ScheduleState.ACTIVE, at))
            return self._follow(_active(row, at))

    async def remove(self, job_id: str, write: Write) -> ScheduleRow:
        """Take a job away; its history stays, and for ten minutes it can be brought back.

        Raises:
            InvalidTransition: it stands in the pipelines file.
        """
        async with self._turn:
            row, at = self.get(job_id), self._clock()
            if row.source == FILE:
                raise InvalidTransition(f"job '{job_id}' stands in the pipelines file: take it out there, or pause it")
            await write(schedules.set_state, SetState(job_id, ScheduleState.RETIRED, at, removed=True))
            self.rows.pop(job_id, None)
            self.changed(row)
            self._timetable.remove(job_id)
            self.entries.pop(job_id, None)
            return replace(row, state=ScheduleState.RETIRED, removed_at=at)

    async def restore(self, job_id: str, write: Write) -> ScheduleRow:
        """Bring back a job that was removed at most ten minutes ago.

        Raises:
            UnknownName: no such job was removed.
            InvalidTransition: that was longer ago.
        """
        async with self._turn:
            row, at = await self.removed(job_id), self._clock()
            if row.removed_at is None or at - row.removed_at > UNDO:
                raise InvalidTransition(f"job '{job_id}' was removed more than {UNDO.seconds // 60} minutes ago")
            await write(schedules.set_state, SetState(job_id, ScheduleState.ACTIVE, at))
            self._adopt(row)
            return self._follow(_active(row, at))

    async def removed(self, job_id: str) -> ScheduleRow:
        """Return a job that somebody removed.

        Raises:
            UnknownName: there is none.
        """
        row = await self._reader.read(schedules.get, job_id)
        if row is None or row.removed_at is None or job_id in self.rows:
            raise UnknownName("removed job", job_id, [])
        return row

    def _follow(self, row: ScheduleRow) -> ScheduleRow:
        """Bring memory and timetable to what the store now has of a job."""
        self.rows[row.id] = row
        self.changed(row)
        if row.state is ScheduleState.ACTIVE and row.id in self.entries:
            self._timetable.put([self._scheduled(row, self._clock())])
        else:
            self._timetable.remove(row.id)
        self._woken.set()
        return self.with_next_due(row)

    # ------------------------------------------------------------ by itself

    def happened(self, run: Run) -> None:
        """Retire a job that somebody made for one instant, once that has come."""
        row = self.rows.get(run.schedule_id or "")
        if row is None or run.due_at is None:
            return
        self.rows[row.id] = replace(row, last_due_at=max(run.due_at, row.last_due_at or run.due_at))
        if row.source != FILE and "at" in row.spec:
            self._writer.post(schedules.set_state, SetState(row.id, ScheduleState.RETIRED, self._clock()))
            del self.rows[row.id]
            self.changed(row)
            self.entries.pop(row.id, None)

    async def keep(self) -> None:
        """Resume jobs whose pause is over, for ever."""
        while True:
            self._woken.clear()
            now = self._clock()
            for job_id in [row.id for row in self.rows.values() if row.paused_until and row.paused_until <= now]:
                try:
                    await self.resume(job_id, self._writer.call)
                    logger.info("job '%s' is active again: its pause is over", job_id)
                except (UnknownName, InvalidTransition):
                    continue  # somebody removed or resumed it in this moment
                except StoreError as error:
                    logger.error("job '%s' cannot be resumed yet: %s", job_id, error)
            try:
                async with asyncio.timeout(self._rest_s()):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _rest_s(self) -> float:
        ends = [row.paused_until for row in self.rows.values() if row.paused_until]
        left = (min(ends) - self._clock()).total_seconds() if ends else LOOK_S
        return min(max(left, 0.05), LOOK_S)


def _active(row: ScheduleRow, at: datetime) -> ScheduleRow:
    due_at = max(at, row.last_due_at or at)
    return replace(
        row, state=ScheduleState.ACTIVE, paused_until=None, pause_reason=None, removed_at=None, last_due_at=due_at
    )
