"""Pipelines in trouble: opened, counted and closed in the transaction that ends a run; and alerts that are held back.

A pipeline has at most one open incident. A graver kind of trouble takes the place of a lesser one (in the order of
`IncidentKind`); a lesser one changes nothing. Where all goes well, this costs one look into a small index.
Who is told of it is decided elsewhere; here stands only what people know already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Insert, bindparam, exists, insert, literal_column, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import RETRYABLE_STATES, Incident, IncidentKind, Mute, RunState
from pipelines.store import bulk
from pipelines.store.columns import any_of
from pipelines.store.counts import Ended
from pipelines.store.face_schema import OPEN, incidents, mutes
from pipelines.store.rows import AnyRow
from pipelines.store.schema import in_states, runs

__all__ = ["Mute"]

_BAD = RETRYABLE_STATES | {RunState.MISSED}
_LATE_AT_ONCE = 1000

OPEN_ONES: Any = literal_column(f"incidents.{OPEN}")
"""The condition that an incident is open, spelled so that its index serves it."""
_BY_NAME = select(incidents).order_by(incidents.c.pipeline)  # in one order everywhere: two could wait for each other's
_OPEN_OF = _BY_NAME.where(OPEN_ONES, any_of(incidents.c.pipeline, "names")).with_for_update()
_INSERT_CLOSED = insert(incidents)
_MOVE = (
    update(incidents)
    .where(incidents.c.id == bindparam("of"), OPEN_ONES)
    .values({name: bindparam(f"new_{name}") for name in ("last_at", "last_run_id", "count", "summary", "version")})
    .values(closed_at=bindparam("new_closed_at"), closing_run_id=bindparam("new_closing_run_id"))
)
_COUNT_MUTED = (
    update(mutes)
    .where(mutes.c.pipeline == bindparam("of"), or_(mutes.c.until.is_(None), mutes.c.until > bindparam("now")))
    .values(suppressed=mutes.c.suppressed + bindparam("more"))
)


def _insert_open(insert_into: Any) -> Any:
    """Open an incident; where somebody opened one meanwhile, count there."""
    new = insert_into.excluded
    return insert_into.on_conflict_do_update(
        index_elements=["pipeline"],
        index_where=literal_column(OPEN),
        set_={
            "count": incidents.c.count + new.count,
            "last_at": new.last_at,
            "last_run_id": new.last_run_id,
            "summary": new.summary,
            "version": incidents.c.version + 1,
        },
    )


_INSERT_OPEN: dict[str, Insert] = {
    "sqlite": _insert_open(sqlite.insert(incidents)),
    "postgresql": _insert_open(postgresql.insert(incidents)),
}


def _put_mute(insert_into: Any) -> Any:
    new = insert_into.excluded
    return insert_into.on_conflict_do_update(
        index_elements=["pipeline"], set_={"until": new.until, "at": new.at, "actor": new.actor}
    )


_PUT_MUTE: dict[str, Insert] = {
    "sqlite": _put_mute(sqlite.insert(mutes)),
    "postgresql": _put_mute(postgresql.insert(mutes)),
}
_CHANGED = (
    update(incidents).where(OPEN_ONES, incidents.c.pipeline == bindparam("of")).values(version=incidents.c.version + 1)
)
_LIFT = update(mutes).where(mutes.c.pipeline == bindparam("of")).values(until=bindparam("now"))
_NEWEST_OPEN = select(incidents).where(OPEN_ONES).order_by(incidents.c.id.desc()).limit(bindparam("at_most"))
_GET = select(incidents).where(incidents.c.id == bindparam("of"))
_ACKNOWLEDGE = (
    update(incidents)
    .where(incidents.c.id == bindparam("of"), OPEN_ONES)
    .values(acknowledged_by=bindparam("by"), version=incidents.c.version + 1)
)

# ---------------------------------------------------------------- the course of trouble


def follow(conn: Connection, ended: Iterable[Ended]) -> None:
    """Open, count and close incidents as runs end, in the order given.

    Failed, timed out, crashed and missed runs open one or count, and so does a success with too few items, which ends
    all other trouble; any other success closes it. Of other ends, that of a slow run is the end of its being slow.
    """
    moves = list(ended)
    if not moves:
        return
    rows = conn.execute(_OPEN_OF, {"names": {end.pipeline for end in moves}})
    courses = {row.pipeline: [to_incident(row)] for row in rows}
    bad = Counter(end.pipeline for end in moves if end.state in _BAD or end.empty)
    if not courses and not bad:
        return
    for end in moves:
        _move(courses.setdefault(end.pipeline, []), end)
    _store(conn, [incident for name in sorted(courses) for incident in courses[name]])
    now = max(end.at for end in moves)
    bulk.execute(conn, _COUNT_MUTED, [{"of": name, "now": now, "more": bad[name]} for name in sorted(bad)])


def _move(course: list[Incident], end: Ended) -> None:
    """Take one end into a pipeline's incidents, of which the last may be open."""
    last = course[-1] if course and course[-1].open else None
    kind, summary = _kind(end), end.empty or end.error or ""
    if kind is not None and last is not None and kind is last.kind:
        course[-1] = replace(
            last,
            last_at=end.at,
            last_run_id=end.run_id,
            count=last.count + 1,
            summary=summary,
            version=last.version + 1,
        )
        return
    slow_no_more = last is not None and last.kind is IncidentKind.SLOW and last.last_run_id == end.run_id
    takes_over = kind is not None and (last is None or kind.graver(last.kind))
    if last is not None and (end.state is RunState.SUCCEEDED or slow_no_more or takes_over):
        course[-1] = _closed(last, end)
    if kind is not None and (takes_over or end.empty):
        course.append(Incident(end.pipeline, kind, end.at, end.at, end.run_id, end.run_id, summary=summary))


