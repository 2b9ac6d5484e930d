"""Values that the tests of the store use again and again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pipelines.model import NewRun, Outcome, Run, RunState, ScheduleRow, StartedBy
from pipelines.store import ends, runs
from pipelines.store.occurrences import Due

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """An instant that many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def manual(pipeline: str = "prices", **more: Any) -> NewRun:
    """A run that somebody asks for."""
    return NewRun(pipeline=pipeline, started_by=StartedBy.MANUAL, **more)


def due(schedule: str = "prices", at: datetime = NOON, *, pipeline: str = "prices", **more: Any) -> Due:
    """An instant of a schedule that has come."""
    return Due(NewRun(pipeline=pipeline, started_by=StartedBy.SCHEDULE, schedule_id=schedule, due_at=at), **more)


def schedule(id_: str = "prices", **more: Any) -> ScheduleRow:
    """A schedule of the pipelines file."""
    given: dict[str, Any] = {"spec": {"cron": "0 6 * * *"}, "timezone": "Europe/Stockholm", "words": "daily at six"}
    return ScheduleRow(id=id_, pipeline="prices", **(given | more))


def claim(conn: Connection, limit: int = 1, now: datetime = NOON, only: frozenset[int] | None = None) -> list[Run]:
    """Claim up to `limit` runs."""
    (claimed,) = runs.claim(conn, [runs.Claim(limit, "here", now, only)])
    return claimed


def started(conn: Connection, *pipelines: str, **more: Any) -> list[Run]:
    """Queue a run of each pipeline and claim all that is queued."""
    runs.insert_runs(conn, [manual(pipeline, **more) for pipeline in pipelines])
    return claim(conn, len(pipelines))


def end(run: Run, state: RunState = RunState.SUCCEEDED, **more: Any) -> ends.Finish:
    """The end of a run's attempt."""
    names = ("error", "reason", "stages", "change", "messages")
    outcome = Outcome(state, **{name: more.pop(name) for name in names if name in more})
    given: dict[str, Any] = {"at": after(60), "next_state": state}
    return ends.Finish(run.id, run.attempt, outcome, **(given | more))


def finish(conn: Connection, *finishes: ends.Finish) -> list[bool]:
    """End attempts."""
    return ends.finish(conn, finishes)


def ids(found: Sequence[Run]) -> list[int]:
    """The ids of runs."""
    return [run.id for run in found]
