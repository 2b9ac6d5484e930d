"""A schedule with all that its runs need to know of their pipeline, and the run of one of its instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pipelines.catalog import ScheduleEntry
from pipelines.definition import OnCrash, PipelineDefinition
from pipelines.model import DEFAULT_QUEUE, NewRun, Overlap, StartedBy


@dataclass(slots=True)
class Scheduled:
    """A schedule on the timetable: `last` is the newest instant handled so far (UTC).

    `ask` is the target where people are asked about what it missed (None: nowhere).
    """

    entry: ScheduleEntry
    last: datetime
    max_attempts: int
    max_instances: int
    overlap: Overlap = Overlap.QUEUE
    pool: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    at_most_once: bool = False
    ask: str | None = None

    @classmethod
    def of(cls, entry: ScheduleEntry, definition: PipelineDefinition, *, last: datetime) -> Self:
        """Return a schedule with what its pipeline says of all runs; its own word on overlap wins."""
        return cls(
            entry=entry,
            last=last,
            max_attempts=definition.retry.attempts,
            max_instances=definition.max_instances,
            overlap=entry.definition.overlap or definition.overlap,
            pool=definition.pool,
            queue=definition.queue,
            priority=definition.priority,
            at_most_once=definition.on_crash is OnCrash.FAIL,
        )


def new_run(scheduled: Scheduled, due_at: datetime) -> NewRun:
    """Return the run of a schedule's instant (UTC)."""
    entry = scheduled.entry
    return NewRun(
        pipeline=entry.pipeline,
        started_by=StartedBy.SCHEDULE,
        params=entry.params,
        schedule_id=entry.id,
        due_at=due_at,
        max_attempts=scheduled.max_attempts,
        max_instances=scheduled.max_instances,
        pool=scheduled.pool,
        queue=scheduled.queue,
        priority=scheduled.priority,
        at_most_once=scheduled.at_most_once,
        lane=None if scheduled.overlap is Overlap.ALLOW else entry.id,
    )