def _kind(end: Ended) -> IncidentKind | None:
    """Return the trouble that an end is, None where it is none."""
    if end.empty:
        return IncidentKind.EMPTY
    if end.state is RunState.MISSED:
        return IncidentKind.MISSED
    return IncidentKind.FAILURE if end.state in RETRYABLE_STATES else None


def _closed(incident: Incident, end: Ended) -> Incident:
    return replace(incident, closed_at=end.at, closing_run_id=end.run_id, version=incident.version + 1)


def _store(conn: Connection, course: Sequence[Incident]) -> None:
    """Store incidents: those that are there already first, so that a new one finds the place of an open one free."""
    known = [
        {
            "of": each.id,
            "new_last_at": each.last_at,
            "new_last_run_id": each.last_run_id,
            "new_count": each.count,
            "new_summary": each.summary,
            "new_version": each.version,
            "new_closed_at": each.closed_at,
            "new_closing_run_id": each.closing_run_id,
        }
        for each in course
        if each.id
    ]
    bulk.execute(conn, _MOVE, known)
    new = [each for each in course if not each.id]
    bulk.execute(conn, _INSERT_CLOSED, [_columns(each) for each in new if not each.open])
    bulk.execute(conn, _INSERT_OPEN[conn.dialect.name], [_columns(each) for each in new if each.open])


def _columns(incident: Incident) -> dict[str, Any]:
    return {
        "pipeline": incident.pipeline,
        "kind": incident.kind.value,
        "opened_at": incident.opened_at,
        "last_at": incident.last_at,
        "first_run_id": incident.first_run_id,
        "last_run_id": incident.last_run_id,
        "count": incident.count,
        "summary": incident.summary,
        "closed_at": incident.closed_at,
        "closing_run_id": incident.closing_run_id,
        "version": incident.version,
    }


def open_found(conn: Connection, found: Sequence[tuple[Incident, bool]]) -> list[bool]:
    """Open incidents that no end of a run brought, where True stands with them, and they are graver than what is open.

    Tells of each whether it was opened.
    """
    rows = conn.execute(_OPEN_OF, {"names": {each.pipeline for each, _ in found}})
    courses = {row.pipeline: [to_incident(row)] for row in rows}
    opened: list[bool] = []
    for new, true in found:
        course = courses.setdefault(new.pipeline, [])
        last = course[-1] if course else None
        opened.append(true and (last is None or new.kind.graver(last.kind)))
        if opened[-1]:
            if last is not None:
                course[-1] = replace(last, closed_at=new.last_at, version=last.version + 1)
            course.append(new)
    _store(conn, [incident for name in sorted(courses) for incident in courses[name]])
    return opened


