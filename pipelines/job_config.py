"""When a job of a JSON file is due: what `config` holds, by type, in the words of other schedulers.

Each says what the schedule of a pipelines file would say; what the times mean is worked out from that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import JsonSchemaValue

from pipelines.fields import Kind, Text, Whole
from pipelines.schedule_definition import MOMENT, Interval, Section
from pipelines.wording import found, one_of, quoted
from pipelines.yaml_values import KeyPath

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_NUMBER = re.compile(r"(?<![#\d/])\d+")
_NTH_DAY = re.compile(r"(?i)(1st|2nd|3rd|4th|5th|last)\s+(sun|mon|tue|wed|thu|fri|sat)")


class JobType(StrEnum):
    """How a job says when it is due."""

    CRON = "cron"
    INTERVAL = "interval"
    DATE = "date"
    DAILY = "daily"
    HOURLY = "hourly"


@dataclass(frozen=True, slots=True)
class CronPart(Kind):
    """One field of a cron text by itself: a number, or text without spaces. What may stand in it, cron itself says."""

    def read(self, value: Any) -> str:
        """Return the field as cron text."""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.strip() or len(value) > 200:
            raise ValueError(f"found {found(value)}; expected a number, or text such as '*/5' or '9-17'")
        text = value.strip()
        nth = _NTH_DAY.fullmatch(text)
        if nth or text.casefold() == "last":
            raise ValueError(f"found {found(value)}; write {self._instead(nth)}")
        if re.search(r"\s", text):
            raise ValueError(f"found {found(value)}; expected one field of cron, without spaces: join values by ','")
        return text

    @staticmethod
    def _instead(nth: re.Match[str] | None) -> str:
        if nth is None:
            return "'L' for the last day of a month"
        which, day = nth.groups()
        return f"day_of_week: '{day}L'" if which.casefold() == "last" else f"day_of_week: '{day}#{which[0]}'"

    def schema(self) -> JsonSchemaValue:
        """A whole number, or text."""
        return {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 59}, {"type": "string", "pattern": r"^\S+$"}]}


@dataclass(frozen=True, slots=True)
class WeekdayPart(CronPart):
    """The days of the week by name: their numbers mean other days in cron than in other schedulers."""

    def read(self, value: Any) -> str:
        """Return the field as cron text."""
        text = super(WeekdayPart, self).read(value)
        if text.startswith("*/"):
            why = "cron counts such steps from Sunday, other schedulers from Monday"
            raise ValueError(f"found {found(value)}: {why}; write the days, such as 'mon,wed,fri'")
        if _DAY_NUMBER.search(text):
            raise ValueError(f"found {found(value)}{_both_readings(text)}")
        return text

    def schema(self) -> JsonSchemaValue:
        """Text."""
        return {"type": "string", "pattern": r"^\S+$"}


def _both_readings(text: str) -> str:
    """Say what numbers of days are in cron, which counts from Sunday, and elsewhere, from Monday."""
    if any(int(number[:9]) > len(DAYS) - 1 for number in _DAY_NUMBER.findall(text)):
        return "; expected days by name, such as 'mon-fri'"
    cron = _DAY_NUMBER.sub(lambda day: DAYS[int(day[0])], text)
    other = _DAY_NUMBER.sub(lambda day: (*DAYS[1:], DAYS[0])[int(day[0])], text)
    return (
        f": cron counts days from Sunday and means {quoted(cron)}, other schedulers count from Monday and mean "
        f"{quoted(other)}; write the one you mean by name"
    )


class JobConfig(Section):
    """When a job is due. `written` is what the schedule of a pipelines file would say."""

    WHERE: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Keys of a schedule, and the keys that stand for them here."""

    @property
    def written(self) -> dict[str, Any]:
        """The keys of the schedule, with their values."""
        return {name: getattr(self, key) for name, key in self.WHERE if getattr(self, key) is not None}

    def place(self, name: str) -> KeyPath:
        """Return the way from `config` to what stands for a key of the schedule."""
        keys = [key for each, key in self.WHERE if each == name and getattr(self, key) is not None]
        return (keys[0],) if keys else ()


class Bounded(JobConfig):
    """One that begins or ends at some time."""

    WHERE: ClassVar[tuple[tuple[str, str], ...]] = (("start", "start_date"), ("end", "end_date"))

    start_date: Annotated[str | None, MOMENT] = Field(
        default=None, description="Not due before this date or time, ISO 8601 in the job's zone."
    )
    end_date: Annotated[str | None, MOMENT] = Field(
        default=None, description="Not due after this time, or the end of this date, in the job's zone."
    )


