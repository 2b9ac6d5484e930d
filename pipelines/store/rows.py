"""From rows to the frozen values of `pipelines.model`, and back. What is read and written is said elsewhere."""

from __future__ import annotations

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


def to_run(row: AnyRow) -> Run:
    """Return the run that a row of `runs` tells of."""
    return Run(
        id=row.id,
        pipeline=row.pipeline,
        state=RunState(row.state),
        started_by=StartedBy(row.started_by),
        queued_at=row.queued_at,
        schedule_id=row.schedule_id,
        actor=row.actor,
        params=row.params,
        due_at=row.due_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        not_before=row.not_before,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        reason=row.reason,
        error=to_error(row),
        items_in=row.items_in,
        items_out=row.items_out,
        definition_hash=row.definition_hash,
    )


def to_error(row: AnyRow) -> RunError | None:
    """Return the error of a run or an attempt, or None when it had none."""
    if row.error_type is None:
        return None
    return RunError(row.error_type, row.error_message or "", row.error_stage, row.error_traceback)


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
    }


def to_attempt(row: AnyRow) -> Attempt:
    """Return the attempt that a row of `attempts` tells of."""
    return Attempt(
        run_id=row.run_id,
        number=row.number,
        state=RunState(row.state),
        started_at=row.started_at,
        ended_at=row.ended_at,
        error=to_error(row),
        reason=row.reason,
    )


def to_stage(row: AnyRow) -> StageCount:
    """Return the counts that a row of `stages` tells of."""
    return StageCount(row.position, row.name, row.items_in, row.items_out, row.busy_s)


def to_line(row: AnyRow) -> LogLine:
    """Return the line that a row of `logs` tells of."""
    return LogLine(row.at, row.level, row.source, row.text)


def to_schedule(row: AnyRow) -> ScheduleRow:
    """Return the schedule that a row of `schedules` tells of."""
    return ScheduleRow(
        id=row.id,
        pipeline=row.pipeline,
        spec=row.spec,
        timezone=row.timezone,
        words=row.words,
        source=row.source,
        state=ScheduleState(row.state),
        params=row.params,
        created_at=row.created_at,
        last_due_at=row.last_due_at,
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
