"""One parameter: its type and bounds, and how a value of the file or a text that was typed becomes JSON.

Dates and times are ISO 8601 text, durations are seconds.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Any

from pipelines.errors import nearest
from pipelines.fields import LONGEST_S, Flag, seconds_of
from pipelines.model import JSON
from pipelines.wording import found, one_of, quoted

LONGEST = 4_000
"""Characters of a text value where the declaration sets no other bound, and of all parameters written as one text."""

EXPECTED = MappingProxyType(
    {
        "text": "text",
        "int": "a whole number",
        "number": "a number",
        "flag": "yes or no",
        "date": "a date such as 2027-01-31",
        "time": "a time of day such as 09:30",
        "datetime": "a date and time such as 2027-01-31T09:30",
        "duration": "a duration such as 90s, 5m or 1h30m",
    }
)
TYPES = tuple(EXPECTED)
BOUNDED = ("int", "number", "duration")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a pipeline. `default` is None where there is none; `lowest` and `highest` are included.

    Bounds of a duration are in seconds, `longest` is in characters.
    """

    name: str
    type: str
    default: JSON = None
    required: bool = False
    choices: tuple[JSON, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    longest: int = LONGEST
    description: str = ""

    def read(self, value: Any) -> JSON:
        """Return the JSON value that a value of the file or a text that was typed stands for.

        Raises:
            ValueError: it is none of this type, or out of bounds; the text says what was found and expected.
        """
        result = READERS[self.type](value)
        if result is None or not self._within(result):
            hint = ""
            if (
                isinstance(value, str)
                and self.choices
                and (close := nearest(value, [str(each) for each in self.choices]))
            ):
                hint = f"; did you mean {quoted(close)}?"
            raise ValueError(f"found {named(value)}; expected {self.expected}{hint}")
        return result

    @property
    def expected(self) -> str:
        """What to give, for people: `a whole number from 1 to 10`."""
        if self.choices:
            return one_of(quoted(each) if isinstance(each, str) else str(each) for each in self.choices)
        words = EXPECTED[self.type]
        if self.type == "text":
            return words if self.longest == LONGEST else f"{words} of at most {self.longest} characters"
        unit = " seconds" if self.type == "duration" else ""
        bounds = ((word, bound) for word, bound in (("from", self.lowest), ("to", self.highest)) if bound is not None)
        return " ".join([words, *(f"{word} {bound:,g}{unit}" for word, bound in bounds)])

    def _within(self, value: JSON) -> bool:
        if isinstance(value, str) and (len(value) > self.longest or _NOT_STORABLE.search(value)):
            return False
        if self.choices and value not in self.choices:
            return False
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        return (self.lowest is None or value >= self.lowest) and (self.highest is None or value <= self.highest)


def named(value: Any) -> str:
    """Name a value that was given; not that it is text, since all that people type is."""
    return quoted(value) if isinstance(value, str) else found(value)


def _text(value: Any) -> JSON:
    return value if isinstance(value, str) else None


def _int(value: Any) -> JSON:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _number(value: Any) -> JSON:
    """Read a number; a whole one stays whole."""
    whole = _int(value)
    if whole is not None:
        return whole
    if isinstance(value, str) and len(value) < 50 and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    return value if isinstance(value, float) and isfinite(value) else None


def _flag(value: Any) -> JSON:
    if isinstance(value, str):
        return Flag.WORDS.get(value.strip().casefold())
    return value if isinstance(value, bool) else None


def _date(value: Any) -> JSON:
    return _iso(dt.date.fromisoformat, value, r"\d{4}-\d\d-\d\d")


def _time(value: Any) -> JSON:
    return _iso(dt.time.fromisoformat, value, r"\d\d:\d\d(:\d\d)?")


def _datetime(value: Any) -> JSON:
    return _iso(
        dt.datetime.fromisoformat, value, r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?"
    )


def _iso(read: Callable[[str], dt.date | dt.time], value: Any, pattern: str) -> JSON:
    if not isinstance(value, str) or not re.fullmatch(pattern, value.strip(), re.ASCII):
        return None
    try:
        return read(value.strip()).isoformat()
    except ValueError:
        return None


def _duration(value: Any) -> JSON:
    seconds = seconds_of(value)
    return seconds if seconds is not None and 0 <= seconds <= LONGEST_S else None


READERS: Mapping[str, Callable[[Any], JSON]] = MappingProxyType(
    {
        "text": _text,
        "int": _int,
        "number": _number,
        "flag": _flag,
        "date": _date,
        "time": _time,
        "datetime": _datetime,
        "duration": _duration,
    }
)
