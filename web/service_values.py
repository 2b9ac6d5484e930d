"""What the REST interface answers about the service itself, and the events that it sends."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from web import examples
from web.values import like


class Reloaded(BaseModel):
    """What taking up the file changed, in words; None where all is as it was."""

    change: str | None = Field(examples=["+1 pipeline, ~2 schedules"])


class ReloadValue(BaseModel):
    """How it is with the files: why the newest are not in force (None: they are), and what changed last, and when."""

    problem: str | None
    last: str | None
    last_at: datetime | None


class SchedulerValue(BaseModel):
    """The service that answers; `since` is None in its first moment.

    `slots` is how many runs may go on at one time, on all machines where there are several.
    """

    model_config = like(examples.SCHEDULER)
    version: str
    pid: int
    host: str
    since: datetime | None
    web: str | None
    timezone: str
    pipelines: int
    schedules: int
    slots: int
    running: int
    reload: ReloadValue


class HealthValue(BaseModel):
    """How the service is: ok, degraded or down. All but `status` is told only to those who may ask."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"status": "ok"}]})
    status: str
    complaints: list[str] | None = None
    faces: dict[str, str] | None = Field(default=None, examples=[{"bot": "ready", "web": "ready"}])


class JobEvent(BaseModel):
    """An event: a job came, changed or (`gone`) went."""

    id: str
    pipeline: str
    state: str
    gone: bool


class ReloadEvent(BaseModel):
    """An event: changed files were taken up (`ok`) or refused; `text` says what changed, or why not."""

    ok: bool
    text: str
