"""What a pipelines file may say about further tries of a run; how it is reckoned with is in `retry`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from pipelines.fields import Flag, Number, Seconds, Text, Texts, Whole
from pipelines.schedule_definition import Section

CLASS_NAME = Text("the name of an exception class such as TimeoutError", 200, r"[A-Za-z_][A-Za-z0-9_.]*")


class OnCrash(StrEnum):
    """What follows an attempt that its process or machine died under: the next attempt, or the end of the run."""

    RETRY = "retry"
    FAIL = "fail"


class RetryPolicy(Section):
    """How often a run is tried and how long it waits in between; delays are floats of seconds.

    The wait before attempt n ≥ 2 is `min(max_delay, delay · backoff^(n-2))`. `retry_on` and `give_up_on` are names of
    exception classes; with `retry_on` empty every failure is retried.
    """

    attempts: Annotated[int, Whole(1, 100)] = Field(default=3, description="Tries in all, the first one included.")
    delay: Annotated[float, Seconds(zero=True)] = Field(default=60.0, description="Seconds before the second try.")
    backoff: Annotated[float, Number(1, 100)] = Field(
        default=2.0, description="Each further wait is so many times as long."
    )
    max_delay: Annotated[float, Seconds(zero=True)] = Field(default=3600.0, description="The longest wait, in seconds.")
    jitter: Annotated[bool, Flag()] = Field(default=True, description="Draw each wait from its upper half.")
    retry_on: Annotated[tuple[str, ...], Texts(CLASS_NAME)] = Field(
        default=(), description="Only these exceptions are tried again."
    )
    give_up_on: Annotated[tuple[str, ...], Texts(CLASS_NAME)] = Field(
        default=(), description="These exceptions are not tried again."
    )

    def over(self, base: RetryPolicy) -> RetryPolicy:
        """Return this policy with the fields it does not set itself taken from `base`."""
        return base.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})
