"""When a pipeline is due, as a pipelines file says it: one time each, its zone, its parameters, what if it was missed.

The models keep what was written; what the times mean is worked out in `triggers`. `definition` offers these names too,
and users of them import them from there.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines import triggers
from pipelines.fields import LONGEST_S, Choice, Duration, JsonMapping, Text, Whole
from pipelines.model import Overlap
from pipelines.triggers import Trigger
from pipelines.wording import found, one_of

NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9._-]*"
NAME = Text("a name of 1 to 80 letters, digits, '.', '_' and '-', begun by a letter or digit", 80, NAME_PATTERN)
ZONE = Text("a time zone such as Europe/Stockholm", 80)
MOMENT = Text("a date such as '2027-06-20', or a time such as '2027-06-20T15:30:00'", 80)
LONGEST_JITTER = timedelta(days=1)
TIMES = ("cron", "interval", "at", "daily", "hourly")
"""The keys of which a schedule has exactly one."""


class Section(BaseModel):
    """A mapping in a pipelines file: frozen, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MisfirePolicy(StrEnum):
    """Which of the instants that were missed within the grace time run after all."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"
    ASK = "ask"


class Misfire(Section):
    """What becomes of instants at which nothing could run, because the service was down or the machine asleep."""

    grace: Annotated[timedelta, Duration(zero=True)] = Field(
        default=timedelta(minutes=5), description="How late a run may start; what is later is recorded as missed."
    )
    policy: Annotated[MisfirePolicy, Choice(MisfirePolicy)] = Field(
        default=MisfirePolicy.LATEST, description="Which instants within the grace time run: latest, all, none; or ask."
    )


class Interval(Section):
    """A period of elapsed time: the sum of its parts."""

    weeks: Annotated[int, Whole(0, 520)] = 0
    days: Annotated[int, Whole(0, 3_650)] = 0
    hours: Annotated[int, Whole(0, 87_600)] = 0
    minutes: Annotated[int, Whole(0, 5_256_000)] = 0
    seconds: Annotated[int, Whole(0, LONGEST_S)] = 0

    @property
    def period(self) -> timedelta:
        """The sum."""
        return timedelta(weeks=self.weeks, days=self.days, hours=self.hours, minutes=self.minutes, seconds=self.seconds)

    @model_validator(mode="after")
    def _within_bounds(self) -> Self:
        if not 1 <= self.period.total_seconds() <= LONGEST_S:
            raise ValueError(f"the interval sums up to {self.period}; expected from 1 second to ten years")
        return self


class ScheduleDefinition(Section):
    """One schedule of a pipeline: exactly one of cron, interval, at, daily and hourly, and how it is handled."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in TIMES]})

    cron: Annotated[str | None, Text("a cron text such as '0 */6 * * *'", 256)] = Field(
        default=None, description="Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday)."
    )
    interval: Interval | None = Field(default=None, description="Elapsed time between runs.")
    at: Annotated[str | None, Text("a time such as '2027-06-20T15:30:00'", 80)] = Field(
        default=None, description="Once: an ISO 8601 time, in the schedule's zone unless it names an offset."
    )
    daily: Annotated[str | None, Text("a time of day such as '09:30'", 80)] = Field(
        default=None, description="Every day at HH:MM."
    )
    hourly: Annotated[int | None, Whole(0, 59)] = Field(
        default=None, description="Every hour, so many minutes past it."
    )
    timezone: Annotated[str | None, ZONE] = Field(default=None, description="Wins over the scheduler's own.")
    params: Annotated[dict[str, Any], JsonMapping()] = Field(
        default_factory=dict, description="Parameters of its runs, over those of the pipeline."
    )
    id: Annotated[str | None, NAME] = Field(
        default=None, description="Its name (job id); else made from the pipeline's."
    )
    misfire: Misfire = Field(default=Misfire(), description="What becomes of missed instants.")
    overlap: Annotated[Overlap | None, Choice(Overlap)] = Field(
        default=None, description="What if a run of it still waits or goes on when it is due; else the pipeline's."
    )
    start: Annotated[str | None, MOMENT] = Field(
        default=None, description="Not due before this date or time, ISO 8601 in the schedule's zone."
    )
    end: Annotated[str | None, MOMENT] = Field(
        default=None, description="Not due after this time, or the end of this date, in the schedule's zone."
    )
    jitter: Annotated[timedelta, Duration(zero=True)] = Field(
        default=timedelta(0), description="Each run starts up to so much later, always by the same; at most a day."
    )

    @field_validator("jitter")
    @classmethod
    def _at_most_a_day(cls, value: timedelta) -> timedelta:
        if value > LONGEST_JITTER:
            raise ValueError(f"found {value}; expected at most a day")
        return value

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"cron": value}
        if not isinstance(value, dict | ScheduleDefinition):
            raise ValueError(f"found {found(value)}; expected a cron text, a mapping, or a list of those")
        return value

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        given = [key for key in TIMES if getattr(self, key) is not None]
        if len(given) != 1:
            said = " and ".join(given) if given else "none of them"
            raise ValueError(f"found {said}; expected exactly one of {one_of(TIMES)}")
        return self

    @property
    def kind(self) -> str:
        """Which of cron, interval, at, daily and hourly it has."""
        return next(key for key in TIMES if getattr(self, key) is not None)

    @property
    def misfire_grace(self) -> timedelta:
        """How late a run of it may start."""
        return self.misfire.grace

    @property
    def misfire_policy(self) -> MisfirePolicy:
        """Which of the instants within the grace time run."""
        return self.misfire.policy

    def trigger(self, default_zone: str, schedule_id: str) -> Trigger:
        """Return the trigger that knows the instants; `default_zone` is for a schedule that names none.

        Raises:
            BadSchedule: a time cannot be read, can never come, the end lies before the start, or the zone is unknown.
        """
        zone = self.timezone or default_zone
        return triggers.within(self.times(zone, schedule_id), self.starts(zone), self.ends(zone))

    def starts(self, zone: str) -> datetime | None:
        """Return its first instant, UTC; None where it has no start. Raises BadSchedule like `trigger`."""
        return triggers.start_of(self.start, triggers.check_zone(zone)) if self.start is not None else None

    def ends(self, zone: str) -> datetime | None:
        """Return its last instant, UTC; None where it has no end. Raises BadSchedule like `trigger`."""
        return triggers.end_of(self.end, triggers.check_zone(zone)) if self.end is not None else None

    def times(self, zone: str, schedule_id: str) -> Trigger:
        """Return the trigger of its instants in `zone`, whatever start and end. Raises BadSchedule like `trigger`."""
        if self.cron is not None:
            return triggers.cron(self.cron, zone, schedule_id=schedule_id)
        if self.interval is not None:
            return triggers.interval(self.interval.period, zone)
        if self.at is not None:
            return triggers.date(self.at, zone)
        if self.daily is not None:
            return triggers.daily(self.daily, zone)
        return triggers.hourly(self.hourly or 0, zone)

    def spec(self) -> dict[str, Any]:
        """Return the schedule as JSON, without `id` and `params`; `ScheduleDefinition.model_validate` reads it back."""
        return self.model_dump(mode="json", exclude_defaults=True, exclude={"id", "params"})
