"""Taking out what is older than it need be, in slices so small that no other writer waits long.

Finding is reading, in the order of the keys, and stops where things are young: what was asked for lately cannot be old.
Erasing looks again, in its own transaction, at whether a thing is still in use, and removes at most `ROWS` rows.
How old is too old is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Delete,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)

from pipelines.model import RunState
from pipelines.store.columns import any_of
from pipelines.store.face_schema import UNDECIDED, cards, incidents, questions
from pipelines.store.schema import OVER, UNDELIVERED, attempts, logs, occurrences, outbox, runs, stages

ROWS = 500
"""At most so many rows are removed in one transaction."""
EXECUTED = (RunState.SUCCEEDED, RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED, RunState.CANCELLED)

STANDING = or_(incidents.c.closed_at.is_(None), incidents.c.version > incidents.c.told)
"""The condition that an incident is open, or that people do not know yet how it ended."""


@dataclass(frozen=True, slots=True)
class Age:
    """What is from before `before` is old, at the instant `now`; a time after that says nothing of what follows it."""

    before: datetime
    now: datetime

    def young(self, times: Iterable[datetime]) -> bool:
        """Say that all of these are young: of things in the order in which they came, later ones are so too."""
        return all(self.before <= time <= self.now for time in times)


@dataclass(frozen=True, slots=True)
class Page:
    """Keys of things that are old, and where the next page begins; `then` None means that there is none."""

    keys: tuple[Any, ...]
    then: Any | None


@dataclass(frozen=True, slots=True)
class Old:
    """Things to erase, by their keys, if they are from before an instant and in use no more."""

    keys: Sequence[Any]
    before: datetime


@dataclass(frozen=True, slots=True)
class Erased:
    """How many things of the wished kind and how many rows in all went; `done` once nothing of the wish is left."""

    things: int
    rows: int
    done: bool


# ---------------------------------------------------------------- runs

_is_over: Any = literal_column(f"runs.{OVER}")
_WALK = (
    select(runs.c.id, runs.c.queued_at, runs.c.ended_at, _is_over.label("is_over"))
    .where(runs.c.id > bindparam("after"))
    .order_by(runs.c.id)
    .limit(ROWS)
)
_NEXT_NAME = select(func.min(runs.c.pipeline)).where(runs.c.pipeline > bindparam("after"))
_NEWEST_BUT = (
    select(runs.c.id)
    .where(runs.c.pipeline == bindparam("of"))
    .order_by(runs.c.id.desc())
    .limit(1)
    .offset(bindparam("kept"))
)
_SURPLUS = (
    select(runs.c.id)
    .where(
        runs.c.pipeline == bindparam("of"),
        runs.c.id > bindparam("after"),
        runs.c.id <= bindparam("newest"),
    )
    .order_by(runs.c.id)
    .limit(ROWS)
)

_later = runs.alias("later")
_executed = ", ".join(f"'{state.value}'" for state in EXECUTED)
_superseded = or_(
    not_(literal_column(f"runs.state IN ({_executed})")),
    exists().where(
        literal_column(f"(later.state IN ({_executed}) AND later.{OVER})"),
        _later.c.pipeline == runs.c.pipeline,
        _later.c.id > runs.c.id,
    ),
)


def _named_by(table: Table, *columns: str, where: Any) -> Any:
    """Return the condition that no row of `table` names the run in any of its columns."""
    return and_(*(runs.c.id.not_in(select(table.c[name]).where(where, table.c[name].is_not(None))) for name in columns))


_ERASABLE = (
    select(runs.c.id)
    .where(
        any_of(runs.c.id, "ids"),
        _is_over,
        _superseded,
        _named_by(incidents, "first_run_id", "last_run_id", where=STANDING),
        not_(exists().where(literal_column(f"questions.{UNDECIDED}"), questions.c.schedule_id == runs.c.schedule_id)),
        not_(exists().where(cards.c.run_id == runs.c.id)),
        not_(exists().where(outbox.c.run_id == runs.c.id, literal_column(f"outbox.{UNDELIVERED}"))),
    )
    .order_by(runs.c.id)
)


def _rows_of(table: Table) -> Delete:
    """Delete up to a number of rows of runs from a table of their parts, in the order of its key."""
    key = list(table.primary_key.columns)
    found = select(*key).where(any_of(table.c.run_id, "ids")).order_by(*key).limit(bindparam("at_most"))
    return delete(table).where(tuple_(*key).in_(found))


_PARTS = tuple(_rows_of(table) for table in (logs, stages, attempts))
_DELETE_RUNS = delete(runs).where(any_of(runs.c.id, "ids"))


def old_runs(conn: Connection, age: Age, after: int = 0) -> Page:
    """Return a page of runs, by id, that were over before an instant."""
    rows = conn.execute(_WALK, {"after": after}).all()
    keys = tuple(row.id for row in rows if row.is_over and row.ended_at is not None and row.ended_at < age.before)
    last = len(rows) < ROWS or age.young(row.queued_at for row in rows)
    return Page(keys, None if last else rows[-1].id)


def next_pipeline(conn: Connection, after: str = "") -> str | None:
    """Return the name that follows `after` among the pipelines that have runs, or None."""
    name: str | None = conn.execute(_NEXT_NAME, {"after": after}).scalar_one()
    return name


def surplus_runs(conn: Connection, pipeline: str, kept: int, after: int = 0) -> Page:
    """Return a page of a pipeline's runs, by id, beyond its newest `kept`."""
    newest = conn.execute(_NEWEST_BUT, {"of": pipeline, "kept": kept}).scalar_one_or_none()
    if newest is None:
        return Page((), None)
    keys = tuple(conn.execute(_SURPLUS, {"of": pipeline, "after": after, "newest": newest}).scalars())
    return Page(keys, keys[-1] if len(keys) == ROWS else None)


