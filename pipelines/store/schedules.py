"""Schedules: those of the pipelines file, made to match it, and those that people add beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import ScheduleRow, ScheduleState, utcnow
from pipelines.store import bulk, occurrences, sharing, signals
from pipelines.store.columns import any_of
from pipelines.store.rows import of_schedule, to_schedule
from pipelines.store.schema import schedules
from pipelines.store.signals import Signal, SignalKind

FILE = "file"
"""The source of schedules that stand in the pipelines file."""
PYTHON = "python"
"""The source of those that a program made by `PipelineScheduler`, and the name of that door."""

_ID = schedules.c.id == bindparam("of")
_ALL = select(schedules).order_by(schedules.c.id)
_IN_PAGES = _ALL.execution_options(yield_per=2_000)
"""In pages: over 100,000 at once a server would take this transaction for one that was forgotten, and end it."""
_NOT_RETIRED = _ALL.where(schedules.c.state != ScheduleState.RETIRED.value)
_ONE = select(schedules).where(_ID)
_THESE = _ALL.where(any_of(schedules.c.id, "ids"))
_SOME = select(schedules.c.id).where(any_of(schedules.c.id, "ids"))
_INSERT = insert(schedules)
_ADD: dict[str, Any] = {
    "sqlite": sqlite.insert(schedules).on_conflict_do_nothing().returning(schedules),
    "postgresql": postgresql.insert(schedules).on_conflict_do_nothing().returning(schedules),
}
_DEFINITION = ("pipeline", "spec", "timezone", "words", "source", "params")
_REDEFINE = (
    update(schedules)
    .where(_ID)
    .values(
        **{name: bindparam(f"new_{name}", type_=schedules.c[name].type) for name in _DEFINITION},
        state=bindparam("to"),
        last_due_at=bindparam("instant"),
        paused_until=bindparam("until"),
        pause_reason=bindparam("why"),
    )
)
_RETIRE = update(schedules).where(_ID).values(state=ScheduleState.RETIRED.value)
_SET_STATE = (
    update(schedules)
    .where(_ID)
    .values(
        state=bindparam("to"),
        paused_until=bindparam("until"),
        pause_reason=bindparam("why"),
        removed_at=bindparam("gone_at"),
    )
)
_MAKE_ROOM = delete(schedules).where(
    any_of(schedules.c.id, "ids"), schedules.c.source != FILE, schedules.c.state == ScheduleState.RETIRED.value
)
_REMOVE = delete(schedules).where(_ID)
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7306006, hashtext(current_schema()))")


@dataclass(frozen=True, slots=True)
class SyncFile:
    """The schedules of the pipelines file, as they stand at `at`: all of them, or `only` those of some ids.

    `absent` says that this program has no file: where it shares the store, those of the file of others stay.
    """

    rows: Sequence[ScheduleRow]
    at: datetime
    only: frozenset[str] | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class SetState:
    """A wish that a schedule be paused, active or retired from `at` on.

    A paused one has `reason`, and `until` where it shall resume itself. A retired one was `removed` by somebody, or has
    nothing left to do.
    """

    id: str
    state: ScheduleState
    at: datetime
    until: datetime | None = None
    reason: str | None = None
    removed: bool = False


def sync(conn: Connection, files: Sequence[SyncFile]) -> list[list[ScheduleRow]]:
    """Make the schedules whose source is the file match it; return those that are active or paused, by id.

    A new one, one whose time changed, and one that was retired start afresh: what was due before `at` is not made up
    for. One that is as it was is left alone, a paused one stays paused, and one that is gone is retired, not deleted.
    An id of the file that someone else had used before is the file's from then on.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(_ONE_AT_A_TIME)  # schedulers that start together have the same new schedules
    return [_sync(conn, file) for file in files]


def add(conn: Connection, rows: Sequence[ScheduleRow]) -> list[ScheduleRow | None]:
    """Add schedules, beginning now; None for one whose id is taken, also within `rows`.

    The id of one that somebody made and that is retired is free again.
    """
    now = utcnow()
    conn.execute(_MAKE_ROOM, {"ids": [row.id for row in rows]})
    new = [replace(row, created_at=row.created_at or now, last_due_at=row.last_due_at or now) for row in rows]
    taken = set(conn.execute(_SOME, {"ids": [row.id for row in rows]}).scalars())
    unused = {row.id: row for row in reversed(new) if row.id not in taken}
    made = conn.execute(_ADD[conn.dialect.name], [_columns(row) for row in unused.values()]).all() if unused else []
    added = {row.id: to_schedule(row) for row in made}
    _tell(conn, added)
    return [added.pop(row.id, None) for row in rows]


def redefine(conn: Connection, rows: Sequence[ScheduleRow]) -> list[ScheduleRow | None]:
    """Give schedules that somebody made another time, parameters or pipeline; None for one that is not there.

    A paused one stays paused. Where the time is another, it begins after the row's `last_due_at` (None: now).
    """
    now = utcnow()
    stored = {row.id: to_schedule(row) for row in conn.execute(_THESE, {"ids": [row.id for row in rows]})}
    merged = [
        replace(_merged(stored[row.id], row, row.last_due_at or now), source=row.source)
        for row in rows
        if row.id in stored
    ]
    bulk.execute(conn, _REDEFINE, [_redefined(row) for row in merged])
    _tell(conn, [row.id for row in merged])
    after = {row.id: row for row in merged}
    return [after.get(row.id) for row in rows]


