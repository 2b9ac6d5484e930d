"""A schedule as Python programs see it: when it is due, how it stands, and how its runs went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.engine import Engine
from pipelines.model import Params, Run, RunState, ScheduleRow, ScheduleState
from pipelines.schedule_definition import TIMES
from pipelines.store.tallies import Tally, tallies


@dataclass(frozen=True, slots=True)
class Schedule:
    """One schedule. All instants are aware and UTC.

    `name` is its job id, `type` one of cron, interval, date, daily and hourly, `words` says for people when it is due,
    `spec` as a pipelines file would, in `timezone`. `enabled` is False while it is paused (`paused_until`: when it
    resumes itself, None: when somebody does) and once it is over; `next_run` is None then, and before the scheduler is
    started. `missing` is True while nothing in this program or its pipelines file is what it runs: it is kept, and
    does nothing. `source` is who made it: `python`, `file`, `chat`, …

    The counts are of its runs whose history is kept: `run_count` of those that ran to an end, `error_count` of those
    that failed, timed out or crashed, `success_rate` from 0 to 1 (None: none ran). `last_run` may still be going on.
    """

    name: str
    pipeline: str
    type: str
    words: str
    spec: Mapping[str, Any]
    timezone: str
    enabled: bool = True
    paused_until: datetime | None = None
    next_run: datetime | None = None
    last_run: Run | None = None
    run_count: int = 0
    success_count: int = 0
    error_count: int = 0
    context: Params = field(default_factory=dict)
    created_at: datetime | None = None
    source: str = "python"
    missing: bool = False

    @property
    def last_status(self) -> RunState | None:
        """How the last run stands or ended; None before the first."""
        return self.last_run.state if self.last_run is not None else None

    @property
    def success_rate(self) -> float | None:
        """Share of the runs that succeeded, 0–1; None when none ran."""
        return self.success_count / self.run_count if self.run_count else None


async def read_schedules(rows: Sequence[ScheduleRow], engine: Engine) -> list[Schedule]:
    """Return stored schedules as Python programs see them, in the same order."""
    counted = await engine.reader.read(tallies, [row.id for row in rows])
    return [_schedule(engine.jobs.with_next_due(row), counted[row.id], engine) for row in rows]


def _schedule(row: ScheduleRow, tally: Tally, engine: Engine) -> Schedule:
    return Schedule(
        name=row.id,
        pipeline=row.pipeline,
        type=type_of(row.spec),
        words=row.words,
        spec=row.spec,
        timezone=row.timezone,
        enabled=row.state is ScheduleState.ACTIVE,
        paused_until=row.paused_until,
        next_run=row.next_due_at,
        last_run=tally.last,
        run_count=tally.succeeded + tally.failed,
        success_count=tally.succeeded,
        error_count=tally.failed,
        context=row.params,
        created_at=row.created_at,
        source=row.source,
        missing=row.pipeline not in engine.catalog.pipelines,
    )


def type_of(spec: Mapping[str, Any]) -> str:
    """Return which of cron, interval, date, daily and hourly a schedule is."""
    kind = next(key for key in TIMES if key in spec)
    return "date" if kind == "at" else kind
