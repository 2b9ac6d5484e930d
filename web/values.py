"""What the REST interface answers with: models whose schema is in the OpenAPI, read off the engine's own values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """A value that is read off one of the engine's by the names of its fields."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Problem(BaseModel):
    """What went wrong, as RFC 9457 says."""

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


class RunDetail(Value):
    """A run with all that is known of it."""

    run: RunValue
    attempts: list[AttemptValue]
    stages: list[StageValue]
    progress: ProgressValue | None


class Runs(BaseModel):
    """A page of runs, newest first; `next` is the path of the page of older ones."""

    runs: list[RunValue]
    next: str | None = Field(examples=["/api/runs?limit=50&before=41"])


class ScheduleValue(Value):
    """A job: when a pipeline is due. `spec` is what a pipelines file would say, `words` the same for people."""

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


class PipelineValue(BaseModel):
    """A pipeline and how it stands."""

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
    """What somebody asked for."""

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


class Text(BaseModel):
    """A change of the pipelines in words; None where all is as it was."""

    change: str | None
