"""How long history is kept, as a pipelines file says it: `keep` under `scheduler`. Who removes the rest is `retention`.

`definition` offers the model too, and users of it import it from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from pipelines.fields import Duration, Kind, Whole
from pipelines.schedule_definition import Section
from pipelines.wording import found

LEAST = timedelta(days=2)
"""What is younger may still be in use: a message that is edited, a question that waits for its answer."""


@dataclass(frozen=True, slots=True)
class Age(Kind):
    """A duration of at least two days, kept as a timedelta, or null: for ever."""

    def read(self, value: Any) -> timedelta | None:
        """Return the timedelta that a number or text stands for; None for null."""
        if value is None:
            return None
        age = Duration(zero=True).read(value)
        if age < LEAST:
            raise ValueError(f"found {found(value)}; expected at least 2d, or null to keep it for ever")
        return age

    def serialization(self) -> core_schema.SerSchema:
        """Seconds, as the file would say it."""
        return core_schema.plain_serializer_function_ser_schema(_seconds, when_used="json")

    def schema(self) -> JsonSchemaValue:
        """A number of seconds, text of numbers with units, or null."""
        number, text = Duration().schema()["anyOf"]
        del number["exclusiveMinimum"]
        return {"anyOf": [number | {"minimum": LEAST.total_seconds()}, text, {"type": "null"}]}


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


@dataclass(frozen=True, slots=True)
class Limit(Kind):
    """A whole number between two bounds, or null: no limit."""

    whole: Whole

    def read(self, value: Any) -> int | None:
        """Return the number; None for null."""
        return None if value is None else self.whole.read(value)

    def schema(self) -> JsonSchemaValue:
        """An integer within the bounds, or null."""
        return {"anyOf": [self.whole.schema(), {"type": "null"}]}


class Keep(Section):
    """How long what is over is kept; null stands for ever. What is still in use stays, however old."""

    runs: Annotated[timedelta | None, Age()] = Field(
        default=timedelta(days=90), description="Runs with their attempts, stage counts and due instants."
    )
    runs_per_pipeline: Annotated[int | None, Limit(Whole(1, 10_000_000))] = Field(
        default=10_000, description="Of each pipeline at most so many runs, the newest."
    )
    logs: Annotated[timedelta | None, Age()] = Field(default=timedelta(days=30), description="The lines of runs.")
    reports: Annotated[timedelta | None, Age()] = Field(
        default=timedelta(days=90), description="The JSON reports in OUTPUT_DIR."
    )
    audit: Annotated[timedelta | None, Age()] = Field(
        default=timedelta(days=365), description="Who asked for which change."
    )
    messages: Annotated[timedelta | None, Age()] = Field(
        default=timedelta(days=30), description="Messages that were delivered or given up, and run cards that are over."
    )