def remove(conn: Connection, ids: Sequence[str]) -> list[bool]:
    """Delete schedules, keeping their history; False for one that is not there."""
    present = _present(conn, ids)
    bulk.execute(conn, _REMOVE, [{"of": each} for each in sorted(present)])
    return [each in present for each in ids]


def set_state(conn: Connection, wishes: Sequence[SetState]) -> list[bool]:
    """Pause, resume or retire schedules; False for one that is not there. Resuming makes up for nothing."""
    present = _present(conn, [wish.id for wish in wishes])
    known = [wish for wish in wishes if wish.id in present]
    bulk.execute(conn, _SET_STATE, [_stated(wish) for wish in known])
    occurrences.advance(conn, [(wish.id, wish.at) for wish in known if wish.state is ScheduleState.ACTIVE])
    _tell(conn, [wish.id for wish in known])
    return [wish.id in present for wish in wishes]


def advance(conn: Connection, instants: Sequence[tuple[str, datetime]]) -> list[None]:
    """Move the newest handled instants of schedules (id, instant) forward; never back."""
    occurrences.advance(conn, instants)
    return [None] * len(instants)


def get(conn: Connection, schedule_id: str) -> ScheduleRow | None:
    """Return a schedule, or None."""
    row = conn.execute(_ONE, {"of": schedule_id}).one_or_none()
    return to_schedule(row) if row is not None else None


def list_all(conn: Connection, *, retired: bool = False) -> list[ScheduleRow]:
    """Return all schedules by id, active and paused ones, and the retired ones if asked for."""
    return [to_schedule(row) for row in conn.execute(_ALL if retired else _NOT_RETIRED)]


def _tell(conn: Connection, ids: Iterable[str]) -> None:
    """Let other processes know that these have changed."""
    signals.put(conn, [Signal(SignalKind.JOB, each) for each in ids])


def _stated(wish: SetState) -> dict[str, Any]:
    return {
        "of": wish.id,
        "to": wish.state.value,
        "until": wish.until,
        "why": wish.reason,
        "gone_at": wish.at if wish.removed else None,
    }


def _present(conn: Connection, ids: Iterable[str]) -> set[str]:
    return set(conn.execute(_SOME, {"ids": list(ids)}).scalars())


def _columns(row: ScheduleRow) -> dict[str, Any]:
    return {
        **of_schedule(row),
        "state": row.state.value,
        "created_at": row.created_at,
        "last_due_at": row.last_due_at,
        "actor_id": row.actor_id,
        "actor": row.actor,
    }


def _sync(conn: Connection, file: SyncFile) -> list[ScheduleRow]:
    present = conn.execute(_IN_PAGES) if file.only is None else conn.execute(_THESE, {"ids": list(file.only)})
    stored = {row.id: to_schedule(row) for row in present}
    wanted = {row.id: row for row in file.rows}
    fresh = {key: _fresh(row, file.at) for key, row in wanted.items() if key not in stored}
    changed = {
        key: _merged(stored[key], row, file.at)
        for key, row in wanted.items()
        if key in stored and not same(stored[key], row)
    }
    gone = _gone(stored, wanted)
    bulk.execute(conn, _INSERT, [_columns(row) for row in fresh.values()])
    bulk.execute(conn, _REDEFINE, [_redefined(changed[key]) for key in sorted(changed)])
    shared = sharing.of(conn) is not None
    if not (file.absent and shared):
        bulk.execute(conn, _RETIRE, [{"of": key} for key in sorted(gone)])
    if shared:
        _tell(conn, [*fresh, *changed, *gone])
    now = {key: row for key, row in {**stored, **fresh, **changed}.items() if key not in gone}
    return [now[key] for key in sorted(now) if now[key].state is not ScheduleState.RETIRED]


def same(old: ScheduleRow, new: ScheduleRow) -> bool:
    """Say whether the file has nothing new to tell of a stored schedule."""
    return (
        old.spec == new.spec
        and old.timezone == new.timezone
        and old.words == new.words
        and old.params == new.params
        and old.pipeline == new.pipeline
        and old.source == FILE
        and old.state is not ScheduleState.RETIRED
    )


def _fresh(row: ScheduleRow, at: datetime) -> ScheduleRow:
    return replace(row, source=FILE, state=ScheduleState.ACTIVE, created_at=at, last_due_at=at)


def _merged(old: ScheduleRow, new: ScheduleRow, at: datetime) -> ScheduleRow:
    """Return what a stored schedule becomes under the file's new text."""
    back = old.state is ScheduleState.RETIRED
    restarted = back or (old.spec, old.timezone) != (new.spec, new.timezone)
    return replace(
        new,
        source=FILE,
        state=ScheduleState.ACTIVE if back else old.state,
        created_at=old.created_at,
        last_due_at=at if restarted else old.last_due_at,
        paused_until=None if back else old.paused_until,
        pause_reason=None if back else old.pause_reason,
    )


def _gone(stored: Mapping[str, ScheduleRow], wanted: Mapping[str, ScheduleRow]) -> set[str]:
    return {
        key
        for key, row in stored.items()
        if key not in wanted and row.source == FILE and row.state is not ScheduleState.RETIRED
    }


def _redefined(row: ScheduleRow) -> dict[str, Any]:
    columns = _columns(row)
    return {
        **{f"new_{name}": columns[name] for name in _DEFINITION},
        "of": row.id,
        "to": row.state.value,
        "instant": row.last_due_at,
        "until": row.paused_until,
        "why": row.pause_reason,
    }
