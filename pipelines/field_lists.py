"""Kinds of values that are ids, or lists of one sort: where one will do, it may stand without the list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from pipelines.fields import Choice, Duration, Kind
from pipelines.wording import found

HIGHEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Id(Kind):
    """The number that Discord gives a server, channel, role or person; text of digits will do as well."""

    def read(self, value: Any) -> int:
        """Return the number."""
        digits = value if isinstance(value, str) and value.isascii() and value.isdigit() else None
        number = int(digits) if digits and len(digits) <= 20 else value
        if isinstance(number, int) and not isinstance(number, bool) and 0 < number <= HIGHEST_ID:
            return number
        hint = "in Discord: Settings, Advanced, Developer Mode; then right-click it, Copy ID"
        raise ValueError(f"found {found(value)}; expected an id such as 1234567890123456789 ({hint})")

    def schema(self) -> JsonSchemaValue:
        """A whole number, or text of digits."""
        return {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]{1,20}$"}]}


@dataclass(frozen=True, slots=True)
class Ids(Kind):
    """A list of ids; a single one may stand without the list."""

    def read(self, value: Any) -> tuple[int, ...]:
        """Return the ids in their order."""
        return tuple(Id().read(each) for each in _listed(value))

    def schema(self) -> JsonSchemaValue:
        """One id or a list of them."""
        return _one_or_many(Id().schema())


@dataclass(frozen=True, slots=True)
class Choices(Kind):
    """Some words of an enumeration; a single one may stand without the list."""

    words: type[StrEnum]

    def read(self, value: Any) -> tuple[StrEnum, ...]:
        """Return the members that the words stand for, each once."""
        return tuple(dict.fromkeys(Choice(self.words).read(each) for each in _listed(value)))

    def schema(self) -> JsonSchemaValue:
        """One of the words or a list of them."""
        return _one_or_many(Choice(self.words).schema())


@dataclass(frozen=True, slots=True)
class Durations(Kind):
    """A list of durations, each longer than the one before; a single one may stand without the list."""

    def read(self, value: Any) -> tuple[timedelta, ...]:
        """Return the durations."""
        durations = tuple(Duration().read(each) for each in _listed(value))
        if list(durations) != sorted(set(durations)):
            raise ValueError(f"found {found(value)}; expected durations of which each is longer than the one before")
        return durations

    def serialization(self) -> core_schema.SerSchema:
        """Seconds, as the file would say it."""
        return core_schema.plain_serializer_function_ser_schema(_seconds, when_used="json")

    def schema(self) -> JsonSchemaValue:
        """One duration or a list of them."""
        return _one_or_many(Duration().schema())


def _seconds(durations: tuple[timedelta, ...]) -> list[float]:
    return [each.total_seconds() for each in durations]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _one_or_many(each: JsonSchemaValue) -> JsonSchemaValue:
    return {"anyOf": [each, {"type": "array", "items": each}]}
