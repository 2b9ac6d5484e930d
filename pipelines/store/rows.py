"""From rows to the frozen values of `pipelines.model`, and back. What is read and written is said elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import Row

from pipelines.model import (
    Attempt,
    LogLine,
    NewRun,
    Occurrence,
    OccurrenceOutcome,
    Run,
    RunError,
    RunState,
    ScheduleRow,
    ScheduleState,
    StageCount,
    StartedBy,
)

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"


def _columns(row: AnyRow) -> dict[str, Any]:
    """Return the values of a row by column: asking the row itself for each costs ten times as much."""
    return dict(zip(row._fields, row, strict=True))


def to_run(row: AnyRow) -> Run:
    """Return the run that a row of `runs` tells of."""
    of = _columns(row)
    return Run(
        id=of["id"],
        pipeline=of["pipeline"],
        state=RunState(of["state"]),
        started_by=StartedBy(of["started_by"]),
        queued_at=of["queued_at"],
        schedule_id=of["schedule_id"],
        actor=of["actor"],
        params=of["params"],
        due_at=of["due_at"],
        started_at=of["started_at"],
        ended_at=of["ended_at"],
        not_before=of["not_before"],
        attempt=of["attempt"],
        max_attempts=of["max_attempts"],
        reason=of["reason"],
        error=to_error(of),
        items_in=of["items_in"],
        items_out=of["items_out"],
        definition_hash=of["definition_hash"],
        pool=of["pool"],
        lane=of["lane"],
        queue=of["queue"],
        priority=-of["rank"],
        owner=of["owner"],
        lease_until=of["lease_until"],
        version=of["version"],
        cancel_wish=of["cancel_wish"],
    )


def to_error(of: Mapping[str, Any]) -> RunError | None:
    """Return the error of a run or an attempt, given its columns, or None when it had none."""
    if of["error_type"] is None:
        return None
    return RunError(of["error_type"], of["error_message"] or "", of["error_stage"], of["error_traceback"])


def of_error(error: RunError | None) -> dict[str, str | None]:
    """Return the columns that hold an error."""
    return {
        "error_type": error.type if error else None,
        "error_message": error.message if error else None,
        "error_stage": error.stage if error else None,
        "error_traceback": error.traceback if error else None,
    }


def of_new_run(new: NewRun) -> dict[str, Any]:
    """Return the columns of a run that its asker decides on."""
    return {
        "pipeline": new.pipeline,
        "schedule_id": new.schedule_id,
        "due_at": new.due_at,
        "started_by": new.started_by.value,
        "actor": new.actor,
        "params": dict(new.params),
        "max_attempts": new.max_attempts,
        "max_instances": new.max_instances,
        "pool": new.pool,
        "lane": new.lane,
        "queue": new.queue,
        "rank": -new.priority,
        "at_most_once": new.at_most_once,
    }


def to_attempt(row: AnyRow) -> Attempt:
    """Return the attempt that a row of `attempts` tells of."""
    of = _columns(row)
    return Attempt(
        run_id=of["run_id"],
        number=of["number"],
        state=RunState(of["state"]),
        started_at=of["started_at"],
        ended_at=of["ended_at"],
        error=to_error(of),
        reason=of["reason"],
    )


def to_stage(row: AnyRow) -> StageCount:
    """Return the counts that a row of `stages` tells of."""
    return StageCount(row.position, row.name, row.items_in, row.items_out, row.busy_s)


def to_line(row: AnyRow) -> LogLine:
    """Return the line that a row of `logs` tells of."""
    return LogLine(row.at, row.level, row.source, row.text)


def to_schedule(row: AnyRow) -> ScheduleRow:
    """Return the schedule that a row of `schedules` tells of."""
    of = _columns(row)
    return ScheduleRow(
        id=of["id"],
        pipeline=of["pipeline"],
        spec=of["spec"],
        timezone=of["timezone"],
        words=of["words"],
        source=of["source"],
        state=ScheduleState(of["state"]),
        params=of["params"],
        created_at=of["created_at"],
        last_due_at=of["last_due_at"],
        actor_id=of["actor_id"],
        actor=of["actor"],
        paused_until=of["paused_until"],
        pause_reason=of["pause_reason"],
        removed_at=of["removed_at"],
    )


def of_schedule(schedule: ScheduleRow) -> dict[str, Any]:
    """Return the columns of a schedule that its definition decides on."""
    return {
        "id": schedule.id,
        "pipeline": schedule.pipeline,
        "spec": dict(schedule.spec),
        "timezone": schedule.timezone,
        "words": schedule.words,
        "source": schedule.source,
        "params": dict(schedule.params),
    }


def to_occurrence(row: AnyRow) -> Occurrence:
    """Return the occurrence that a row of `occurrences` tells of."""
    return Occurrence(row.schedule_id, row.due_at, OccurrenceOutcome(row.outcome), row.run_id, row.reason)
