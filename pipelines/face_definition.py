"""What a pipelines file says about chat: where the bot may be used, and who is told of trouble."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator

from pipelines.field_lists import Choices, Durations, Id, Ids
from pipelines.fields import Duration, Flag, Text, Whole
from pipelines.schedule_definition import Section

CLOCK = Text("a time of day such as '08:00'", 5, r"([01][0-9]|2[0-3]):[0-5][0-9]")


class AlertKind(StrEnum):
    """What people can be told of."""

    FAILURE = "failure"
    RECOVERY = "recovery"
    LATE = "late"
    MISSED = "missed"
    MISSING = "missing"
    SLOW = "slow"
    EMPTY = "empty"
    SUCCESS = "success"


DEFAULT_KINDS = tuple(kind for kind in AlertKind if kind is not AlertKind.SUCCESS)


class AlertsSection(Section):
    """Who is told of trouble, and of what. A pipeline's own section wins over the file's, key by key."""

    channel_id: Annotated[int | None, Id()] = Field(default=None, description="The Discord channel that is told.")
    on: Annotated[tuple[AlertKind, ...], Choices(AlertKind)] = Field(
        default=DEFAULT_KINDS, description="What it is told of; successes only if asked for."
    )
    mention: Annotated[tuple[int, ...], Ids()] = Field(
        default=(), description="Ids of roles that are pinged when trouble begins."
    )
    late_after: Annotated[timedelta, Duration()] = Field(
        default=timedelta(minutes=15), description="A due run that has not started after so long is late."
    )
    remind: Annotated[tuple[timedelta, ...], Durations()] = Field(
        default=(timedelta(hours=1), timedelta(hours=4), timedelta(hours=24)),
        description="Trouble that goes on is told again after each of these.",
    )

    def over(self, base: AlertsSection) -> AlertsSection:
        """Return this section with the keys it does not set itself taken from `base`."""
        return base.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


class Digest(Section):
    """A summary of the last day, once a day; none when nothing happened."""

    at: Annotated[str, CLOCK] = Field(default="08:00", description="When, in the scheduler's time zone.")
    channel_id: Annotated[int | None, Id()] = Field(default=None, description="Where; not given: where alerts go.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        return {"at": value} if isinstance(value, str) else value


class DiscordSection(Section):
    """Where the bot may be used, and how much of it."""

    guilds: Annotated[tuple[int, ...], Ids()] = Field(
        default=(), description="Ids of the servers that it serves; nowhere else does it answer."
    )
    digest: Digest | None = Field(default=None, description="A daily summary.")
    shortest_interval: Annotated[timedelta, Duration()] = Field(
        default=timedelta(minutes=1), description="Jobs made in chat may not be due more often."
    )
    jobs_per_user: Annotated[int, Whole(1, 10_000)] = Field(
        default=50, description="So many jobs one person may have made in chat."
    )


class ChatRules(Section):
    """What holds for one pipeline in chat."""

    channels: Annotated[tuple[int, ...], Ids()] = Field(
        default=(), description="It may be used in these channels only; not given: in all."
    )
    confirm: Annotated[bool, Flag()] = Field(default=False, description="Ask before it is run from chat.")
