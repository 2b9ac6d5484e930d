"""Whole tables, read and written in bulk, in the form that SQLite and PostgreSQL both store.

Instants are aware datetimes and truth values are such; texts and JSON are as they lie in the database, so that nothing
is read and spelled anew on the way. Which tables are moved, and how one makes sure of it, is in `moving`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    Text,
    cast,
    exists,
    func,
    or_,
    select,
    text,
    type_coerce,
)

from pipelines.store.columns import ExactText, PlainText, UtcDateTime, to_json
from pipelines.store.schema import runs

Row = tuple[Any, ...]
Shapes = list[tuple[int, Callable[[Any], Any]]]
"""What is to be done to which values of a row, by their places."""
PIECE = 5_000
"""So many rows are read, and on SQLite written, at once."""
_ALL_BITS = (1 << 64) - 1
_INT64 = range(-(1 << 63), 1 << 63)
_OF_THE_SOURCE = frozenset({("runs", "ticket"), ("runs", "ticketed_at"), ("signals", "tx")})
"""Columns that mean something in one database only, such as a number in the queue of jobs that lies beside them."""

_FOREIGN_KEYS = text(
    """
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS make
    FROM pg_constraint WHERE contype = 'f' AND conrelid = ANY (CAST(:tables AS regclass[]))
    """
)
_INDEXES = text(
    """
    SELECT format('DROP INDEX %s', indexrelid::regclass) AS drop, pg_get_indexdef(indexrelid) AS make
    FROM pg_index WHERE indrelid = ANY (CAST(:tables AS regclass[]))
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    """
)


@dataclass(slots=True)
class Tally:
    """How many rows went through, and a number that every one of them changes, in whatever order they come."""

    rows: int = 0
    checksum: int = 0

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Hand on rows, and count them in."""
        for row in rows:
            self.rows += 1
            self.checksum = (self.checksum + hash(row)) & _ALL_BITS
            yield row


def rows(conn: Connection, table: Table) -> Iterator[Row]:
    """Return the rows of a table, without those whose run is not there; see `orphans`."""
    found = conn.execute(_select(conn, table), execution_options={"yield_per": PIECE})
    shapes = _shapes(conn, table)
    return (_shaped(row, shapes) for row in found)


def count(conn: Connection, table: Table) -> int:
    """Return how many rows `rows` will return."""
    number: int = conn.execute(select(func.count()).select_from(table).where(*_kept(table))).scalar_one()
    return number


def orphans(conn: Connection, table: Table) -> int:
    """Return how many rows belong to a run that is not there, as only a hand in the file can leave them."""
    strays = [~each for each in _kept(table)]
    if not strays:
        return 0
    number: int = conn.execute(select(func.count()).select_from(table).where(or_(*strays))).scalar_one()
    return number


def write(conn: Connection, table: Table, given: Iterable[Row]) -> None:
    """Insert rows, in the order in which `rows` gives their values.

    Raises:
        DBAPIError: the database refused, where it is SQLAlchemy that speaks to it.
        conn.dialect.loaded_dbapi.Error: the same where rows are copied in.
    """
    if conn.dialect.name == "postgresql":
        _copy_in(conn, table, given)
        return
    names = _names(conn, table)
    marks = ", ".join("?" * len(_columns(table)))
    statement = f"INSERT INTO {table.name} ({names}) VALUES ({marks})"  # noqa: S608 -- our own names
    shapes = _for_sqlite(conn, table)
    stored = (_shaped(row, shapes) for row in given)
    while piece := list(islice(stored, PIECE)):
        conn.exec_driver_sql(statement, piece)


def last_id(conn: Connection, table: Table) -> int | None:
    """Return the highest id that a table ever gave; None where it numbers nothing, or has not yet."""
    if not _numbers(table):
        return None
    if conn.dialect.name == "postgresql":
        asked = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:table, 'id') AS regclass))"
    else:
        asked = "SELECT seq FROM sqlite_sequence WHERE name = :table"
    number: int | None = conn.execute(text(asked), {"table": table.name}).scalar_one_or_none()
    return number


