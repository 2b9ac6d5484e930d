"""One statement with many rows of parameters, at a fraction of SQLAlchemy's own cost for each row.

The statement is compiled once; after that a row costs its conversions and nothing else. For statements whose result
nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from sqlalchemy import JSON, Connection, Delete, Dialect, Insert, Update

Statement: TypeAlias = Insert | Update | Delete
_Convert: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One parameter of a compiled statement: where its value comes from, and what makes it fit for the driver."""

    name: str
    convert: _Convert | None
    converts_none: bool


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A statement as the driver takes it. `fixed` are the values that it brings along."""

    text: str
    positional: bool
    parameters: tuple[_Parameter, ...]
    fixed: Mapping[str, Any]


def execute(conn: Connection, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute the statement once for each row; all rows have the keys of the first. No rows are fine."""
    if not rows:
        return
    compiled = _compile(statement, conn.dialect, tuple(rows[0]))
    fill = _tuple if compiled.positional else _dict
    conn.exec_driver_sql(compiled.text, [fill(compiled, row) for row in rows])


@lru_cache(maxsize=256)
def _compile(statement: Statement, dialect: Dialect, keys: tuple[str, ...]) -> _Compiled:
    compiled = statement.compile(dialect=dialect, column_keys=list(keys))
    types = {name: bind.type for bind, name in compiled.bind_names.items()}
    parameters = tuple(
        _Parameter(
            name,
            types[name].dialect_impl(dialect).bind_processor(dialect),
            isinstance(types[name], JSON),
        )
        for name in (compiled.positiontup or types)
    )
    given = compiled.construct_params(dict.fromkeys(keys), _check=False)
    convert = {each.name: each.convert for each in parameters}
    fixed = {
        name: value if (process := convert[name]) is None else process(value)
        for name, value in given.items()
        if name not in keys
    }
    return _Compiled(str(compiled), bool(compiled.positional), parameters, fixed)


def _tuple(compiled: _Compiled, row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(_values(compiled, row))


def _dict(compiled: _Compiled, row: Mapping[str, Any]) -> dict[str, Any]:
    names = [each.name for each in compiled.parameters]
    return dict(zip(names, _values(compiled, row), strict=True))


def _values(compiled: _Compiled, row: Mapping[str, Any]) -> list[Any]:
    fixed = compiled.fixed
    return [
        fixed[each.name]
        if each.name in fixed
        else row[each.name]
        if each.convert is None or (row[each.name] is None and not each.converts_none)
        else each.convert(row[each.name])
        for each in compiled.parameters
    ]
