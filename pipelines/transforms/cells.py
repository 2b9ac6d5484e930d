"""What the text of a table's cell stands for: numbers, truth values, dates. Strict, so that nothing is guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["str", "int", "float", "bool", "date", "datetime"]


def _int(cell: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,300}", cell):
        raise ValueError("expected a whole number")
    return int(cell)


def _float(cell: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", cell):
        raise ValueError("expected a number with a decimal point")
    number = float(cell)
    if math.isinf(number):
        raise ValueError("too large for a number with a decimal point")
    return number


def _bool(cell: str) -> bool:
    word = cell.lower()
    if word not in TRUE | FALSE:
        raise ValueError("expected true or false, yes or no, 1 or 0")
    return word in TRUE


def _date(cell: str) -> str:
    return date.fromisoformat(cell).isoformat()


def _datetime(cell: str) -> str:
    moment = datetime.fromisoformat(cell)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).isoformat()


TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
READERS: dict[str, Callable[[str], str | int | float | bool]] = {
    "str": str,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
}
"""What turns the text of a cell into each type; each raises ValueError saying what it expected."""