def set_last_id(conn: Connection, table: Table, last: int) -> None:
    """Let a table go on with the id after `last`."""
    given = {"table": table.name, "last": last}
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT setval(CAST(pg_get_serial_sequence(:table, 'id') AS regclass), :last)"), given)
        return
    conn.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), given)
    conn.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), given)


@contextmanager
def unindexed(conn: Connection, tables: Iterable[Table]) -> Iterator[None]:
    """Within the block, PostgreSQL's tables have neither foreign keys nor indexes but the primary ones and unique keys.

    To make them at the end takes a third of the time that it takes to keep them up with every row. All of it is in the
    caller's transaction.
    """
    if conn.dialect.name != "postgresql":
        yield
        return
    given = {"tables": [table.name for table in tables]}
    taken = [*conn.execute(_FOREIGN_KEYS, given), *conn.execute(_INDEXES, given)]
    for each in taken:
        conn.exec_driver_sql(each.drop)
    yield
    for each in reversed(taken):
        conn.exec_driver_sql(each.make)
    for name in given["tables"]:
        conn.exec_driver_sql(f"ANALYZE {name}")


def _copy_in(conn: Connection, table: Table, given: Iterable[Row]) -> None:
    raw: Any = conn.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({_names(conn, table)}) FROM STDIN") as copy:
        for row in given:
            copy.write_row(row)


def _names(conn: Connection, table: Table) -> str:
    return ", ".join(conn.dialect.identifier_preparer.quote(column.name) for column in _columns(table))


def _columns(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if (table.name, column.name) not in _OF_THE_SOURCE]


def _numbers(table: Table) -> bool:
    """Say whether the table gives its rows ids that are never used again."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def _select(conn: Connection, table: Table) -> Select[Any]:
    return select(*(_stored(column, conn.dialect.name) for column in _columns(table))).where(*_kept(table))


def _stored(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    if isinstance(column.type, JSON):
        return cast(column, Text) if dialect == "postgresql" else type_coerce(column, Text)
    return type_coerce(column, Text) if _is_text(column) else column


def _is_text(column: Column[Any]) -> bool:
    return isinstance(column.type, Text | PlainText | ExactText)


def _kept(table: Table) -> list[ColumnElement[bool]]:
    """Return the conditions that leave out the rows of runs that are not there."""
    owned = [key.parent for key in table.foreign_keys if key.ondelete == "CASCADE"]
    return [exists().where(runs.c.id == column) for column in owned]  # NOT IN would take hours on a server


def _shapes(conn: Connection, table: Table) -> Shapes:
    """Return what is to be done to which values that SQLite gave; those of PostgreSQL are as they should be."""
    if conn.dialect.name == "postgresql":
        return []
    cleaned = PlainText().bind_processor(conn.dialect)
    found: Shapes = []
    for place, column in enumerate(_columns(table)):
        if isinstance(column.type, JSON):
            found.append((place, _json_text))
        elif _is_text(column):
            found.append((place, cleaned))
    return found


def _for_sqlite(conn: Connection, table: Table) -> Shapes:
    """Return what is to be done to which values that SQLite gets."""
    found: Shapes = []
    for place, column in enumerate(_columns(table)):
        if isinstance(column.type, JSON):
            found.append((place, _exact_json))
        elif isinstance(column.type, UtcDateTime):
            found.append((place, column.type.bind_processor(conn.dialect)))
    return found


def _shaped(row: Row, shapes: Shapes) -> Row:
    if not shapes:
        return tuple(row)
    values = list(row)
    for place, shape in shapes:
        values[place] = shape(values[place])
    return tuple(values)


def _json_text(value: Any) -> str | None:
    """Return JSON as text: SQLite makes numbers of what looks like one, and `_exact_json` stores some as bytes."""
    if value is None or isinstance(value, str):
        return value
    return value.decode() if isinstance(value, bytes) else to_json(value)


def _exact_json(value: str | None) -> str | bytes | None:
    """Return JSON as SQLite keeps it: a number that it would round is given as bytes, which read as JSON too."""
    if value is None or value[:1] not in "-0123456789":
        return value
    whole = value.removeprefix("-").isdecimal()
    return value if whole and int(value) in _INT64 else value.encode()
