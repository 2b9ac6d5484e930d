"""Items as rows: which fields they have, and how each value stands in a message.

A stage later in the chain may change an item, so a row is a copy, and a bounded one. How rows are laid out lives in
`tables` and `rendering`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from itertools import islice
from typing import Any, TypeAlias

from bot.lengths import cut, units
from bot.safe_text import NOTHING, in_code, inline, inline_cut
from pipelines import getter, readable

Scalar: TypeAlias = "bool | int | float | Decimal | str | datetime | date | time | None"
Record: TypeAlias = Mapping[str, Any]

MOST_CELLS = 26
"""Fields of a row that can be shown: a title and the fields of an embed."""
CELL_UNITS = 1024
"""Characters of a value that can be shown: the value of an embed's field."""
_MOST_DIGITS = 300


@dataclass(frozen=True, slots=True)
class Row:
    """What of an item can be shown; `whole` is False where a field or part of a text was left out."""

    cells: Mapping[str, Scalar]
    whole: bool


class Columns:
    """Reads what is wanted out of an item: all its fields, some of them, or values under names of their own."""

    def __init__(self, columns: Sequence[str] | Mapping[str, str] | None) -> None:
        """Take a list of fields or JMESPath expressions, a mapping of name to such, or None for all fields.

        Raises:
            ValueError: an expression is wrong.
        """
        named = dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns or ()}
        if columns is not None and not named:
            raise ValueError("columns: found nothing, expected at least one field; leave it out for all of them")
        self._readers: Mapping[str, Callable[[Any], Any]] = {
            name: getter(expression, argument="columns") for name, expression in named.items()
        }

    def record(self, item: Any) -> Record:
        """Return the item's values by name; an item that is no mapping has the one field `item`."""
        if self._readers:
            return {name: read(item) for name, read in self._readers.items()}
        if isinstance(item, Mapping):
            return {str(name): value for name, value in item.items()}
        return {"item": item}


def row_of(record: Record) -> Row:
    """Return what of a record can be shown, as a copy."""
    cells = {cut(name, CELL_UNITS): scalar(value) for name, value in islice(record.items(), MOST_CELLS)}
    short = {name: cut(value, CELL_UNITS) if isinstance(value, str) else value for name, value in cells.items()}
    return Row(short, whole=len(record) <= MOST_CELLS and short == cells)


def scalar(value: Any) -> Scalar:
    """Return a value that stands in one cell: lists and mappings become JSON text, anything unknown its own text."""
    if value is None or isinstance(value, bool | Decimal | datetime | date | time):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value) if abs(value) < 10**_MOST_DIGITS else f"{value:#x}"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    try:
        return readable(value)
    except (ValueError, RecursionError):
        return str(value)


def code_text(value: Scalar) -> str:
    """Return how a value stands on one line of a code block: times in ISO 8601, None as `∅`, a line break as ⏎."""
    if value is None:
        return NOTHING
    return " ".join(in_code(_text(value)).replace("\n", " ⏎ ").split())


def markdown_text(value: Scalar, limit: int) -> str:
    """Return how a value stands in markdown, in at most `limit` UTF-16 units.

    A time with its zone is shown in the zone of whoever reads it; None is `∅`, and all text is inert.
    """
    if value is None:
        return NOTHING
    if isinstance(value, datetime) and value.tzinfo is not None:
        return f"<t:{int(value.timestamp())}:f>"
    return inline_cut(_text(value), limit)


def fits(value: Scalar, limit: int) -> bool:
    """Tell whether `markdown_text` shows all of a value."""
    return not isinstance(value, str) or units(inline(value)) <= limit


def is_number(value: Scalar) -> bool:
    """Tell whether a value is a number, to stand at the right of its column."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def names_of(rows: Sequence[Row]) -> list[str]:
    """Return the names of all fields, in the order in which they first come up."""
    return list(dict.fromkeys(name for row in rows for name in row.cells))


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date | time) else str(value)