@dataclass(frozen=True, slots=True)
class Late:
    """A scheduled run that still waits for its start; `due_at` is its instant."""

    run_id: int
    pipeline: str
    due_at: datetime


_WAITING = in_states(RunState.QUEUED)
_OVERDUE = (
    select(runs.c.id, runs.c.pipeline, runs.c.due_at)
    .where(
        _WAITING,
        runs.c.due_at <= bindparam("before"),
        not_(exists().where(OPEN_ONES, incidents.c.pipeline == runs.c.pipeline)),
    )
    .order_by(runs.c.id)
    .limit(_LATE_AT_ONCE)
)
_STILL_WAITING = select(runs.c.id).where(_WAITING, any_of(runs.c.id, "ids"))


def overdue(conn: Connection, before: datetime) -> list[Late]:
    """Return scheduled runs, oldest first, that wait for their start though they were due `before`.

    Those of pipelines that have an open incident are left out.
    """
    return [Late(row.id, row.pipeline, row.due_at) for row in conn.execute(_OVERDUE, {"before": before})]


def open_late(conn: Connection, lates: Sequence[tuple[Late, datetime]]) -> list[bool]:
    """Open incidents of late runs, each found late at an instant; False where one started or its pipeline has one."""
    waiting = set(conn.execute(_STILL_WAITING, {"ids": [late.run_id for late, _ in lates]}).scalars())
    taken = set(conn.execute(_OPEN_OF, {"names": {late.pipeline for late, _ in lates}}).scalars(1))
    opened: list[bool] = []
    new: list[Incident] = []
    for late, at in lates:
        opened.append(late.run_id in waiting and late.pipeline not in taken)
        if opened[-1]:
            taken.add(late.pipeline)
            summary = f"run #{late.run_id} has not started"
            new.append(
                Incident(late.pipeline, IncidentKind.LATE, late.due_at, at, late.run_id, late.run_id, summary=summary)
            )
    _store(conn, new)
    return opened


# ---------------------------------------------------------------- what people do about it


def mute(conn: Connection, wishes: Sequence[Mute]) -> list[None]:
    """Hold back the alerts of pipelines; one that is muted already keeps its count. Its message is due for a change."""
    rows = [{"pipeline": each.pipeline, "until": each.until, "at": each.at, "actor": each.actor} for each in wishes]
    bulk.execute(conn, _PUT_MUTE[conn.dialect.name], rows)
    bulk.execute(conn, _CHANGED, [{"of": each.pipeline} for each in wishes])
    return [None] * len(wishes)


def unmute(conn: Connection, wishes: Sequence[tuple[str, datetime]]) -> list[None]:
    """End the mutes of pipelines, each at an instant: what was held back is told at the next look."""
    bulk.execute(conn, _LIFT, [{"of": name, "now": at} for name, at in wishes])
    return [None] * len(wishes)


def acknowledge(conn: Connection, wishes: Sequence[tuple[int, str]]) -> list[None]:
    """Note who looks after open incidents, each given by its id and the name of that person."""
    bulk.execute(conn, _ACKNOWLEDGE, [{"of": incident_id, "by": name} for incident_id, name in wishes])
    return [None] * len(wishes)


def get(conn: Connection, incident_id: int) -> Incident | None:
    """Return an incident, or None."""
    row = conn.execute(_GET, {"of": incident_id}).one_or_none()
    return to_incident(row) if row is not None else None


def open_now(conn: Connection, limit: int) -> list[Incident]:
    """Return the incidents that are open, newest first."""
    return [to_incident(row) for row in conn.execute(_NEWEST_OPEN, {"at_most": limit})]


def to_incident(row: AnyRow) -> Incident:
    """Return the incident that a row tells of."""
    of = dict(zip(row._fields, row, strict=True))
    return Incident(**of | {"kind": IncidentKind(of["kind"])})
