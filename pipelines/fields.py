"""The kinds of values that fields of a pipelines file have: each reads one and says in its own words what is wrong.

They stand inside `Annotated` in the models of `definition`, for pydantic and for the JSON Schema of the file. Durations
are written as a number of seconds or as text such as `90s`, `5m`, `1h30m`, `1d`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from math import isfinite
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from pipelines.errors import nearest
from pipelines.wording import found, one_of, suggestion

UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST_S = 3_650 * 86_400
"""Ten years: a longer duration is a slip of the keyboard."""

_PART = r"(\d{1,9}(?:\.\d{1,6})?)(ms|s|m|h|d|w)"
_DURATION = re.compile(rf"(?:{_PART}\s*)+", re.ASCII)
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,6})?", re.ASCII)


def seconds_of(value: Any) -> float | None:
    """Return the seconds that a number or a text such as `90s`, `5m`, `1h30m` stands for, or None if it is neither."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if isfinite(value) else None
    if not isinstance(value, str) or len(value) > 80:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * UNITS_S[unit] for number, unit in re.findall(_PART, text, re.ASCII))


class Kind:
    """A kind of value. `read` returns what the model keeps, or raises ValueError saying what it found and expected."""

    __slots__ = ()

    def read(self, value: Any) -> Any:
        """Return the value that a JSON value from the file stands for."""
        raise NotImplementedError

    def schema(self) -> JsonSchemaValue:
        """Return the JSON Schema of what may be written."""
        raise NotImplementedError

    def serialization(self) -> core_schema.SerSchema | None:
        """Return how the kept value becomes JSON, where pydantic's own way is not what the file would say."""
        return None

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let pydantic read the field with `read` alone."""
        return core_schema.no_info_plain_validator_function(self.read, serialization=self.serialization())

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Hand pydantic the field's schema."""
        return self.schema()


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """True or false; the words yes, no, on and off do as well."""

    WORDS: ClassVar[Mapping[str, bool]] = {
        form: truth
        for truth, words in ((True, ("yes", "on", "true")), (False, ("no", "off", "false")))
        for word in words
        for form in (word, word.capitalize(), word.upper())
    }

    def read(self, value: Any) -> bool:
        """Return the truth of a boolean or of one of the words."""
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in self.WORDS:
            return self.WORDS[value]
        raise ValueError(f"found {found(value)}; expected true or false")

    def schema(self) -> JsonSchemaValue:
        """A boolean or one of the words."""
        return {"anyOf": [{"type": "boolean"}, {"enum": list(self.WORDS)}]}


@dataclass(frozen=True, slots=True)
class Whole(Kind):
    """A whole number between two bounds, both included."""

    lowest: int
    highest: int

    def read(self, value: Any) -> int:
        """Return a whole number that is within the bounds."""
        if isinstance(value, int) and not isinstance(value, bool) and self.lowest <= value <= self.highest:
            return value
        raise ValueError(f"found {found(value)}; expected a whole number from {self.lowest} to {self.highest:,}")

    def schema(self) -> JsonSchemaValue:
        """An integer within the bounds."""
        return {"type": "integer", "minimum": self.lowest, "maximum": self.highest}


@dataclass(frozen=True, slots=True)
class Number(Kind):
    """A number between two bounds, both included."""

    lowest: float
    highest: float

    def read(self, value: Any) -> float:
        """Return a number that is within the bounds."""
        if isinstance(value, int | float) and not isinstance(value, bool) and self.lowest <= value <= self.highest:
            return float(value)
        raise ValueError(f"found {found(value)}; expected a number from {self.lowest:g} to {self.highest:g}")

    def schema(self) -> JsonSchemaValue:
        """A number within the bounds."""
        return {"type": "number", "minimum": self.lowest, "maximum": self.highest}


@dataclass(frozen=True, slots=True)
class Seconds(Kind):
    """A duration, kept as a float of seconds; 0 only where `zero` allows it."""

    zero: bool = False

    def read(self, value: Any) -> float:
        """Return the seconds that a number or text stands for."""
        return _duration_s(value, zero=self.zero)

    def schema(self) -> JsonSchemaValue:
        """A number of seconds, or text of numbers with units."""
        return _duration_schema(zero=self.zero)


