"""The jobs in force: the schedules of the pipelines file and those that people made, in memory, store and timetable.

In chat and tables a schedule is called a job. Every change is one row in the store first; then the timetable follows.
Changes that other processes make in the store are taken up by `take_up`. Who may ask for a change is `verbs`' business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pipelines import job_names
from pipelines.catalog import Catalog, ScheduleEntry
from pipelines.errors import InvalidTransition, UnknownName
from pipelines.job_times import JobTimes
from pipelines.model import Run, ScheduleRow, ScheduleState
from pipelines.store import schedules
from pipelines.store.schedules import FILE, SetState, SyncFile, same
from pipelines.store.signals import Signal
from pipelines.store.writer import Reader, Writer
from pipelines.timetable import Timetable

logger = logging.getLogger(__name__)

UNDO = timedelta(minutes=10)
"""So long after its removal a job can be brought back."""

Write = Callable[[Callable[..., Any], Any], Awaitable[Any]]
"""Writes a change, given a store function and its argument, with what else belongs into the transaction."""


class Jobs:
    """All jobs that are active or paused, by id. `rows` is what the store has of them, `entries` what times them.

    `woken` is set when one came, changed or went.
    """

    def __init__(
        self, catalog: Catalog, writer: Writer, reader: Reader, timetable: Timetable, *, clock: Callable[[], datetime]
    ) -> None:
        """Begin with none; see `start`, and `look` for one who only asks."""
        self.rows: dict[str, ScheduleRow] = {}
        self._watchers: list[Callable[[ScheduleRow], None]] = []
        self._times = JobTimes(catalog, timetable, clock=clock)
        self.entry, self.with_next_due = self._times.entry, self._times.with_next_due
        self._catalog, self._clock = catalog, clock
        self._writer, self._reader = writer, reader
        self.woken = asyncio.Event()
        self._turn = asyncio.Lock()  # one change after the other, so that each sees what the one before it did

    def watch(self, callback: Callable[[ScheduleRow], None]) -> None:
        """Have `callback` called with each row that comes, changes or goes; it must be quick and must not raise."""
        self._watchers.append(callback)

    def changed(self, row: ScheduleRow) -> None:
        """Tell that a row came, changed or went."""
        for callback in self._watchers:
            callback(row)

    @property
    def entries(self) -> Mapping[str, ScheduleEntry]:
        """What times the jobs, by id; a job that is not among them has no pipeline that could run now."""
        return self._times.entries

    async def start(self) -> list[ScheduleRow]:
        """Store the file's schedules, retire those that vanished from it, time all; return them with their next run."""
        now = self._clock()
        wanted = {entry.id: entry for entry in self._catalog.schedules()}
        rows = [entry.row() for entry in wanted.values()]
        stored = await self._writer.call(schedules.sync, SyncFile(rows, now, absent=not self._catalog.loaded.digest))
        self._take_over(stored, wanted)
        self._times.put(stored)
        await self._times.tell_strays(self._reader)
        shown = [self.with_next_due(row) for row in stored]
        for row in (each for each in shown if each.created_at == now and each.next_due_at is None):
            logger.warning("schedule '%s' of %s (%s) lies in the past; it never runs", row.id, row.pipeline, row.words)
        return shown

    async def look(self, *, file: bool = True) -> None:
        """Take over what store and file say, changing nothing; without `file`, the rows as they are, and when due."""
        stored = {row.id: row for row in await self._reader.read(schedules.list_all)}
        if not file:
            self.rows = {row.id: self._times.foretold(row) for row in stored.values()}
            return
        wanted = {entry.id: entry for entry in self._catalog.schedules()}
        rows = [row for row in stored.values() if row.source != FILE]
        for entry in wanted.values():
            row = stored.get(entry.id)
            rows.append(row if row is not None and same(row, entry.row()) else entry.row())
        self._take_over(rows, wanted)

    def _take_over(self, rows: Sequence[ScheduleRow], wanted: Mapping[str, ScheduleEntry]) -> None:
        self.rows = {row.id: row for row in rows}
        self._times.entries = dict(wanted)
        for row in rows:
            if row.source != FILE:
                self._times.adopt(row, tell=True)

    async def reload(self) -> None:
        """Bring all jobs to the pipelines that are in force now: what is as it was is left alone."""
        async with self._turn:
            wanted = {entry.id: entry for entry in self._catalog.schedules()}
            changed = {key: entry.row() for key, entry in wanted.items() if self.entries.get(key) is not entry}
            gone = {row.id for row in self.rows.values() if row.source == FILE} - wanted.keys()
            touched = frozenset(changed) | gone
            sync = SyncFile([*changed.values()], self._clock(), only=touched)
            for row in await self._writer.call(schedules.sync, sync) if touched else ():
                self.rows[row.id] = row
                self._times.entries[row.id] = wanted[row.id]
                self.changed(row)
            for job_id in gone:
                self._forget(job_id)
            for row in (each for each in self.rows.values() if each.source != FILE):
                self._times.adopt(row, tell=False)
            self._times.put_changed(self.rows.values())
            await self._times.tell_strays(self._reader)
            self.woken.set()

    def adopt(self, pipeline: str) -> None:
        """Time the jobs of a pipeline anew that came, went or changed beside the file."""
        mine = [row for row in self.rows.values() if row.pipeline == pipeline and row.source != FILE]
        for row in mine:
            self._times.adopt(row, tell=False)
            self.changed(row)
        self._times.put_changed(mine)

    async def take_up(self, signals: Sequence[Signal]) -> None:
        """Take up what other processes did to jobs; what is known already changes nothing."""
        async with self._turn:
            for job_id in dict.fromkeys(signal.subject for signal in signals):
                self._taken_up(job_id, await self._reader.read(schedules.get, job_id))

    async def look_again(self) -> None:
        """Take up what others did to all jobs, and time them anew: another process recorded what was due."""
        async with self._turn:
            stored = {row.id: row for row in await self._reader.read(schedules.list_all)}
            for job_id in {*self.rows, *stored}:
                self._taken_up(job_id, stored.get(job_id))
            self.rows |= stored
            self._times.put(stored.values())
            await self._times.tell_strays(self._reader)

    def _taken_up(self, job_id: str, row: ScheduleRow | None) -> None:
        if row is None or row.state is ScheduleState.RETIRED:
            self._forget(job_id)
        elif not row.tells_as_much_as(self.rows.get(job_id)):
            if row.source != FILE:
                self._times.adopt(row, tell=True)
            self._follow(row)

    def _forget(self, job_id: str) -> None:
        if (row := self.rows.pop(job_id, None)) is not None:
            self.changed(row)
        self._times.remove(job_id)

    def get(self, job_id: str) -> ScheduleRow:
        """Return a job.

        Raises:
            UnknownName: there is none of this id.
        """
        if job_id not in self.rows:
            raise UnknownName("job", job_id, self.rows)
        return self.rows[job_id]

    def check_free(self, job_id: str) -> None:
        """Let an id pass that a new job may have; see `job_names.check_free`."""
        job_names.check_free(job_id, {*self.rows, *(entry.id for entry in self._catalog.schedules())})

    def free_id(self, pipeline: str) -> str:
        """Return an id that no job has; see `job_names.free`."""
        return job_names.free(pipeline, {*self.rows, *(entry.id for entry in self._catalog.schedules())})

    # ------------------------------------------------------------ changes

    async def add(self, row: ScheduleRow, entry: ScheduleEntry, write: Write) -> ScheduleRow:
        """Store a new job and time it.

        Raises:
            InvalidTransition: its id is taken.
        """
        async with self._turn:
            return await self._add(row, entry, write)

    async def _add(self, row: ScheduleRow, entry: ScheduleEntry, write: Write) -> ScheduleRow:
        stored = None if row.id in self.rows else await write(schedules.add, row)
        if stored is None:
            raise InvalidTransition(f"a job is called '{row.id}' already; give this one another name")
        self._times.entries[row.id] = entry
        return self._follow(stored)

    async def put(self, row: ScheduleRow, entry: ScheduleEntry, write: Write) -> ScheduleRow:
        """Store a job, or give the one of this id from the same source its new time; what is as it was stays untouched.

        One that was for a single instant which has come is left over. A paused one stays paused.

        Raises:
            InvalidTransition: its id is taken by one from elsewhere.
        """
        async with self._turn:
            there = await self._reader.read(schedules.get, row.id)
            if there is None or there.removed_at is not None or there.source != row.source:
                return await self._add(row, entry, write)
            timed_same = (there.spec, there.timezone, there.pipeline) == (row.spec, row.timezone, row.pipeline)
            if there.state is ScheduleState.RETIRED and timed_same:
                return there
            stored = there
            if not (timed_same and there.params == row.params and there.words == row.words):
                stored = await write(schedules.redefine, row)
            self._times.entries[row.id] = entry
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
            if row.created_at is None:  # no service has stored the file's schedule yet
                await self._writer.call(schedules.add, row)
            await write(schedules.set_state, SetState(job_id, ScheduleState.PAUSED, self._clock(), until, reason))
            return self._follow(paused)

    async def resume(self, job_id: str, write: Write) -> ScheduleRow:
        """Let a paused job be due again, from now on; what was due meanwhile is not made up for."""
        async with self._turn:
            row, at = self.get(job_id), self._clock()
            if row.state is not ScheduleState.PAUSED:
                raise InvalidTransition(f"job '{job_id}' is not paused")
            await write(schedules.set_state, SetState(job_id, ScheduleState.ACTIVE, at))
            return self._follow(row.resumed(at))

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
            self._forget(job_id)
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
            self._times.adopt(row, tell=True)
            return self._follow(row.resumed(at))

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
        self._times.put([row])
        self.woken.set()
        return self.with_next_due(row)

    # ------------------------------------------------------------ by itself

    def happened(self, run: Run) -> None:
        """Retire a job that somebody made for one instant, once that has come; not one that has another instant now."""
        row = self.rows.get(run.schedule_id or "")
        if row is None or run.due_at is None:
            return
        self.rows[row.id] = replace(row, last_due_at=max(run.due_at, row.last_due_at or run.due_at))
        if row.source != FILE and "at" in row.spec and not self._times.due_after(row.id, run.due_at):
            self._writer.post(schedules.set_state, SetState(row.id, ScheduleState.RETIRED, self._clock()))
            self._forget(row.id)
