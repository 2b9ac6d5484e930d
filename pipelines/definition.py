"""The models of a pipelines file: what it may say, with defaults. One schema for people, editors and the engine.

Values are frozen once read. Text such as `${NAME}` stays as it was written; it is filled in for a run and at no other
time. Whether class paths exist and keyword arguments fit them is the loader's to find out, with the registry's help.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from pipelines import variables
from pipelines.face_definition import AlertsSection, ChatRules, DiscordSection
from pipelines.fields import Choice, Duration, Flag, JsonMapping, Text, Texts, Whole
from pipelines.keep_definition import Keep
from pipelines.model import DEFAULT_QUEUE, ExecutorKind, NewRun, Overlap, Params, StageSpec, StartedBy
from pipelines.parameters import Declarations, Parameter, complete, declared, defaults
from pipelines.policy import PolicySection
from pipelines.retry_definition import OnCrash, RetryPolicy
from pipelines.schedule_definition import (
    NAME,
    ZONE,
    Interval,
    Misfire,
    MisfirePolicy,
    ScheduleDefinition,
    Section,
)
from pipelines.watch_definition import Expect, Heartbeat, Monitoring
from pipelines.wording import found

__all__ = [
    "FACES",
    "Interval",
    "Keep",
    "LogLevel",
    "Misfire",
    "MisfirePolicy",
    "Monitoring",
    "OnCrash",
    "PipelineDefinition",
    "PipelinesFile",
    "RetryPolicy",
    "ScheduleDefinition",
    "SchedulerSection",
    "StageDefinition",
]

CLASS_PATH = Text("a dotted path such as my_plugin.MyFetcher", 1_000)
DESCRIPTION = Text(longest=2_000)


class LogLevel(StrEnum):
    """Lines of this level and above are shown."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class StageDefinition(Section):
    """One stage of a chain: a class or function and its keyword arguments, `${NAME}` in them as written."""

    path: Annotated[str, CLASS_PATH] = Field(alias="class", description="Dotted path of a class or function.")
    kwargs: Annotated[dict[str, Any], JsonMapping()] = Field(default_factory=dict, description="Keyword arguments.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"class": value}
        if not isinstance(value, dict | StageDefinition):
            raise ValueError(f"found {found(value)}; expected a class path, or a mapping with 'class' and 'kwargs'")
        return value


def _one_or_list(schema: dict[str, Any]) -> None:
    each = [{"type": "string"}, schema.pop("items")]
    del schema["type"]
    schema["anyOf"] = [*each, {"type": "array", "items": {"anyOf": each}, "minItems": 1}]


def _short_or_mapping(schema: dict[str, Any]) -> None:
    schema["items"] = {"anyOf": [{"type": "string"}, schema["items"]]}
    schema["minItems"] = 1


_NOT_WHAT_IT_DOES = {
    *("schedules", "description", "policy", "alerts", "expect", "discord", "discord_commands", "overlap", "pool"),
    *("queue", "priority"),
}


class PipelineDefinition(Section):
    """One pipeline: its chain, when it is due, and how its runs are handled.

    `name` is its key in the file. A definition that the loader made has the scheduler's defaults where it sets nothing
    itself.
    """

    name: Annotated[str, NAME]
    description: Annotated[str, DESCRIPTION] = Field(default="", description="What it is for, for people.")
    enabled: Annotated[bool, Flag()] = Field(
        default=True, description="False: it is neither scheduled nor run at start."
    )
    executor: Annotated[ExecutorKind, Choice(ExecutorKind)] = Field(
        default=ExecutorKind.PROCESS,
        description="Where its chain runs: a worker process, a thread, or the service itself.",
    )
    timeout: Annotated[timedelta, Duration()] = Field(
        default=timedelta(hours=1), description="Longest time for one attempt, in seconds or as text such as 5m."
    )
    retry: RetryPolicy = Field(default=RetryPolicy(), description="Over the scheduler's default_retry, field by field.")
    max_instances: Annotated[int, Whole(1, 1_000)] = Field(default=1, description="Runs of it that may go on at once.")
    overlap: Annotated[Overlap, Choice(Overlap)] = Field(
        default=Overlap.QUEUE, description="What if a run of a schedule still waits or goes on when the next is due."
    )
    pool: Annotated[str | None, NAME] = Field(
        default=None, description="The pool that its runs take a place in; scheduler.pools says how many there are."
    )
    queue: Annotated[str, NAME] = Field(
        default=DEFAULT_QUEUE, description="The queue its runs wait in; workers serve all queues, or those they name."
    )
    priority: Annotated[int, Whole(-100, 100)] = Field(
        default=0, description="Of the runs that wait, those of a higher priority start first."
    )
    on_crash: Annotated[OnCrash, Choice(OnCrash)] = Field(
        default=OnCrash.RETRY, description="After its process died: try again, or end the run."
    )
    params: Annotated[dict[str, Any], Declarations()] = Field(
        default_factory=dict, description="Values for its runs, or declarations; ${NAME} is read from the environment."
    )
    policy: PolicySection | None = Field(default=None, description="Who may do what; over the file's, level by level.")
    alerts: AlertsSection | None = Field(default=None, description="Who is told of trouble; over the file's.")
    expect: Expect = Field(default=Expect(), description="What falls short of this is told as trouble.")
    discord: ChatRules = Field(default=ChatRules(), description="What holds for it in chat.")
    discord_commands: Annotated[tuple[str, ...], Texts(CLASS_PATH)] = Field(
        default=(), description="Classes that add commands to the bot."
    )
    schedules: tuple[ScheduleDefinition, ...] = Field(
        default=(),
        alias="schedule",
        description="When it is due; without it, once at start.",
        json_schema_extra=_one_or_list,
    )
    chain: tuple[StageDefinition, ...] = Field(
        description="The stages, in the order items pass them.", json_schema_extra=_short_or_mapping
    )

    @field_validator("schedules", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if value is None or value == []:
            raise ValueError(f"found {found(value)}; expected a schedule, or no such key to run once at start")
        return value if isinstance(value, list | tuple) else [value]

    @field_validator("chain", mode="before")
    @classmethod
    def _not_empty(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple) or not value:
            raise ValueError(f"found {found(value)}; expected a list of at least one stage")
        return value

    @cached_property
    def hash(self) -> str:
        """The version of what a run of it does: 12 hex digits, whatever its schedules and description say."""
        # A key that a later release adds, left at its default, must not make another version of every pipeline.
        content = self.model_dump(mode="json", by_alias=True, exclude=_NOT_WHAT_IT_DOES, exclude_defaults=True)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def with_defaults(self, scheduler: SchedulerSection) -> Self:
        """Return the definition with the scheduler's timeout and retry policy where it sets none itself."""
        update: dict[str, Any] = {"retry": self.retry.over(scheduler.default_retry)}
        if "timeout" not in self.model_fields_set:
            update["timeout"] = scheduler.default_timeout
        return type(self).model_construct(self.model_fields_set, **{**dict(self), **update})

    def stage_specs(self, env: Mapping[str, str]) -> tuple[StageSpec, ...]:
        """Return the stages to build, `${NAME}` in their keyword arguments replaced from `env`; never to be shown.

        Raises:
            PipecallError: a variable is not set.
        """
        return tuple(StageSpec(stage.path, variables.filled(stage.kwargs, env)) for stage in self.chain)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters that it declares, by name."""
        return declared(self.params)

    @property
    def default_params(self) -> dict[str, Any]:
        """The parameters of a run for which nothing was given: plain values and declared defaults."""
        return defaults(self.params)

    @property
    def open_params(self) -> bool:
        """Whether its runs take any values, known or not; only pipelines made in Python do."""
        return False

    def new_run(self, params: Params, actor: str | None, started_by: StartedBy) -> NewRun:
        """Return the wish for a run, with what the pipeline says about all its runs."""
        return NewRun(
            pipeline=self.name,
            started_by=started_by,
            params=params,
            actor=actor,
            max_attempts=self.retry.attempts,
            max_instances=self.max_instances,
            pool=self.pool,
            queue=self.queue,
            priority=self.priority,
            at_most_once=self.on_crash is OnCrash.FAIL,
        )

    def resolved_params(self, env: Mapping[str, str], given: Params | None = None) -> dict[str, Any]:
        """Return the parameters of a run: the pipeline's own, under `given`, `${NAME}` replaced; never to be shown.

        In `given` only values that the file itself has under the same name, for the pipeline or one of its schedules,
        are replaced: whoever starts a run by hand cannot read the environment through its parameters.

        Raises:
            PipecallError: a variable is not set, or a required parameter is missing.
        """
        own = [self.default_params, *(schedule.params for schedule in self.schedules)]
        result = complete(self.params, given or {})
        for key, value in result.items():
            if any(key in params and params[key] == value for params in own):
                result[key] = variables.filled(value, env)
        return result


class SchedulerSection(Section):
    """What holds for all pipelines."""

    timezone: Annotated[str, ZONE] = Field(default="Europe/Stockholm", description="For schedules that name none.")
    max_parallel_jobs: Annotated[int, Whole(1, 1_000)] = Field(default=3, description="Runs that may go on at once.")
    pools: dict[str, Annotated[int, Whole(1, 1_000)]] = Field(
        default_factory=dict, description="Runs that may go on at once in each pool, over all pipelines with that pool."
    )
    log_level: Annotated[LogLevel, Choice(LogLevel)] = Field(default=LogLevel.INFO, description="What the log shows.")
    default_timeout: Annotated[timedelta, Duration()] = Field(
        default=timedelta(hours=1), description="Longest time for one attempt, in seconds or as text such as 5m."
    )
    default_retry: RetryPolicy = Field(default=RetryPolicy(), description="For pipelines, field by field.")
    monitoring: Monitoring = Field(default=Monitoring(), description="Health checks.")
    heartbeat: Heartbeat | None = Field(default=None, description="Calls a service that notices when this one is gone.")
    keep: Keep = Field(default=Keep(), description="How long history is kept; null stands for ever.")

    @field_validator("pools", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        for name in value if isinstance(value, dict) else ():
            NAME.read(name)
        return {} if value is None else value


class PipelinesFile(Section):
    """A whole pipelines file. Keys of the file that begin with `x-` are left alone: a place for YAML anchors."""

    scheduler: SchedulerSection = Field(default=SchedulerSection(), description="What holds for all pipelines.")
    policy: PolicySection = Field(default=PolicySection(), description="Who may do what.")
    alerts: AlertsSection = Field(default=AlertsSection(), description="Who is told of trouble.")
    discord: DiscordSection = Field(default=DiscordSection(), description="Where the bot may be used.")
    pipelines: dict[str, PipelineDefinition] = Field(description="The pipelines, by name.")


FACES: Mapping[str, type[Section]] = {"policy": PolicySection, "alerts": AlertsSection, "discord": DiscordSection}
"""The sections about people and chat, by their keys."""
