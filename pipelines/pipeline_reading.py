"""Reads the pipelines of a file one by one, or takes one over that is as it was when the file was read before.

What a pipeline's reading depends on is its own value, the scheduler section, the environment variables that it names,
and whether another file says when it is due. While these stay, so does what came of it; only lines are looked up anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipelines import parameters, variables
from pipelines.definition import PipelineDefinition, ScheduleDefinition, SchedulerSection, StageDefinition
from pipelines.file_problems import FileProblems
from pipelines.model import Params
from pipelines.registry import Registry
from pipelines.schedule_checks import ScheduleChecks, ScheduleEntry
from pipelines.stage_checks import StageChecks
from pipelines.wording import found, quoted, suggestion
from pipelines.yaml_blocks import SAME
from pipelines.yaml_values import KeyPath

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Part:
    """What came of one pipeline: its definition, its schedules, what people should know, the variables it names.

    `digest` stands for its value in the file, `given` for what the environment had for `names`; `timed` says that
    another file says when it is due.
    """

    digest: bytes
    given: bytes
    definition: PipelineDefinition
    entries: tuple[ScheduleEntry, ...]
    warnings: tuple[tuple[KeyPath, str], ...]
    names: frozenset[str]
    timed: bool = False


class NotAsBefore(Exception):
    """A pipeline whose text is as it was means something else now: the whole file must be read."""


class PipelineReading:
    """The reading of one file's pipelines; `parts` has each that was read well, `names` all variables in use."""

    def __init__(
        self,
        told: FileProblems,
        scheduler: SchedulerSection,
        *,
        registry: Registry,
        env: Mapping[str, str],
        timed: frozenset[str] = frozenset(),
        before: Mapping[str, Part] | None = None,
    ) -> None:
        """`timed` are pipelines that another file says when to run, `before` is what may be taken over."""
        self._told, self._scheduler, self._env, self._timed = told, scheduler, env, timed
        self._before = before or {}
        self._checks = StageChecks(registry, env)
        self._warnings: list[tuple[KeyPath, str]] = []
        self._own_names: set[str] = set()
        self.schedules = ScheduleChecks(told.tell, self._warn, told.place)
        self.parts: dict[str, Part] = {}
        self.names: set[str] = set()

    def all(self, raw: Mapping[str, Any]) -> dict[str, PipelineDefinition]:
        """Return the pipelines that are well, in the order of the file; what is wrong with others is noted."""
        for name, each in raw.items():
            part = self._before.get(name)
            mark = digest(each) if each is not SAME else b""
            if part is not None and mark in (part.digest, b"") and self._depends_as_before(name, part):
                self._take_over(name, part)
            elif each is SAME:
                raise NotAsBefore(name)
            else:
                self._read(name, each, mark)
        return {name: part.definition for name, part in self.parts.items()}

    def _depends_as_before(self, name: str, part: Part) -> bool:
        return part.timed == (name in self._timed) and part.given == self._given(part.names)

    def _given(self, names: Iterable[str]) -> bytes:
        return given(names, self._env)

    def _take_over(self, name: str, part: Part) -> None:
        for place, entry in enumerate(part.entries):
            self.schedules.take_over(entry, ("pipelines", name, "schedule", place))
        self._keep(name, part)

    def _read(self, name: str, raw: Any, mark: bytes) -> None:
        self._warnings, self._own_names = [], set()
        first = len(self.schedules.entries)
        definition = self._pipeline(name, raw)
        names = frozenset(self._own_names)
        entries = tuple(self.schedules.entries[first:])
        if definition is not None:
            warnings = tuple(self._warnings)
            self._keep(name, Part(mark, self._given(names), definition, entries, warnings, names, name in self._timed))

    def _keep(self, name: str, part: Part) -> None:
        self.parts[name] = part
        self.names |= part.names
        for path, message in part.warnings:
            self._told.warn(path, message)

    def _warn(self, path: KeyPath, message: str) -> None:
        self._warnings.append((path, message))

    def _pipeline(self, name: str, raw: Any) -> PipelineDefinition | None:
        path = ("pipelines", name)
        if not isinstance(raw, dict):
            self._told.tell(path, f"found {found(raw)}; expected a mapping with at least the key 'chain'")
            return None
        if "name" in raw:
            self._told.tell((*path, "name"), f"unknown key 'name'; the pipeline's name is its key, {quoted(name)}")
        definition = self._told.read(PipelineDefinition, {**raw, "name": name}, path)
        stages, schedules = (definition.chain, definition.schedules) if definition else _readable(raw)
        enabled = definition is None or definition.enabled
        params = definition.params if definition else raw.get("params")
        params = params if isinstance(params, dict) else {}
        self._params(params, (*path, "params"), enabled=enabled)
        if definition and enabled and not definition.schedules and name not in self._timed:
            self._start_params(params, (*path, "params"))
        for place, stage in _present(stages):
            self._stage(stage, (*path, "chain", place), enabled=enabled)
        for place, commands in enumerate(definition.discord_commands if definition else ()):
            self._commands(commands, (*path, "discord_commands", place))
        for place, schedule in _present(schedules):
            way = (*path, "schedule", place)
            self._variables(schedule.params, (*way, "params"), enabled=enabled)
            self.schedules.check(name, params, schedule, path=way, default_zone=self._scheduler.timezone)
        if definition and definition.pool:
            self._pool(definition.pool, (*path, "pool"))
        return definition.with_defaults(self._scheduler) if definition else None

    def _pool(self, name: str, path: KeyPath) -> None:
        told = any(problem.path.startswith("scheduler.pools") for problem in self._told.problems)
        if name not in self._scheduler.pools and not told:
            known = suggestion(name, list(self._scheduler.pools))
            hint = f"{known} Pools stand under scheduler: pools: {{{name}: 1}}"
            self._told.tell(path, f"unknown pool {quoted(name)}; {hint}")

    def _stage(self, stage: StageDefinition, path: KeyPath, *, enabled: bool) -> None:
        self._variables(stage.kwargs, (*path, "kwargs"), enabled=enabled)
        for way, message in self._checks.faults(stage):
            self._told.tell((*path, *way), message)

    def _commands(self, class_path: str, path: KeyPath) -> None:
        fault = self._checks.fault_of_commands(class_path)
        if fault is not None:
            self._told.tell(path, fault)

    def _params(self, params: Params, path: KeyPath, *, enabled: bool) -> None:
        self._variables(params, path, enabled=enabled)
        for way, message in parameters.read(params)[1]:
            self._told.tell((*path, *way), message)

    def _start_params(self, params: Params, path: KeyPath) -> None:
        declared, wrong = parameters.read(params)
        for name, parameter in declared.items() if not wrong else ():
            if parameter.required:
                remedy = (
                    "give it a default, or write 'enabled: false' for a pipeline that runs only when it is asked to"
                )
                self._told.tell(
                    (*path, name), f"without a schedule it runs at start, where nobody gives this; {remedy}"
                )

    def _variables(self, value: Mapping[str, Any], path: KeyPath, *, enabled: bool) -> None:
        uses = variables.uses(value, self._env, path)
        self._own_names |= uses.names
        for way, message in uses.faults:
            # A disabled pipeline, such as one of the shipped examples, needs no secrets yet.
            (self._told.tell if enabled else self._warn)(way, message)


def _readable(raw: Mapping[str, Any]) -> tuple[list[StageDefinition | None], list[ScheduleDefinition | None]]:
    """Return the stages and schedules that can be read of a pipeline which cannot as a whole; None for the others."""
    chain, schedule = raw.get("chain"), raw.get("schedule")
    schedules = schedule if isinstance(schedule, list) else [schedule]
    return (
        [or_none(StageDefinition, each) for each in (chain if isinstance(chain, list) else [])],
        [or_none(ScheduleDefinition, each) for each in schedules],
    )


def digest(value: Any) -> bytes:
    """Return what stands for a JSON value, and for no other."""
    text = json.dumps(value, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def given(names: Iterable[str], env: Mapping[str, str]) -> bytes:
    """Return what stands for what the environment has for some names."""
    values = [(name, env.get(name)) for name in sorted(names)]
    return digest(values) if values else b""


def or_none(model: type[Model], raw: Any) -> Model | None:
    """Return what the model makes of a value, or None where it refuses it."""
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None


def _present(values: Iterable[Model | None]) -> Iterator[tuple[int, Model]]:
    return ((place, value) for place, value in enumerate(values) if value is not None)
