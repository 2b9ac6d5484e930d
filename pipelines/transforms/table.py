"""The table a `SqlSink` writes to: made from the items' values, or as it is; items are checked before they go in.

Names reach SQL only through SQLAlchemy's `Table` and `Column`, which quote them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from pipelines.transforms.database import SqlRefused

Item: TypeAlias = Mapping[str, Any]

INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""The databases that can upsert, and how each spells it."""

TYPES: dict[str, TypeEngine[Any]] = {
    "bool": sa.Boolean(),
    "int": sa.BigInteger(),
    "float": sa.Double(),
    "Decimal": sa.Numeric(),
    "datetime": sa.DateTime(timezone=True),
    "date": sa.Date(),
    "str": sa.Text(),
    "dict": sa.JSON(none_as_null=True),
    "list": sa.JSON(none_as_null=True),
}
"""What column is made for values of each Python type."""


class Target:
    """A table in the database, with what turns an item into a row of it."""

    def __init__(self, table: sa.Table, key: Sequence[str], *, upsert: bool) -> None:
        """Write to `table`; `key` are the columns that tell rows apart, which no item may leave out.

        Raises:
            SqlRefused: the table lacks a column of the key.
        """
        self._table = table
        self._key = tuple(key)
        self._upsert = upsert
        self._fits = {column.name: fit_for(column.type) for column in table.columns}
        for name in self._key:
            self._column(name)

    def write(self, connection: sa.Connection, items: Iterable[Item]) -> None:
        """Write the items in their order, those with the same columns together.

        Raises:
            SqlRefused: an item with a column that the table lacks, without its key, or with a value that the column
                cannot hold unchanged.
        """
        for columns, rows in groupby(map(self._row, items), key=tuple):
            connection.execute(self._statement(connection, columns), list(rows))

    def _row(self, item: Item) -> dict[str, Any]:
        absent = [name for name in self._key if item.get(name) is None]
        if absent:
            raise SqlRefused(f"table {self._table.name}: an item has no {absent[0]!r}, which is part of the key")
        return {name: self._fitted(name, item[name]) for name in sorted(item)}

    def _fitted(self, name: str, value: Any) -> Any:
        fit = self._fits[self._column(name)]
        try:
            return None if value is None else fit.take(value)
        except (TypeError, ValueError, OverflowError):
            found = f"{str(value)[:80]!r} ({type(value).__name__})"
            where = f"table {self._table.name}, column {name!r} ({self._table.columns[name].type})"
            raise SqlRefused(f"{where}: found {found}, expected {fit.expected}") from None

    def _column(self, name: str) -> str:
        if name not in self._fits:
            known = ", ".join(self._fits)
            raise SqlRefused(
                f"table {self._table.name} has no column {name!r}, only {known}; add it to the table, or leave it out "
                "with a Select stage before"
            )
        return name

    def _statement(self, connection: sa.Connection, columns: tuple[str, ...]) -> Any:
        if not self._upsert:
            return sa.insert(self._table)
        statement = INSERTS[connection.dialect.name](self._table)
        changed = {name: statement.excluded[name] for name in columns if name not in self._key}
        if not changed:
            return statement.on_conflict_do_nothing(index_elements=self._key)
        return statement.on_conflict_do_update(index_elements=self._key, set_=changed)


def existing(connection: sa.Connection, name: str, schema: str | None) -> sa.Table | None:
    """Return the table as the database has it, or None when it has none of that name."""
    try:
        return sa.Table(name, sa.MetaData(), schema=schema, autoload_with=connection, resolve_fks=False)
    except sa.exc.NoSuchTableError:
        return None


def created(
    connection: sa.Connection, name: str, schema: str | None, *, key: Sequence[str], items: Sequence[Item]
) -> sa.Table:
    """Make a table with a column for each field of `items`, typed by their values, `key` its primary key.

    Raises:
        SqlRefused: a field with values of different types, or of a type there is no column for.
    """
    names = dict.fromkeys(name for item in items for name in item)
    columns = [
        sa.Column(
            field, _type(name, field, items), primary_key=field in key, nullable=field not in key, autoincrement=False
        )
        for field in names
    ]
    table = sa.Table(name, sa.MetaData(), *columns, schema=schema)
    table.create(connection)
    return table


def _type(table: str, field: str, items: Sequence[Item]) -> TypeEngine[Any]:
    found = {type(value).__name__ for item in items if (value := item.get(field)) is not None}
    if found == {"int", "float"}:
        found = {"float"}
    types = {repr(TYPES.get(word)): TYPES.get(word) for word in found} or {"": TYPES["str"]}
    kind = next(iter(types.values()))
    if len(types) > 1 or kind is None:
        raise SqlRefused(
            f"table {table}: no column can be made for {field!r}, whose values are {', '.join(sorted(found))}; make "
            "them one of " + ", ".join(TYPES)
        )
    return kind


@dataclass(frozen=True, slots=True)
class Fit:
    """What checks a value for a column and gives it in the form the driver takes; `expected` says what may come.

    `take` raises TypeError, ValueError or OverflowError for anything else.
    """

    take: Callable[[Any], Any]
    expected: str


def fit_for(kind: TypeEngine[Any]) -> Fit:
    """Return the check for a column of this type; types of which we know nothing take all that the driver takes."""
    if isinstance(kind, sa.DateTime):
        # SQLite drops an offset, and PostgreSQL without time zone turns it into the session's: so it becomes UTC here.
        return Fit(_aware if kind.timezone else _naive, "a date with time, or text like 2026-01-31T08:00:00+00:00")
    return next((fit for family, fit in _FITS if isinstance(kind, family)), Fit(_same, "anything"))


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _int(value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float | Decimal) and value == int(value))
    if isinstance(value, bool) or not whole or not -(2**63) <= value < 2**63:
        raise TypeError
    return int(value)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _date(value: Any) -> date:
    if isinstance(value, str):
        return date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError
    return value


def _aware(value: Any) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        raise TypeError
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _naive(value: Any) -> datetime:
    return _aware(value).replace(tzinfo=None)


def _same(value: Any) -> Any:
    return value


_FITS: list[tuple[type[TypeEngine[Any]], Fit]] = [
    (sa.Boolean, Fit(_bool, "true or false")),
    (sa.Integer, Fit(_int, "a whole number of at most 64 bits")),
    (sa.Numeric, Fit(_number, "a finite number")),
    (sa.Float, Fit(_number, "a finite number")),
    (sa.String, Fit(_text, "text")),
    (sa.Date, Fit(_date, "a date, or text like 2026-01-31")),
]
