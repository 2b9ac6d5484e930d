"""A scheduler over a real store whose time passes only when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pipelines.engine import Engine
from pipelines.store import leases
from tests.project import Project


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time now."""
        return self.now


@dataclass
class ByHand:
    """A scheduler and the clock that it reads. Nothing is claimed or run; `scheduler.start` would begin that."""

    scheduler: Engine
    clock: Clock

    async def to(self, instant: datetime) -> None:
        """Set the clock, as on a machine that slept until then, and wait until what follows from it is recorded."""
        self.clock.now = instant
        jobs, timetable = self.scheduler.jobs, self.scheduler.timetable
        jobs.woken.set()
        while any(row.paused_until and row.paused_until <= instant for row in jobs.rows.values()):
            await asyncio.sleep(0)
        for key in list(timetable._groups):
            timetable._ring(key)
        while timetable._firing:
            await asyncio.wait(timetable._firing.values())

    def ledger(self, job: str) -> list[tuple[datetime, str]]:
        """What became of each instant of a job, oldest first."""
        rows = self._rows("SELECT due_at, outcome FROM occurrences WHERE schedule_id = ? ORDER BY due_at", job)
        return [(utc(due_at), outcome) for due_at, outcome in rows]

    def due(self, job: str) -> list[datetime]:
        """The instants of a job that are recorded, oldest first."""
        return [due_at for due_at, _ in self.ledger(job)]

    def reasons(self, job: str) -> list[str]:
        """Why instants of a job did not run, oldest first."""
        told = "SELECT reason FROM occurrences WHERE schedule_id = ? AND outcome <> 'run' ORDER BY due_at"
        return [reason for (reason,) in self._rows(told, job)]

    def _rows(self, statement: str, *values: str) -> list[tuple[str, ...]]:
        settings = self.scheduler.settings
        server = None if settings.scheduler_db_url.startswith("sqlite") else settings.scheduler_db_url
        return Project(Path(settings.pipelines_config).parent, server=server).query(statement, *values)


def utc(stored: str | datetime) -> datetime:
    """A time as SQLite keeps it, or PostgreSQL."""
    return stored.astimezone(UTC) if isinstance(stored, datetime) else datetime.fromisoformat(f"{stored}+00:00")


@asynccontextmanager
async def by_hand(project: Project, clock: Clock) -> AsyncIterator[ByHand]:
    """Within the block the project's jobs are on the timetable. Entered again it is a restart after a crash."""
    async with project.scheduler(clock=clock) as scheduler:
        await scheduler.writer.call(leases.sweep, leases.Sweep(at=clock.now, exclusive=True))
        await scheduler.start_timetable()
        here = ByHand(scheduler, clock)
        await here.to(clock.now)
        yield here