@dataclass(frozen=True, slots=True)
class Duration(Kind):
    """A duration, kept as a timedelta; 0 only where `zero` allows it."""

    zero: bool = False

    def read(self, value: Any) -> timedelta:
        """Return the timedelta that a number or text stands for."""
        return timedelta(seconds=_duration_s(value, zero=self.zero))

    def serialization(self) -> core_schema.SerSchema:
        """Seconds, as the file would say it."""
        return core_schema.plain_serializer_function_ser_schema(timedelta.total_seconds, when_used="json")

    def schema(self) -> JsonSchemaValue:
        """A number of seconds, or text of numbers with units."""
        return _duration_schema(zero=self.zero)


def _duration_s(value: Any, *, zero: bool) -> float:
    seconds = seconds_of(value)
    if seconds is not None and (0 < seconds <= LONGEST_S or (zero and seconds == 0)):
        return seconds
    bounds = f"{'from 0' if zero else 'above 0'} to ten years"
    form = "a number of seconds, or text such as '90s', '5m', '6h', '1d'"
    raise ValueError(f"found {found(value)}; expected a duration {bounds}: {form}")


def _duration_schema(*, zero: bool) -> JsonSchemaValue:
    least = {"minimum": 0} if zero else {"exclusiveMinimum": 0}
    number = r"[0-9]{1,9}(\.[0-9]{1,6})?"
    pattern = rf"^\s*({number}|({number}(ms|s|m|h|d|w)\s*)+)\s*$"
    return {"anyOf": [{"type": "number", **least, "maximum": LONGEST_S}, {"type": "string", "pattern": pattern}]}


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One word of an enumeration; capitals do not matter."""

    words: type[StrEnum]

    def read(self, value: Any) -> StrEnum:
        """Return the enumeration's member that a word stands for."""
        known = [str(word) for word in self.words]
        spelt = {word.casefold(): word for word in known}
        if isinstance(value, str) and value.casefold() in spelt:
            return self.words(spelt[value.casefold()])
        hint = f"; {suggestion(value, known)}" if isinstance(value, str) and nearest(value, known) else ""
        raise ValueError(f"found {found(value)}; expected {one_of(known)}{hint}")

    def schema(self) -> JsonSchemaValue:
        """One of the words."""
        return {"enum": [str(word) for word in self.words]}


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """Text that is not blank, of at most `longest` characters, that fits `pattern`; `meant` is what to write."""

    meant: str = "text"
    longest: int = 500
    pattern: str | None = None

    def read(self, value: Any) -> str:
        """Return the text as it is."""
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"found {found(value)}; expected {self.meant}")
        if len(value) > self.longest:
            raise ValueError(
                f"found {len(value):,} characters; expected {self.meant}, at most {self.longest} characters"
            )
        if self.pattern and not re.fullmatch(self.pattern, value, re.ASCII):
            raise ValueError(f"found {found(value)}; expected {self.meant}")
        return value

    def schema(self) -> JsonSchemaValue:
        """Text of the length and pattern."""
        pattern = f"^(?:{self.pattern})$" if self.pattern else r"\S"
        return {"type": "string", "maxLength": self.longest, "pattern": pattern}


@dataclass(frozen=True, slots=True)
class Texts(Kind):
    """A list of texts of one sort; a single one may stand without the list."""

    each: Text

    def read(self, value: Any) -> tuple[str, ...]:
        """Return the texts in their order."""
        values = value if isinstance(value, list | tuple) else [value]
        return tuple(self.each.read(text) for text in values)

    def schema(self) -> JsonSchemaValue:
        """One such text or a list of them."""
        return {"anyOf": [self.each.schema(), {"type": "array", "items": self.each.schema()}]}


@dataclass(frozen=True, slots=True)
class JsonMapping(Kind):
    """A mapping of names to any JSON values; nothing at all is an empty one."""

    def read(self, value: Any) -> dict[str, Any]:
        """Return the mapping."""
        if value is None:
            return {}
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return dict(value)
        raise ValueError(f"found {found(value)}; expected a mapping of names to values")

    def schema(self) -> JsonSchemaValue:
        """An object, or null."""
        return {"type": ["object", "null"]}
