"""Due instants become runs, each exactly once.

The row of the occurrence and the row of its run go in one transaction, and the primary key of the first refuses whoever
comes second. Reading occurrences is in `history`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import NewRun, OccurrenceOutcome, Overlap, Run, RunState, ScheduleState, utcnow
from pipelines.store import bulk, counts, incidents, overlaps, questions, runs
from pipelines.store.columns import any_of
from pipelines.store.rows import AnyRow
from pipelines.store.schema import occurrences, schedules

_OUTCOMES = {
    RunState.QUEUED: OccurrenceOutcome.RUN,
    RunState.SKIPPED: OccurrenceOutcome.SKIPPED,
    RunState.MISSED: OccurrenceOutcome.MISSED,
}
_INSERTS: dict[str, Any] = {
    "sqlite": sqlite.insert(occurrences).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(occurrences).on_conflict_do_nothing(),
}
_STORED = select(occurrences.c.run_id).where(
    any_of(occurrences.c.schedule_id, "ids"),
    occurrences.c.due_at >= bindparam("first"),
    occurrences.c.due_at <= bindparam("last"),
)
_SKIP = (
    update(occurrences)
    .where(occurrences.c.schedule_id == bindparam("of"), occurrences.c.due_at == bindparam("instant"))
    .values(outcome=OccurrenceOutcome.SKIPPED.value, reason=bindparam("why"))
)
_OPEN = (
    select(schedules.c.id, schedules.c.state, schedules.c.last_due_at)
    .where(any_of(schedules.c.id, "ids"))
    .order_by(schedules.c.id)
    .with_for_update()
)
_ADVANCE = (
    update(schedules)
    .where(
        any_of(schedules.c.id, "ids"),
        or_(schedules.c.last_due_at.is_(None), schedules.c.last_due_at < bindparam("instant")),
    )
    .values(last_due_at=bindparam("instant"))
)


@dataclass(frozen=True, slots=True)
class Due:
    """A schedule's instant that has come: `run` names the schedule and the instant.

    `state` is queued for a run that shall start, or skipped or missed for one that shall only be told of, with its
    `reason`. `overlap` says what holds while another run of the schedule waits or goes on; a `replay` of what was
    missed may wait in line behind others. For one that is missed, `ask` is the target where people are asked about it.
    """

    run: NewRun
    state: RunState = RunState.QUEUED
    reason: str | None = None
    replay: bool = False
    overlap: Overlap = Overlap.QUEUE
    ask: str | None = None


@dataclass(frozen=True, slots=True)
class _Won:
    """An occurrence that was not there before, and the run that it becomes."""

    due: Due
    run: Run


def record_due(conn: Connection, dues: Sequence[Due]) -> list[Run | None]:
    """Record due instants; None for one that was recorded before, by whomever, or that its schedule has given up.

    It has while it is paused or retired, and what lies before its last instant: whoever slept through a pause, or has
    not heard of it yet, does not make up for it. Runs that others of their schedule stand in the way of are recorded
    as skipped (`overlaps`).

    Raises:
        ValueError: a run names no schedule or no instant, or its state is none of queued, skipped, missed.
    """
    wanted = _wanted(conn, dues)
    now = utcnow()
    numbered = dict(zip(runs.reserve_ids(conn, len(wanted)), wanted, strict=True))
    winners = _insert(conn, numbered)
    won = [_Won(due, _run(due, run_id, now)) for run_id, due in numbered.items() if run_id in winners]
    won = _skip_overlapping(conn, won)
    runs.store(conn, [each.due.run for each in won], [each.run for each in won])
    missed = [each for each in won if each.run.state is RunState.MISSED]
    incidents.follow(conn, [_missed(each.run, now) for each in missed if each.due.ask is None])
    questions.ask(conn, _asks(missed, now))
    made = {id(each.due): each.run for each in won}
    return [made.get(id(due)) for due in dues]


def _wanted(conn: Connection, dues: Sequence[Due]) -> list[Due]:
    """Return those of which something may be recorded, and move their schedules forward.

    First, because on PostgreSQL it makes two that handle the same schedule wait for each other.
    """
    instants = [_instant(due) for due in dues]
    stored = {row.id: row for row in conn.execute(_OPEN, {"ids": sorted({each for each, _ in instants})})}
    found = [(due, each) for due, each in zip(dues, instants, strict=True) if _open(stored.get(each[0]), each[1])]
    advance(conn, [each for _, each in found])
    return [due for due, _ in found]


def _open(row: AnyRow | None, due_at: datetime) -> bool:
    """Tell whether an instant is one that its schedule still waits for; one of which there is no row waits for any."""
    if row is None:
        return True
    return bool(row.state == ScheduleState.ACTIVE) and (row.last_due_at is None or due_at > row.last_due_at)


def record_slices(conn: Connection, slices: Sequence[Sequence[Due]]) -> list[list[Run | None]]:
    """Do as `record_due` for several callers' slices at once."""
    recorded = iter(record_due(conn, [due for each in slices for due in each]))
    return [list(islice(recorded, len(each))) for each in slices]


