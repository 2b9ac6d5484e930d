"""What there is to know about runs and occurrences, read only.

None of it slows down with a million runs: each question has an index that answers it newest first, and counts are kept
as runs end.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, func, literal_column, select

from pipelines.model import (
    LIVE_STATES,
    Attempt,
    Occurrence,
    OccurrenceOutcome,
    PipelineStats,
    Run,
    RunState,
    StageCount,
)
from pipelines.store import schema
from pipelines.store.columns import any_of
from pipelines.store.rows import AnyRow, to_attempt, to_occurrence, to_run, to_stage
from pipelines.store.schema import in_states

_RUN = select(schema.runs).where(schema.runs.c.id == bindparam("of"))
_OF_IDS = select(schema.runs).where(any_of(schema.runs.c.id, "ids")).order_by(schema.runs.c.id)
_ATTEMPTS = (
    select(schema.attempts).where(schema.attempts.c.run_id == bindparam("of")).order_by(schema.attempts.c.number)
)
_OF_RUN = schema.stages.c.run_id == bindparam("of")
_STAGES = select(schema.stages).where(_OF_RUN).order_by(schema.stages.c.position)
_STAGES_OF_ATTEMPT = _STAGES.where(schema.stages.c.attempt == bindparam("number"))
_STAGES_OF_LAST = _STAGES.where(
    schema.stages.c.attempt == select(func.max(schema.stages.c.attempt)).where(_OF_RUN).scalar_subquery()
)
_COUNTS = select(
    schema.run_counts.c.pipeline,
    schema.run_counts.c.state,
    schema.run_counts.c.count.label("counted"),
    schema.run_counts.c.last_ended_at,
    schema.run_counts.c.last_error,
).order_by(schema.run_counts.c.pipeline)
_NAMED = case((any_of(schema.run_counts.c.pipeline, "names"), schema.run_counts.c.pipeline), else_="").label("named")
_TALLY = select(
    _NAMED,
    schema.run_counts.c.state,
    func.sum(schema.run_counts.c.count).label("counted"),
    func.max(schema.run_counts.c.last_ended_at).label("last"),
).group_by("named", schema.run_counts.c.state)
_EXECUTED = (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED, RunState.CANCELLED)
_NEWEST = (
    select(func.max(schema.runs.c.id))
    .where(
        schema.runs.c.pipeline == schema.run_counts.c.pipeline,
        schema.runs.c.state == schema.run_counts.c.state,
        literal_column(f"runs.{schema.OVER}"),
    )
    .correlate(schema.run_counts)
    .scalar_subquery()
)
_LAST_EXECUTED = select(schema.runs).where(
    schema.runs.c.id.in_(
        select(func.max(_NEWEST))
        .where(schema.run_counts.c.state.in_([state.value for state in _EXECUTED]))
        .group_by(schema.run_counts.c.pipeline)
    )
)
"""The counts say which pipelines ended a run in which state: the newest of each is one step into an index."""
_DURATIONS = (
    select(schema.runs.c.started_at, schema.runs.c.ended_at)
    .where(in_states(RunState.SUCCEEDED), schema.runs.c.pipeline == bindparam("name"))
    .order_by(schema.runs.c.id.desc())
    .limit(bindparam("at_most"))
)
_LIVE = in_states(RunState.QUEUED, RunState.RUNNING, RunState.WAITING_RETRY)
_UNFINISHED = select(schema.runs.c.id).where(_LIVE, any_of(schema.runs.c.id, "ids"))
_QUEUE_DEPTH = select(func.count()).select_from(schema.runs).where(in_states(RunState.QUEUED))
_PIPELINES = select(schema.schedules.c.id, schema.schedules.c.pipeline).where(any_of(schema.schedules.c.id, "ids"))
_FAILURES = (RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED)


def run(conn: Connection, run_id: int) -> Run | None:
    """Return a run, or None."""
    row = conn.execute(_RUN, {"of": run_id}).one_or_none()
    return to_run(row) if row is not None else None


def live(conn: Connection, limit: int) -> list[Run]:
    """Return the newest `limit` runs of each state that is not over, oldest first."""
    found = {run.id: run for state in LIVE_STATES for run in runs(conn, state=state, limit=limit)}
    return [found[run_id] for run_id in sorted(found)]


def of_ids(conn: Connection, ids: Iterable[int]) -> list[Run]:
    """Return those of the runs that are there, oldest first."""
    return [to_run(row) for row in conn.execute(_OF_IDS, {"ids": list(ids)})]


def runs(
    conn: Connection,
    *,
    pipeline: str | None = None,
    state: RunState | None = None,
    schedule_id: str | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Run]:
    """Return runs, newest first: at most `limit`, and only those older than run `before_id` where it is given."""
    found: Select[Any] = select(schema.runs).order_by(schema.runs.c.id.desc()).limit(limit)
    if pipeline is not None:
        found = found.where(schema.runs.c.pipeline == pipeline)
    if state is not None:
        found = found.where(in_states(state))
    if schedule_id is not None:
        found = found.where(schema.runs.c.schedule_id == schedule_id)
    if before_id is not None:
        found = found.where(schema.runs.c.id < before_id)
    return [to_run(row) for row in conn.execute(found)]


def last_executed(conn: Connection) -> list[Run]:
    """Return the newest run of each pipeline that was executed to an end, good or bad, or cancelled."""
    return [to_run(row) for row in conn.execute(_LAST_EXECUTED)]


def durations(conn: Connection, pipeline: str, limit: int = 30) -> list[float]:
    """Return how long a pipeline's newest successful runs took, in seconds, newest first."""
    rows = conn.execute(_DURATIONS, {"name": pipeline, "at_most": limit})
    return [(row.ended_at - row.started_at).total_seconds() for row in rows if row.started_at and row.ended_at]


