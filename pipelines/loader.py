"""A pipelines file to one valid set of definitions, or to all that is wrong with it, each with its line.

Text is read by `yaml_text`, shapes are checked by the models of `definition`, stages by `stage_checks`, schedules by
`schedule_checks`. Nothing is kept here; the set in force is the catalog's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipelines import parameters, variables
from pipelines.definition import (
    FACES,
    PipelineDefinition,
    PipelinesFile,
    ScheduleDefinition,
    SchedulerSection,
    StageDefinition,
)
from pipelines.errors import BadSchedule, ConfigError, Problem, nearest
from pipelines.faults import faults
from pipelines.model import Params
from pipelines.redaction import bot_tokens
from pipelines.registry import Registry
from pipelines.schedule_checks import ScheduleChecks, ScheduleEntry
from pipelines.stage_checks import StageChecks
from pipelines.triggers import check_zone
from pipelines.wording import found, quoted, suggestion
from pipelines.yaml_text import Document, collector_off, parse, read_text
from pipelines.yaml_values import KeyPath, dotted

__all__ = ["Loaded", "ScheduleEntry", "load"]

LITERAL = (
    "a Discord bot's token stands here; put it into .env as DISCORD_TOKEN=… instead, and reset it in the Developer "
    "Portal if others can have read this file"
)
LARGE = 1_000_000
"""Characters from which on a file's objects are kept out of the garbage collector's sight."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid file: its models, its schedules (of disabled pipelines too), warnings, and what must never be shown.

    `secrets` are the values that `${NAME}` stands for, `digest` is the SHA-256 of the file's text in hex.
    """

    file: PipelinesFile
    warnings: tuple[Problem, ...]
    secrets: frozenset[str] = field(repr=False)
    digest: str
    schedules: tuple[ScheduleEntry, ...] = field(repr=False, default=())


def load(
    path: Path, *, registry: Registry, env: Mapping[str, str], overrides: Mapping[str, Any] | None = None
) -> Loaded:
    """Read and check a pipelines file.

    `env` is what `${NAME}` is read from. `overrides` are keys of the file's `scheduler` section that win over it, such
    as settings of this machine; `default_retry` wins field by field.

    Raises:
        ConfigError: all problems, in the order of their lines.
    """
    text = read_text(path)
    with collector_off(keep=len(text) > LARGE):
        return _Reading(parse(text, str(path)), str(path), registry, env).loaded(text, overrides or {})


class _Reading:
    """One file on its way to be `Loaded`: gathers problems, warnings, secrets and schedules."""

    def __init__(self, document: Document, file: str, registry: Registry, env: Mapping[str, str]) -> None:
        self._document = document
        self._file = file
        self._env = env
        self._checks = StageChecks(registry, env)
        self._problems: list[Problem] = list(document.problems)
        self._warnings: list[Problem] = []
        self._names: set[str] = set()
        self._schedules = ScheduleChecks(self._tell, self._warn, self._place)

    def loaded(self, text: str, overrides: Mapping[str, Any]) -> Loaded:
        for place in bot_tokens(text):
            self._problems.append(Problem(LITERAL, file=self._file, line=text.count("\n", 0, place) + 1))
        sections = self._sections()
        scheduler = self._scheduler(sections.get("scheduler"), overrides)
        faces = self._faces(sections)
        pipelines = self._pipelines(sections, scheduler) if sections else {}
        if self._problems:
            raise ConfigError(sorted(self._problems, key=_line))
        return Loaded(
            file=PipelinesFile(scheduler=scheduler, pipelines=pipelines, **faces),
            warnings=tuple(sorted(self._warnings, key=_line)),
            secrets=frozenset(filter(None, (self._env.get(name) for name in self._names))),
            digest=hashlib.sha256(text.encode()).hexdigest(),
            schedules=tuple(self._schedules.entries),
        )

    def _tell(self, path: KeyPath, message: str) -> None:
        self._problems.append(self._place(path, message))

    def _warn(self, path: KeyPath, message: str) -> None:
        self._warnings.append(self._place(path, message))

    def _place(self, path: KeyPath, message: str) -> Problem:
        return replace(self._document.problem(path, message), file=self._file)

    def _read(self, model: type[Model], raw: Any, path: KeyPath) -> Model | None:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            for way, message in faults(error, model):
                self._tell((*path, *way), message)
            return None

    def _sections(self) -> dict[str, Any]:
        value = self._document.value
        if not isinstance(value, dict):
            self._tell((), f"found {found(value)}; expected a mapping with the key 'pipelines'")
            return {}
        known = list(PipelinesFile.model_fields)
        unknown = [key for key in value if key not in known and not key.startswith("x-")]
        for key in unknown:
            self._tell((key,), f"unknown key {quoted(key)}; {suggestion(key, known)}")
        if "pipelines" not in value and "pipelines" not in (nearest(key, known) for key in unknown):
            self._tell((), "the key 'pipelines' is missing: a mapping of names to pipelines")
        return value

    def _faces(self, sections: Mapping[str, Any]) -> dict[str, Any]:
        """Read the sections about people and chat; one that is wrong is told and left out."""
        read = {name: self._read(model, sections.get(name) or {}, (name,)) for name, model in FACES.items()}
        return {name: section for name, section in read.items() if section is not None}

    def _scheduler(self, raw: Any, overrides: Mapping[str, Any]) -> SchedulerSection:
        path = ("scheduler",)
        raw = {} if raw is None else raw
        section = self._read(SchedulerSection, raw, path) or _valid_part(raw)
        given = self._overrides(overrides)
        update = {name: getattr(given, name) for name in given.model_fields_set}
        section = section.model_copy(
            update={**update, "default_retry": given.default_retry.over(section.default_retry)}
        )
        self._heartbeat(section, path)
        try:
            check_zone(section.timezone)
        except BadSchedule as error:
            if given.timezone == section.timezone and "timezone" in given.model_fields_set:
                self._problems.append(Problem(str(error), path="SCHEDULER_TIMEZONE", file="environment or .env"))
            else:
                self._tell((*path, "timezone"), str(error))
            return section.model_copy(update={"timezone": "UTC"})
        return section

    def _heartbeat(self, section: SchedulerSection, path: KeyPath) -> None:
        """Read what the heartbeat's address asks of the environment; what it becomes must be an address."""
        if section.heartbeat is None:
            return
        way = (*path, "heartbeat")
        at_fault = len(self._problems)
        self._variables({"url": section.heartbeat.url}, way, enabled=True)
        if len(self._problems) > at_fault:
            return
        if not variables.filled(section.heartbeat.url, self._env).startswith(("http://", "https://")):
            given = quoted(section.heartbeat.url)
            self._tell((*way, "url"), f"found {given}; expected an address that begins with https:// or http://")

    def _overrides(self, overrides: Mapping[str, Any]) -> SchedulerSection:
        try:
            return SchedulerSection.model_validate(overrides)
        except ValidationError as error:
            where = "settings that win over the pipelines file"
            for way, message in faults(error, SchedulerSection):
                self._problems.append(Problem(message, path=dotted(("scheduler", *way)), file=where))
            return SchedulerSection()

    def _pipelines(self, sections: Mapping[str, Any], scheduler: SchedulerSection) -> dict[str, PipelineDefinition]:
        raw = sections.get("pipelines", {})
        if not isinstance(raw, dict):
            self._tell(("pipelines",), f"found {found(raw)}; expected a mapping of names to pipelines")
        definitions = {}
        for name, each in raw.items() if isinstance(raw, dict) else ():
            definition = self._pipeline(name, each, scheduler)
            if definition is not None:
                definitions[name] = definition
        return definitions

    def _pipeline(self, name: str, raw: Any, scheduler: SchedulerSection) -> PipelineDefinition | None:
        path = ("pipelines", name)
        if not isinstance(raw, dict):
            self._tell(path, f"found {found(raw)}; expected a mapping with at least the key 'chain'")
            return None
        if "name" in raw:
            self._tell((*path, "name"), f"unknown key 'name'; the pipeline's name is its key, {quoted(name)}")
        definition = self._read(PipelineDefinition, {**raw, "name": name}, path)
        stages, schedules = (definition.chain, definition.schedules) if definition else _readable(raw)
        enabled = definition is None or definition.enabled
        params = definition.params if definition else raw.get("params")
        params = params if isinstance(params, dict) else {}
        self._params(params, (*path, "params"), enabled=enabled)
        if definition and enabled and not definition.schedules:
            self._start_params(params, (*path, "params"))
        for place, stage in _present(stages):
            self._stage(stage, (*path, "chain", place), enabled=enabled)
        for place, commands in enumerate(definition.discord_commands if definition else ()):
            self._commands(commands, (*path, "discord_commands", place))
        for place, schedule in _present(schedules):
            way = (*path, "schedule", place)
            self._variables(schedule.params, (*way, "params"), enabled=enabled)
            self._schedules.check(name, params, schedule, path=way, default_zone=scheduler.timezone)
        if definition and definition.pool:
            self._pool(definition.pool, (*path, "pool"), scheduler)
        return definition.with_defaults(scheduler) if definition else None

    def _pool(self, name: str, path: KeyPath, scheduler: SchedulerSection) -> None:
        told = any(problem.path.startswith("scheduler.pools") for problem in self._problems)
        if name not in scheduler.pools and not told:
            known = suggestion(name, list(scheduler.pools))
            self._tell(path, f"unknown pool {quoted(name)}; {known} Pools stand under scheduler: pools: {{{name}: 1}}")

    def _stage(self, stage: StageDefinition, path: KeyPath, *, enabled: bool) -> None:
        self._variables(stage.kwargs, (*path, "kwargs"), enabled=enabled)
        for way, message in self._checks.faults(stage):
            self._tell((*path, *way), message)

    def _commands(self, class_path: str, path: KeyPath) -> None:
        fault = self._checks.fault_of_commands(class_path)
        if fault is not None:
            self._tell(path, fault)

    def _params(self, params: Params, path: KeyPath, *, enabled: bool) -> None:
        self._variables(params, path, enabled=enabled)
        for way, message in parameters.read(params)[1]:
            self._tell((*path, *way), message)

    def _start_params(self, params: Params, path: KeyPath) -> None:
        declared, wrong = parameters.read(params)
        for name, parameter in declared.items() if not wrong else ():
            if parameter.required:
                remedy = (
                    "give it a default, or write 'enabled: false' for a pipeline that runs only when it is asked to"
                )
                self._tell((*path, name), f"without a schedule it runs at start, where nobody gives this; {remedy}")

    def _variables(self, value: Mapping[str, Any], path: KeyPath, *, enabled: bool) -> None:
        uses = variables.uses(value, self._env, path)
        self._names |= uses.names
        for way, message in uses.faults:
            # A disabled pipeline, such as one of the shipped examples, needs no secrets yet.
            (self._tell if enabled else self._warn)(way, message)


def _readable(raw: Mapping[str, Any]) -> tuple[list[StageDefinition | None], list[ScheduleDefinition | None]]:
    """Return the stages and schedules that can be read of a pipeline which cannot as a whole; None for the others."""
    chain, schedule = raw.get("chain"), raw.get("schedule")
    schedules = schedule if isinstance(schedule, list) else [schedule]
    return (
        [_or_none(StageDefinition, each) for each in (chain if isinstance(chain, list) else [])],
        [_or_none(ScheduleDefinition, each) for each in schedules],
    )


def _valid_part(raw: Any) -> SchedulerSection:
    """Return the section without the keys that are wrong, so that the rest of the file can still be checked."""
    rest = {key: raw[key] for key in SchedulerSection.model_fields if isinstance(raw, dict) and key in raw}
    good = {key: value for key, value in rest.items() if _or_none(SchedulerSection, {key: value})}
    return SchedulerSection.model_validate(good)


def _or_none(model: type[Model], raw: Any) -> Model | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _present(values: Iterable[Model | None]) -> Iterator[tuple[int, Model]]:
    return ((place, value) for place, value in enumerate(values) if value is not None)


def _line(problem: Problem) -> int:
    return problem.line or 0