def advance(conn: Connection, instants: Iterable[tuple[str, datetime]]) -> None:
    """Move the newest handled instants of schedules (id, instant) forward; never back."""
    newest: dict[str, datetime] = {}
    for schedule_id, due_at in instants:
        newest[schedule_id] = max(due_at, newest.get(schedule_id, due_at))
    together: dict[datetime, list[str]] = {}
    for schedule_id in sorted(newest):
        together.setdefault(newest[schedule_id], []).append(schedule_id)
    rows = [{"ids": ids, "instant": instant} for instant, ids in sorted(together.items())]
    bulk.execute(conn, _ADVANCE, rows)


def _instant(due: Due) -> tuple[str, datetime]:
    if due.run.schedule_id is None or due.run.due_at is None or due.state not in _OUTCOMES:
        raise ValueError(f"a due run needs a schedule, an instant, and one of {', '.join(_OUTCOMES)}; got {due!r}")
    return due.run.schedule_id, due.run.due_at


def _insert(conn: Connection, numbered: Mapping[int, Due]) -> set[int]:
    """Insert what is not there yet; return the numbers of those."""
    rows = [
        {
            "schedule_id": due.run.schedule_id,
            "due_at": due.run.due_at,
            "outcome": _OUTCOMES[due.state].value,
            "run_id": run_id,
            "reason": due.reason,
        }
        for run_id, due in numbered.items()
    ]
    if not rows:
        return set()
    bulk.execute(conn, _INSERTS[conn.dialect.name], rows)
    instants = [due.run.due_at for due in numbered.values() if due.run.due_at is not None]
    asked = {"ids": {row["schedule_id"] for row in rows}, "first": min(instants), "last": max(instants)}
    return set(conn.execute(_STORED, asked).scalars()) & numbered.keys()


def _run(due: Due, run_id: int, now: datetime) -> Run:
    made = runs.queued(due.run, run_id, now)
    return made if due.state is RunState.QUEUED else replace(made, state=due.state, reason=due.reason, ended_at=now)


def _asks(missed: Sequence[_Won], now: datetime) -> list[questions.Ask]:
    """Return what people are to be asked, job by job."""
    instants: dict[tuple[str, str, str], list[datetime]] = {}
    for each in missed:
        schedule_id, due_at = _instant(each.due)
        if each.due.ask is not None:
            instants.setdefault((schedule_id, each.run.pipeline, each.due.ask), []).append(due_at)
    return [questions.Ask(*of, instants=found, at=now) for of, found in instants.items()]


def _missed(run: Run, now: datetime) -> counts.Ended:
    return counts.Ended(run.pipeline, run.state, now, run.reason, run.id)


def _skip_overlapping(conn: Connection, won: Sequence[_Won]) -> list[_Won]:
    """Turn those into skipped ones that other runs of their schedule stand in the way of."""
    queued = [each for each in won if each.run.state is RunState.QUEUED]
    wanted = [overlaps.Queued(each.run, each.due.overlap, each.due.replay) for each in queued]
    reasons = overlaps.skipped(conn, wanted)
    bulk.execute(
        conn,
        _SKIP,
        [
            {"of": each.run.schedule_id, "instant": each.run.due_at, "why": reasons[each.run.id]}
            for each in queued
            if each.run.id in reasons
        ],
    )
    return [_Won(each.due, _skipped(each.run, reasons.get(each.run.id))) for each in won]


def _skipped(run: Run, why: str | None) -> Run:
    return run if why is None else replace(run, state=RunState.SKIPPED, reason=why, ended_at=run.queued_at)
