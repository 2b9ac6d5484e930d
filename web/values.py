"""What the REST interface answers with: models whose schema is in the OpenAPI, read off the engine's own values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from pipelines import Redactor, Run, ScheduleRow
from web import examples


class Value(BaseModel):
    """A value that is read off one of the engine's by the names of its fields."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


def like(example: Mapping[str, Any]) -> ConfigDict:
    """Return the settings of a value with an example."""
    return ConfigDict(from_attributes=True, frozen=True, json_schema_extra={"examples": [dict(example)]})


class Problem(BaseModel):
    """What went wrong, as RFC 9457 says. Some have further members, such as `missing` or `problems`."""

    model_config = ConfigDict(extra="allow")
    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not there"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no pipeline is called 'prizes'; did you mean 'prices'?"])


class Fault(Value):
    """Why a run did not succeed."""

    type: str = Field(examples=["TimeoutError"])
    message: str
    stage: str | None = None
    traceback: str | None = None


class RunValue(Value):
    """A run. Instants are UTC; `due_at` is the scheduled one."""

    model_config = like(examples.RUN)
    id: int = Field(examples=[42])
    pipeline: str = Field(examples=["prices"])
    state: str = Field(examples=["succeeded"])
    started_by: str
    queued_at: datetime
    schedule_id: str | None
    actor: str | None
    params: Mapping[str, Any]
    due_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int
    max_attempts: int
    reason: str | None
    error: Fault | None
    items_in: int
    items_out: int

    @classmethod
    def of(cls, run: Run, redactor: Redactor) -> Self:
        """Return a run as it may be shown: secrets among its parameters are hidden."""
        return cls.model_validate(replace(run, params=redactor.values(run.params)))


class AttemptValue(Value):
    """One try of a run."""

    number: int
    state: str
    started_at: datetime
    ended_at: datetime | None
    error: Fault | None
    reason: str | None


class StageValue(Value):
    """What one stage did; `busy_s` is in seconds."""

    position: int
    name: str
    items_in: int
    items_out: int
    busy_s: float


class ProgressValue(Value):
    """How far a run is that goes on; `done` is a share from 0 to 1."""

    attempt: int
    at: datetime
    done: float | None
    note: str
    stages: list[StageValue]


class HolderValue(Value):
    """The process that executes a run; `id` is that of `/api/processes`."""

    id: str
    host: str | None
    pid: int | None


class RunDetail(Value):
    """A run with all that is known of it; `holder` is null unless it is running."""

    model_config = like(examples.RUN_DETAIL)
    run: RunValue
    attempts: list[AttemptValue]
    stages: list[StageValue]
    progress: ProgressValue | None
    holder: HolderValue | None


class Runs(BaseModel):
    """A page of runs, newest first; `next` is the path of the page of older ones."""

    model_config = like(examples.RUNS)
    runs: list[RunValue]
    next: str | None = Field(examples=["/api/runs?limit=50&before=41"])


class ScheduleValue(Value):
    """A job: when a pipeline is due. `spec` is what a pipelines file would say, `words` the same for people."""

    model_config = like(examples.JOB)
    id: str = Field(examples=["prices-daily"])
    pipeline: str
    spec: Mapping[str, Any]
    timezone: str
    words: str
    source: str
    state: str
    params: Mapping[str, Any]
    next_due_at: datetime | None
    last_due_at: datetime | None
    actor: str | None
    paused_until: datetime | None
    pause_reason: str | None

    @classmethod
    def of(cls, row: ScheduleRow, redactor: Redactor) -> Self:
        """Return a job as it may be shown: secrets among its parameters are hidden."""
        return cls.model_validate(replace(row, params=redactor.values(row.params)))


class PipelineValue(BaseModel):
    """A pipeline and how it stands: `running` are numbers of runs, `last` is the one that was executed last."""

    model_config = like(examples.PIPELINE)
    name: str
    description: str
    enabled: bool
    failing: bool
    running: list[int]
    queued: int
    next_due_at: datetime | None
    last: RunValue | None
    schedules: list[ScheduleValue]


class LineValue(BaseModel):
    """A line of a run's log; `seq` counts from 1, `level` is that of Python's logging."""

    model_config = like(examples.LINE)
    seq: int
    at: datetime
    level: int
    source: str
    text: str


class StatsValue(Value):
    """Counts of a pipeline's runs; `success_rate` is a share from 0 to 1."""

    pipeline: str
    executed: int
    succeeded: int
    failed: int
    skipped: int
    missed: int
    success_rate: float | None
    last_error: str | None
    last_ended_at: datetime | None


class MissedValue(BaseModel):
    """An instant at which a job was due and did not run."""

    schedule_id: str
    pipeline: str
    due_at: datetime
    outcome: str
    reason: str | None


class AuditValue(BaseModel):
    """What somebody asked for; `missing` says what a denied request lacked."""

    model_config = like(examples.AUDIT)
    id: int
    at: datetime
    actor: str
    actor_id: str
    door: str
    verb: str
    target: str | None
    allowed: bool
    missing: str | None
    detail: Mapping[str, Any]
    run_id: int | None


class Preview(BaseModel):
    """What a time means: in words, the next instants (UTC), and what to know beforehand."""

    model_config = like(examples.PREVIEW)
    words: str
    spec: Mapping[str, Any]
    next: list[datetime]
    cautions: list[str]


class LetterValue(Value):
    """A message that was refused for good."""

    id: int
    target: str
    kind: str
    created_at: datetime
    attempts: int
    run_id: int | None
    error: str | None


class Count(BaseModel):
    """How many something was done to."""

    count: int


class IncidentValue(Value):
    """A pipeline's trouble that goes on; `count` is how often, `summary` a line about the newest."""

    model_config = like(examples.INCIDENT)
    id: int
    pipeline: str
    kind: str
    opened_at: datetime
    last_at: datetime
    first_run_id: int | None
    last_run_id: int | None
    count: int
    summary: str
    acknowledged_by: str | None


class QuestionValue(Value):
    """What is to become of a job's missed instants; `choice` is None while nobody has decided."""

    model_config = like(examples.QUESTION)
    id: int
    schedule_id: str
    pipeline: str
    instants: list[datetime]
    asked_at: datetime
    expires_at: datetime
    choice: str | None
    decided_by: str | None
    decided_at: datetime | None


class DecidedValue(BaseModel):
    """A question as it now stands, and the runs that make up for what was missed."""

    question: QuestionValue
    runs: list[RunValue]
