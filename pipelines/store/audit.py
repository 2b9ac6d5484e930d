"""Who asked for what: one row for each change that somebody asked for, in the transaction that makes the change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import Actor, Asked, AuditEntry, Run, Verb
from pipelines.store import bulk
from pipelines.store.face_schema import audit
from pipelines.store.rows import AnyRow

_CLAIM: dict[str, Any] = {
    "sqlite": sqlite.insert(audit).on_conflict_do_nothing(index_elements=["request_id"]).returning(audit.c.id),
    "postgresql": postgresql.insert(audit).on_conflict_do_nothing(index_elements=["request_id"]).returning(audit.c.id),
}
_BEFORE = select(audit.c.run_id).where(audit.c.request_id == bindparam("of"))
_SET_RUN = update(audit).where(audit.c.id == bindparam("of")).values(run_id=bindparam("made"))
_REQUEST = select(audit).where(audit.c.request_id == bindparam("of"))
_NEWEST = select(audit).order_by(audit.c.id.desc()).limit(bindparam("at_most"))


@dataclass(frozen=True, slots=True)
class Audited:
    """A change with its audit row: `fn` is called with `[arg]`, as the writer would; None: nothing is to be changed."""

    entry: AuditEntry
    fn: Callable[[Connection, Sequence[Any]], Sequence[Any]] | None = None
    arg: Any = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """What came of the same request when it arrived first."""

    run_id: int | None


def audited(conn: Connection, changes: Sequence[Audited]) -> list[Any]:
    """Make changes, each with its row; returns what each `fn` returned, or `Repeated` where it was made before."""
    return [_make(conn, change) for change in changes]


def record(conn: Connection, entries: Sequence[AuditEntry]) -> list[None]:
    """Store rows without a change, such as those of denials; a request that is there already stays as it is."""
    for entry in entries:
        conn.execute(_CLAIM[conn.dialect.name], _columns(entry))
    return [None] * len(entries)


def newest(conn: Connection, limit: int = 50, before_id: int | None = None) -> list[AuditEntry]:
    """Return the newest entries, newest first; only those before an entry where it is given."""
    found = _NEWEST if before_id is None else _NEWEST.where(audit.c.id < before_id)
    return [_to_entry(row) for row in conn.execute(found, {"at_most": limit})]


def of_request(conn: Connection, request_id: str) -> AuditEntry | None:
    """Return the entry of a request that took effect, or None."""
    row = conn.execute(_REQUEST, {"of": request_id}).one_or_none()
    return _to_entry(row) if row is not None else None


def _make(conn: Connection, change: Audited) -> Any:
    row_id = conn.execute(_CLAIM[conn.dialect.name], _columns(change.entry)).scalar_one_or_none()
    if row_id is None:
        return Repeated(conn.execute(_BEFORE, {"of": change.entry.asked.request_id}).scalar_one())
    if change.fn is None:
        return None
    (result,) = change.fn(conn, [change.arg])
    if isinstance(result, Run):
        bulk.execute(conn, _SET_RUN, [{"of": row_id, "made": result.id}])
    return result


def _columns(entry: AuditEntry) -> dict[str, Any]:
    asked = entry.asked
    return {
        "at": entry.at,
        "actor_id": asked.actor.id,
        "actor": asked.actor.name,
        "door": asked.door,
        "place": dict(asked.place),
        "request_id": asked.request_id,
        "verb": entry.verb.value,
        "target": entry.target,
        "detail": dict(entry.detail),
        "allowed": entry.allowed,
        "missing": entry.missing,
        "run_id": entry.run_id,
    }


def _to_entry(row: AnyRow) -> AuditEntry:
    number = row.actor_id.rpartition(":")[2]
    actor = Actor(row.actor_id, row.actor, int(number) if number.isdigit() else 0, roles=None)
    return AuditEntry(
        asked=Asked(actor, row.door, row.request_id, row.place),
        at=row.at,
        verb=Verb(row.verb),
        target=row.target,
        allowed=row.allowed,
        missing=row.missing,
        detail=row.detail,
        run_id=row.run_id,
        id=row.id,
    )
