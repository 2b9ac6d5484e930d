"""What a pipelines file says about being watched: what is expected of pipelines, how the service shows its health."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.fields import Duration, Flag, Text, Whole
from pipelines.schedule_definition import Section

ADDRESS = Text("an address such as https://watch.example/ping/abc, or ${NAME}", 2_000)


class Expect(Section):
    """What people expect of a pipeline; whatever falls short of it is told as trouble."""

    every: Annotated[timedelta, Duration()] | None = Field(
        default=None, description="It succeeds at least so often; else it is missing."
    )
    grace: Annotated[timedelta, Duration(zero=True)] = Field(
        default=timedelta(minutes=5), description="So much later than `every` it may be."
    )
    max_duration: Annotated[timedelta, Duration()] | None = Field(
        default=None, description="A run that goes on for longer, waits between attempts included, is slow."
    )
    min_items: Annotated[int, Whole(0, 1_000_000_000)] = Field(
        default=0, description="A run that succeeds with fewer items out is empty."
    )

    @model_validator(mode="after")
    def _grace_of_something(self) -> Self:
        if "grace" in self.model_fields_set and self.every is None:
            raise ValueError("found 'grace' without 'every'; expected both, such as {every: 1d, grace: 30m}")
        return self


class Heartbeat(Section):
    """A service elsewhere that raises the alarm when this one falls silent."""

    url: Annotated[str, ADDRESS] = Field(description="The address to call; ${NAME} is read from the environment.")
    every: Annotated[timedelta, Duration()] = Field(default=timedelta(minutes=1), description="How often.")


class Monitoring(Section):
    """Whether and how often the scheduler looks after itself."""

    enabled: Annotated[bool, Flag()] = True
    health_check_interval: Annotated[timedelta, Duration()] = Field(
        default=timedelta(minutes=5), description="Time between checks, in seconds or as text such as 5m."
    )