def attempts(conn: Connection, run_id: int) -> list[Attempt]:
    """Return a run's attempts in their order."""
    return [to_attempt(row) for row in conn.execute(_ATTEMPTS, {"of": run_id})]


def stages(conn: Connection, run_id: int, attempt: int | None = None) -> list[StageCount]:
    """Return the counts of an attempt's stages in their order; None: of the last attempt that has any."""
    asked = {"of": run_id, "number": attempt}
    return [to_stage(row) for row in conn.execute(_STAGES_OF_LAST if attempt is None else _STAGES_OF_ATTEMPT, asked)]


def stats(conn: Connection, pipeline: str | None = None) -> list[PipelineStats]:
    """Return the counts of each pipeline that has runs which are over, by name; or of one pipeline only.

    Executed are runs that succeeded, failed, timed out or crashed; the last three count as failed. `last_error` is the
    newest error there was, `last_ended_at` the end of the last run that was executed.
    """
    found = _COUNTS if pipeline is None else _COUNTS.where(schema.run_counts.c.pipeline == pipeline)
    return [_stats(name, list(rows)) for name, rows in groupby(conn.execute(found), key=_pipeline)]


def tally(conn: Connection, names: Iterable[str]) -> list[tuple[str, RunState, int, datetime]]:
    """Return how many runs of each named pipeline ended in each state, and when the last did; others count as ''."""
    found = conn.execute(_TALLY, {"names": list(names)})
    return [(row.named, RunState(row.state), int(row.counted), row.last) for row in found]


def occurrences(
    conn: Connection,
    *,
    schedule_id: str | None = None,
    outcome: OccurrenceOutcome | None = None,
    limit: int = 50,
) -> list[Occurrence]:
    """Return occurrences, the latest instant first."""
    table = schema.occurrences
    found = select(table).order_by(table.c.due_at.desc()).limit(limit)
    if schedule_id is not None:
        found = found.where(table.c.schedule_id == schedule_id)
    if outcome is not None:
        found = found.where(schema.with_outcome(outcome))
    return [to_occurrence(row) for row in conn.execute(found)]


def ledger(conn: Connection, schedule_id: str | None = None, limit: int = 50) -> list[tuple[Occurrence, str]]:
    """Return the instants that did not become runs, of one schedule or of all, with the pipeline, latest first."""
    unrun = (OccurrenceOutcome.MISSED, OccurrenceOutcome.SKIPPED)
    found = [each for one in unrun for each in occurrences(conn, schedule_id=schedule_id, outcome=one, limit=limit)]
    pipelines = {
        row.id: row.pipeline for row in conn.execute(_PIPELINES, {"ids": {each.schedule_id for each in found}})
    }
    newest = sorted(found, key=lambda each: (each.due_at, each.schedule_id), reverse=True)[:limit]
    return [(each, pipelines.get(each.schedule_id, "")) for each in newest]


def unfinished(conn: Connection, ids: Iterable[int]) -> frozenset[int]:
    """Return those of the runs that are not over."""
    return frozenset(conn.execute(_UNFINISHED, {"ids": list(ids)}).scalars())


def queue_depth(conn: Connection) -> int:
    """Return how many runs wait for their start."""
    return int(conn.execute(_QUEUE_DEPTH).scalar_one())


def _stats(pipeline: str, rows: Iterable[AnyRow]) -> PipelineStats:
    by_state = {RunState(row.state): row for row in rows}
    counted = {state: int(row.counted) for state, row in by_state.items()}
    succeeded = counted.get(RunState.SUCCEEDED, 0)
    failed = sum(counted.get(state, 0) for state in _FAILURES)
    bad = [by_state[state] for state in _FAILURES if state in by_state]
    good = [by_state[RunState.SUCCEEDED]] if succeeded else []
    return PipelineStats(
        pipeline=pipeline,
        executed=succeeded + failed,
        succeeded=succeeded,
        failed=failed,
        skipped=counted.get(RunState.SKIPPED, 0),
        missed=counted.get(RunState.MISSED, 0),
        last_error=max(bad, key=_ended_at).last_error if bad else None,
        last_ended_at=_ended_at(max(good + bad, key=_ended_at)) if good or bad else None,
    )


def _pipeline(row: AnyRow) -> str:
    return str(row.pipeline)


def _ended_at(row: AnyRow) -> datetime:
    ended_at: datetime = row.last_ended_at
    return ended_at
