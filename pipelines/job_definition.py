"""One job of a JSON file of jobs: its keys, and the schedule that it stands for.

The keys are those that users of other schedulers know. What a job has in common with a schedule of the pipelines file
has the same kinds of values. When it is due is in `job_config`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from pipelines.fields import Choice, Duration, Flag, JsonMapping, Text
from pipelines.job_config import JobConfig, JobType
from pipelines.model import Overlap
from pipelines.schedule_definition import NAME, ZONE, Section


class JobDefinition(Section):
    """One job: a pipeline, when it is due, and how it is handled. What `config` holds depends on the type."""

    PARAMS: ClassVar[tuple[str, ...]] = ("params", "context", "kwargs")

    job_id: Annotated[str, NAME] = Field(description="Its name, which no other job or schedule has.")
    type: Annotated[JobType, Choice(JobType)] = Field(description="How it says when it is due.")
    pipeline: Annotated[str, Text("the name of a pipeline", 80)] = Field(
        description="A pipeline of the pipelines file."
    )
    config: Annotated[dict[str, Any], JsonMapping()] = Field(description="When it is due.")
    params: Annotated[dict[str, Any] | None, JsonMapping()] = Field(
        default=None, description="Parameters of its runs, over those of the pipeline."
    )
    context: Annotated[dict[str, Any] | None, JsonMapping()] = Field(
        default=None, description="Another name of 'params'."
    )
    kwargs: Annotated[dict[str, Any] | None, JsonMapping()] = Field(
        default=None, description="Another name of 'params'."
    )
    timezone: Annotated[str | None, ZONE] = Field(default=None, description="Wins over the scheduler's own.")
    enabled: Annotated[bool, Flag()] = Field(default=True, description="false: never due; its id stays taken.")
    description: Annotated[str | None, Text("text", 2_000)] = Field(default=None, description="For people; unused.")
    misfire_grace_time: Annotated[timedelta | None, Duration(zero=True)] = Field(
        default=None, description="How late a run may start; 5 minutes where it is left out."
    )
    coalesce: Annotated[bool | None, Flag()] = Field(
        default=None, description="Of the instants missed within that time only the latest runs (true), or all do."
    )
    overlap: Annotated[Overlap | None, Choice(Overlap)] = Field(
        default=None, description="What if a run of it still waits or goes on when it is due; else the pipeline's."
    )
    jitter: Annotated[timedelta | None, Duration(zero=True)] = Field(
        default=None, description="Each run starts up to so much later, always by the same; at most a day."
    )

    @model_validator(mode="after")
    def _params_once(self) -> Self:
        given = [name for name in self.PARAMS if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"found {' and '.join(given)}, which are names for the same; expected one of them")
        return self

    @property
    def params_key(self) -> str:
        """Under which of its names the parameters stand."""
        return next((name for name in self.PARAMS if getattr(self, name) is not None), "params")

    def schedule(self, config: JobConfig) -> dict[str, Any]:
        """Return what the pipelines file would say for it; `config` is what was made of its own."""
        misfire = {"grace": self.misfire_grace_time, "policy": _POLICIES.get(self.coalesce)}
        said = {
            "id": self.job_id,
            "timezone": self.timezone,
            "params": getattr(self, self.params_key),
            "misfire": {name: value for name, value in misfire.items() if value is not None} or None,
            "overlap": self.overlap,
            "jitter": self.jitter,
            **config.written,
        }
        return {name: value for name, value in said.items() if value is not None}


_POLICIES: dict[bool | None, str] = {True: "latest", False: "all"}
"""What `coalesce` says, as a schedule would."""


class JobsFile(Section):
    """A whole JSON file of jobs."""

    jobs: list[JobDefinition] = Field(description="The jobs.")