def erase_runs(conn: Connection, wishes: Sequence[Old]) -> list[Erased]:
    """Erase runs with their parts: those that are over and that nothing names which is still in use.

    Open incidents and questions, cards, and messages that wait name runs; and a pipeline keeps the newest one that
    was executed.
    """
    return [_erase_runs(conn, wish.keys) for wish in wishes]


def _erase_runs(conn: Connection, wished: Sequence[int]) -> Erased:
    ids = conn.execute(_ERASABLE, {"ids": list(wished)}).scalars().all()
    rows = 0
    for statement in _PARTS:
        rows += conn.execute(statement, {"ids": ids, "at_most": ROWS - rows}).rowcount if ids and rows < ROWS else 0
    now = ids[: ROWS - rows] if rows < ROWS else []
    if now:
        conn.execute(_DELETE_RUNS, {"ids": now})
    return Erased(len(now), rows + len(now), done=len(now) == len(ids))


# ---------------------------------------------------------------- the lines of runs

_LINES = (
    select(logs.c.run_id, logs.c.seq, runs.c.ended_at, runs.c.queued_at, _is_over.label("is_over"))
    .join(runs, runs.c.id == logs.c.run_id)
    .where(
        tuple_(logs.c.run_id, logs.c.seq)
        > tuple_(bindparam("run", type_=BigInteger), bindparam("seq", type_=BigInteger))
    )
    .order_by(logs.c.run_id, logs.c.seq)
    .limit(ROWS)
)
_UNTROUBLED = (
    select(runs.c.id)
    .where(any_of(runs.c.id, "ids"), _named_by(incidents, "first_run_id", "last_run_id", where=STANDING))
    .order_by(runs.c.id)
)
_DELETE_LINES = _PARTS[0]


def old_logs(conn: Connection, age: Age, after: tuple[int, int] = (0, -1)) -> Page:
    """Return a page of the runs, by id, that were over before an instant and still have lines."""
    rows = conn.execute(_LINES, {"run": after[0], "seq": after[1]}).all()
    keys = dict.fromkeys(row.run_id for row in rows if row.is_over and row.ended_at and row.ended_at < age.before)
    last = len(rows) < ROWS or age.young(row.queued_at for row in rows)
    return Page(tuple(keys), None if last else (rows[-1].run_id, rows[-1].seq))


def erase_logs(conn: Connection, wishes: Sequence[Old]) -> list[Erased]:
    """Erase lines of runs, but not of those that an open incident names."""
    return [_erase_logs(conn, wish.keys) for wish in wishes]


def _erase_logs(conn: Connection, wished: Sequence[int]) -> Erased:
    ids = conn.execute(_UNTROUBLED, {"ids": list(wished)}).scalars().all()
    rows = conn.execute(_DELETE_LINES, {"ids": ids, "at_most": ROWS}).rowcount
    return Erased(rows, rows, done=rows < ROWS)


# ---------------------------------------------------------------- due instants

_newer = occurrences.alias("newer")
_OLD_INSTANTS = (
    select(occurrences.c.schedule_id, occurrences.c.due_at)
    .where(
        occurrences.c.due_at < bindparam("before"),
        not_(exists().where(runs.c.id == occurrences.c.run_id)),
        not_(
            exists().where(
                literal_column(f"questions.{UNDECIDED}"), questions.c.schedule_id == occurrences.c.schedule_id
            )
        ),
        exists().where(_newer.c.schedule_id == occurrences.c.schedule_id, _newer.c.due_at > occurrences.c.due_at),
    )
    .order_by(occurrences.c.due_at)
    .limit(ROWS)
)
_DELETE_INSTANTS = delete(occurrences).where(tuple_(occurrences.c.schedule_id, occurrences.c.due_at).in_(_OLD_INSTANTS))


def erase_occurrences(conn: Connection, befores: Sequence[datetime]) -> list[Erased]:
    """Erase due instants from before an instant whose runs are gone, but never the newest of a schedule."""
    erased = [conn.execute(_DELETE_INSTANTS, {"before": before}).rowcount for before in befores]
    return [Erased(rows, rows, done=rows < ROWS) for rows in erased]


def settle(conn: Connection) -> None:
    """Move what SQLite wrote ahead into its file, as far as that disturbs nobody; elsewhere there is nothing to do."""
    if conn.dialect.name == "sqlite":
        conn.connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