class CronConfig(Bounded):
    """By the calendar: the five fields of cron as one text, or by their names."""

    WHERE: ClassVar[tuple[tuple[str, str], ...]] = (*Bounded.WHERE, ("cron", "cron"), ("cron", "expression"))
    FIELDS: ClassVar[tuple[str, ...]] = ("minute", "hour", "day", "month", "day_of_week")
    COARSEST_FIRST: ClassVar[tuple[tuple[str, str], ...]] = (
        ("month", "*"),
        ("day", "1"),
        ("day_of_week", "*"),
        ("hour", "0"),
        ("minute", "0"),
    )
    """The fields, each with what it is where a coarser one is given and it is not."""

    cron: Annotated[str | None, Text("a cron text such as '0 */6 * * *'", 256)] = Field(
        default=None, description="Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday)."
    )
    expression: Annotated[str | None, Text("a cron text such as '0 */6 * * *'", 256)] = Field(
        default=None, description="Another name of 'cron'."
    )
    minute: Annotated[str | None, CronPart()] = Field(default=None, description="0 to 59.")
    hour: Annotated[str | None, CronPart()] = Field(default=None, description="0 to 23.")
    day: Annotated[str | None, CronPart()] = Field(default=None, description="The day of the month, 1 to 31.")
    month: Annotated[str | None, CronPart()] = Field(default=None, description="1 to 12, or jan to dec.")
    day_of_week: Annotated[str | None, WeekdayPart()] = Field(
        default=None, description="By name, sun to sat: numbers of days mean others elsewhere than in cron."
    )

    @property
    def parts(self) -> dict[str, str]:
        """The fields that are given by name."""
        return {name: getattr(self, name) for name in self.FIELDS if getattr(self, name) is not None}

    @property
    def written(self) -> dict[str, Any]:
        """The keys of the schedule; fields that were left out are `*`, or the lowest where all finer ones are too."""
        given, said = self.parts, super().written
        if not given:
            return said
        full: dict[str, str] = {}
        finest = max(place for place, (name, _) in enumerate(self.COARSEST_FIRST) if name in given)
        for place, (name, lowest) in enumerate(self.COARSEST_FIRST):
            full[name] = given.get(name, "*" if place < finest else lowest)
        return {**said, "cron": " ".join(full[name] for name in self.FIELDS)}

    def alone(self, field: str) -> str:
        """Return the cron text of one field, with all others `*`."""
        return " ".join(self.parts[field] if name == field else "*" for name in self.FIELDS)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        texts = [name for name in ("cron", "expression") if getattr(self, name) is not None]
        given = [*texts, *self.parts]
        if not given or len(texts) > 1 or (texts and self.parts):
            said = " and ".join(given) or "neither"
            raise ValueError(f"found {said}; expected one cron text under 'cron', or the fields {one_of(self.FIELDS)}")
        if self.day and self.day_of_week and "*" not in (self.day[0], self.day_of_week[0]):
            why = "cron runs on days that fit either, other schedulers on days that fit both"
            hint = "write day_of_week alone, such as 'mon#1' for the first Monday, or cron's own text under 'cron'"
            raise ValueError(f"found day and day_of_week: {why}; {hint}")
        return self


class IntervalConfig(Interval, Bounded):
    """By elapsed time: the sum of its parts, counted from 1970-01-01T00:00Z."""

    @property
    def written(self) -> dict[str, Any]:
        """The keys of the schedule."""
        parts = {name: getattr(self, name) for name in Interval.model_fields if getattr(self, name)}
        return {**super().written, "interval": parts}


class DateConfig(JobConfig):
    """Once."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["run_date"]}, {"required": ["at"]}]})
    WHERE: ClassVar[tuple[tuple[str, str], ...]] = (("at", "run_date"), ("at", "at"))

    run_date: Annotated[str | None, Text("a time such as '2027-06-20T15:30:00'", 80)] = Field(
        default=None, description="An ISO 8601 time, in the job's zone unless it names an offset."
    )
    at: Annotated[str | None, Text("a time such as '2027-06-20T15:30:00'", 80)] = Field(
        default=None, description="Another name of 'run_date'."
    )

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.run_date is None) == (self.at is None):
            said = "neither" if self.at is None else "run_date and at"
            raise ValueError(f"found {said}; expected a time under 'run_date' or 'at'")
        return self


class DailyConfig(Bounded):
    """Every day."""

    WHERE: ClassVar[tuple[tuple[str, str], ...]] = (*Bounded.WHERE, ("daily", "time"))

    time: Annotated[str, Text("a time of day such as '09:30'", 80)] = Field(description="HH:MM, on a 24-hour clock.")


class HourlyConfig(Bounded):
    """Every hour."""

    WHERE: ClassVar[tuple[tuple[str, str], ...]] = (*Bounded.WHERE, ("hourly", "minute"))

    minute: Annotated[int, Whole(0, 59)] = Field(description="So many minutes past the hour.")


CONFIGS: dict[JobType, type[JobConfig]] = {
    JobType.CRON: CronConfig,
    JobType.INTERVAL: IntervalConfig,
    JobType.DATE: DateConfig,
    JobType.DAILY: DailyConfig,
    JobType.HOURLY: HourlyConfig,
}
"""What `config` holds, by type."""
