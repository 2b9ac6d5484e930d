"""Column types, and the one expression that SQLite and PostgreSQL spell differently; the tables are in `schema`.

Every value that comes from outside survives here: text with NUL characters or lone surrogates (a scraped page, a
subprocess's output) is stored in a form that both databases take, so that no run fails to end because of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, DateTime, Dialect, Text, TypeDecorator, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import NullType, TypeEngine

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPABLE = re.compile("[\x00\ud800-\udfff\ufdd0]")
_ESCAPED = re.compile("\ufdd0([0-9a-f]{4})")
_READABLE_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_ASCII_JSON = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. Takes aware datetimes only, gives back aware ones in UTC.

    Raises:
        ValueError: the datetime is naive.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """SQLite has no time zones: it is given UTC without one, as text that sorts."""
        return _instant_to_text if dialect.name == "sqlite" else _instant_to_utc

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002 -- the interface's
        """Return the same instant, in UTC."""
        return _instant_from_text if dialect.name == "sqlite" else _instant_to_utc


def _instant_to_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError(f"a datetime without a time zone cannot be stored: {value!r}; use datetime.now(UTC)")
    return value.astimezone(UTC)


def _instant_to_text(value: datetime | None) -> str | None:
    utc = _instant_to_utc(value)
    return None if utc is None else utc.isoformat(" ", "microseconds")[: -len("+00:00")]


def _instant_from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


class PlainText(TypeDecorator[str]):
    """Text for people. A character that a database cannot hold is replaced by U+FFFD."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002 -- the interface's
        """Return the text as it can be stored."""
        return _cleaned


def _cleaned(value: str | None) -> str | None:
    return value if value is None or _harmless(value) else _UNSTORABLE.sub("\ufffd", value)


def _harmless(value: str) -> bool:
    """Say at little cost that there is nothing to do, which is nearly always so."""
    return value.isascii() and "\x00" not in value


def escaped(key: str) -> str:
    """Return a key in a form that both databases can hold; `unescaped` gives the very same key back."""
    return key if _harmless(key) else _ESCAPABLE.sub(lambda found: f"\ufdd0{ord(found[0]):04x}", key)


def unescaped(key: str) -> str:
    """Undo `escaped`."""
    return key if key.isascii() else _ESCAPED.sub(lambda found: chr(int(found[1], 16)), key)


class ExactText(TypeDecorator[str]):
    """Text that must come back as it was, whatever it holds: names and keys. Sorts by code point on both databases."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """PostgreSQL would sort by its locale."""
        return Text(collation="C") if dialect.name == "postgresql" else Text()

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:  # noqa: ARG002 -- the interface's
        """Escape what the databases refuse."""
        return lambda value: None if value is None else escaped(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None]:  # noqa: ARG002 -- as above
        """Undo the escape."""
        return lambda value: None if value is None else unescaped(value)


def to_json(value: Any) -> str:
    """Return JSON as it is stored: compact, readable, and plain ASCII where a character could not be stored.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot say.
        TypeError: a value is of a type that JSON does not have.
    """
    if value is None:
        return "null"
    text = _READABLE_JSON.encode(value)
    return text if text.isascii() or not _UNSTORABLE.search(text) else _ASCII_JSON.encode(value)


class Listing(TypeDecorator[list[Any]]):
    """All values of a list as one bound parameter: an array on PostgreSQL, a JSON text on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, item: type[TypeEngine[Any]] = BigInteger) -> None:
        """`item` is the type of the values."""
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return what the database knows."""
        return dialect.type_descriptor(ARRAY(self.item) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> Any:
        """Return the list in the database's form."""
        values = list(value or ())
        if self.item is Text:
            values = [escaped(each) for each in values]
        return values if dialect.name == "postgresql" else to_json(values)


class AnyOf(FunctionElement[Any]):
    """True where a column's value is in a list of any length, given as one parameter: the statement never changes.

    Its type is left open: said to be a truth value, it would be compared to 1 on SQLite, which no index serves.
    """

    name = "any_of"
    type = NullType()
    inherit_cache = True


def any_of(column: ColumnElement[Any], name: str) -> AnyOf:
    """Return the condition that `column` is among the values of the parameter `name`."""
    item: type[TypeEngine[Any]] = Text if isinstance(column.type, Text | PlainText | ExactText) else BigInteger
    return AnyOf(column, bindparam(name, type_=Listing(item)))


def _parts(element: AnyOf, compiler: SQLCompiler, **kw: Any) -> tuple[str, str]:
    column, values = element.clauses
    return compiler.process(column, **kw), compiler.process(values, **kw)


_default: Callable[..., Any] = compiles(AnyOf)
_postgresql: Callable[..., Any] = compiles(AnyOf, "postgresql")


@_default
def _any_of_default(element: AnyOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = _parts(element, compiler, **kw)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608 -- both parts are compiled expressions


@_postgresql
def _any_of_postgresql(element: AnyOf, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = _parts(element, compiler, **kw)
    return f"{column} = ANY ({values})"
