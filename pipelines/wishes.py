"""Jobs as a Python program asks for them: checked on the spot, kept, and made anew at each start of the scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypedDict

from pydantic import ValidationError

from pipelines.errors import BadSchedule
from pipelines.faults import faults
from pipelines.model import Params
from pipelines.pipeline import PipelineOptions, check_json
from pipelines.schedule import Schedule, type_of
from pipelines.schedule_definition import NAME, ScheduleDefinition

_JUST_BEFORE = timedelta(microseconds=1)


class ScheduleOptions(TypedDict, total=False):
    """What can be said about a schedule besides its time."""

    job_id: str
    """Its name; else the callable's or the pipeline's."""
    timezone: str
    """The zone that its times are in; else the scheduler's."""
    context: Mapping[str, Any]
    """Values for its runs: JSON."""
    misfire_grace: float | str | timedelta
    """How late a run may start, such as after a restart: seconds or text such as `6h`; else 5 minutes."""
    misfire: str
    """Which of the missed instants within that time run: `latest` (the default), `all`, `none` or `ask`."""
    overlap: str
    """What if a run of it still goes on when it is due: `queue`, `skip`, `queue_all`, `cancel_running` or `allow`."""
    jitter: float | str | timedelta
    """Each run starts up to so much later."""
    start: str | date
    """Not due before this date or time."""
    end: str | date
    """Not due after it."""


class JobOptions(ScheduleOptions, PipelineOptions, total=False):
    """What can be said about a job of a callable: that of its schedule, and that of its runs."""

    args: tuple[Any, ...]
    """Handed to the callable at each call, before everything else."""
    kwargs: Mapping[str, Any]
    """Keyword arguments of each call; they win over the context."""


SCHEDULE_OPTIONS = tuple(ScheduleOptions.__annotations__)
JOB_OPTIONS = tuple(JobOptions.__annotations__)


@dataclass(frozen=True, slots=True)
class Wish:
    """One job: the pipeline `name` runs, when (`spec`, in `timezone`), with which values."""

    job_id: str
    pipeline: str
    spec: Mapping[str, Any]
    timezone: str
    words: str
    instant: datetime | None
    """The only instant at which it is due, UTC; None for one that is due again and again."""
    context: Params = field(default_factory=dict)

    def since(self, now: datetime) -> datetime | None:
        """Return from when on it is due: a moment that lies in the past is a missed one, not one to be forgotten."""
        return self.instant - _JUST_BEFORE if self.instant is not None and self.instant <= now else None

    @property
    def schedule(self) -> Schedule:
        """What is known of it while the scheduler is not started."""
        return Schedule(
            name=self.job_id,
            pipeline=self.pipeline,
            type=type_of(self.spec),
            words=self.words,
            spec=self.spec,
            timezone=self.timezone,
            context=self.context,
        )


def wish(job_id: str, pipeline: str, time: Mapping[str, Any], options: ScheduleOptions, *, zone: str) -> Wish:
    """Return the wish for a job; `time` is the one key of a schedule that says when, `zone` is for one that names none.

    Raises:
        BadSchedule: its name, its time or its zone cannot be used.
        PipecallError: the context is no JSON.
    """
    check_json(f"the context of job '{job_id}'", options.get("context") or {})
    context = dict(options.get("context") or {})
    try:
        NAME.read(job_id)
    except ValueError as error:
        raise BadSchedule(f"the job's name: {error}") from None
    try:
        definition = ScheduleDefinition.model_validate(_spec(time, options))
    except ValidationError as error:
        raise BadSchedule("; ".join(words for _, words in faults(error, ScheduleDefinition))) from None
    zone = options.get("timezone") or zone
    trigger = definition.trigger(zone, job_id)
    once = trigger.next_after(datetime.min.replace(tzinfo=UTC)) if definition.kind == "at" else None
    return Wish(job_id, pipeline, definition.spec(), zone, trigger.words, once, context)


def _spec(time: Mapping[str, Any], options: ScheduleOptions) -> dict[str, Any]:
    misfire = {"grace": options.get("misfire_grace"), "policy": options.get("misfire")}
    given = {
        **time,
        "misfire": {key: _plain(value) for key, value in misfire.items() if value is not None} or None,
        "overlap": options.get("overlap"),
        "jitter": options.get("jitter"),
        "start": options.get("start"),
        "end": options.get("end"),
    }
    return {key: _plain(value) for key, value in given.items() if value is not None}


def _plain(value: Any) -> Any:
    """Return what a pipelines file would say."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    return value.isoformat() if isinstance(value, date) else value
