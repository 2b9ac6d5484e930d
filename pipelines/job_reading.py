"""Reads the jobs of a JSON file one by one, or takes one over that is as it was when the file was read before.

What a job's reading depends on is its own value, the parameters of its pipeline, whether that is enabled, the scheduler
section, and the environment variables that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipelines import triggers, variables
from pipelines.definition import PipelineDefinition, ScheduleDefinition, SchedulerSection
from pipelines.errors import BadSchedule
from pipelines.faults import faults
from pipelines.file_problems import FileProblems
from pipelines.job_config import CONFIGS, CronConfig, JobConfig, JobType
from pipelines.job_definition import JobDefinition
from pipelines.pipeline_reading import digest, given
from pipelines.schedule_checks import Ids, ScheduleChecks, ScheduleEntry
from pipelines.wording import found, one_of, quoted, suggestion
from pipelines.yaml_values import KeyPath

_NEEDED = ("job_id", "type", "pipeline", "config")
MEANT = {"id": "job_id", "func": "pipeline", "trigger": "type", "trigger_args": "config"}
"""Keys of other schedulers, and what they are here."""
ELSEWHERE = {
    "max_instances": "it holds for all runs of a pipeline together and stands there, in the pipelines file; for the "
    "runs of one job write 'overlap'",
    "retry": "it stands with the pipeline, in the pipelines file",
    "timeout": "it stands with the pipeline, in the pipelines file",
    "executor": "it stands with the pipeline, in the pipelines file",
    "name": "write 'job_id' for its id, or 'description' for words about it",
    "args": "parameters have names: write them under 'params'",
}
"""Keys of other schedulers that a job does not have, and why."""
NOT_IN_CRON = {
    "second": "runs are due by the minute; leave it out, or write the type 'interval' for seconds",
    "week": "cron knows no weeks of the year; write day and month, or the type 'interval' with weeks",
    "year": "cron knows no years; write start_date and end_date, or the type 'date' for one time",
}
"""The same of the `config` of a cron job."""
BESIDE = dict.fromkeys(("timezone", "jitter"), "it stands beside 'config', not in it")
"""The same of every `config`."""


@dataclass(frozen=True, slots=True)
class JobPart:
    """What came of one job: its schedule, whether it is timed, what people should know, the variables it names.

    `digest` stands for all that it was made of, `given` for what the environment had for `names`; the ways of the
    `warnings` begin at the job.
    """

    digest: bytes
    given: bytes
    entry: ScheduleEntry
    enabled: bool
    warnings: tuple[tuple[KeyPath, str], ...]
    names: frozenset[str]


class JobReading:
    """The reading of one file's jobs; `parts` has each that was read well, by its id."""

    def __init__(
        self,
        told: FileProblems,
        scheduler: SchedulerSection,
        *,
        env: Mapping[str, str],
        ids: Ids,
        before: Mapping[str, JobPart],
    ) -> None:
        """`ids` are taken by the pipelines file, `before` is what may be taken over."""
        self._told, self._scheduler, self._env = told, scheduler, env
        self._before = before
        self._checks = ScheduleChecks(self._tell_schedule, self._warn, told.place, ids=ids)
        self._job: JobDefinition | None = None
        self._config: JobConfig | None = None
        self._warnings: list[tuple[KeyPath, str]] = []
        self.parts: dict[str, JobPart] = {}

    def all(self, jobs: list[Any], pipelines: Mapping[str, PipelineDefinition | None]) -> None:
        """Read the jobs; what is wrong is noted."""
        for place, raw in enumerate(jobs):
            path = ("jobs", place)
            if not isinstance(raw, dict):
                self._told.tell(path, f"found {found(raw)}; expected a mapping with the keys {one_of(_NEEDED)}")
                continue
            name = raw.get("pipeline")
            definition = pipelines.get(name) if isinstance(name, str) else None
            self._one(raw, path, definition)
            if isinstance(name, str) and name.strip() and name not in pipelines:
                self._told.tell((*path, "pipeline"), f"unknown pipeline {quoted(name)}; {_known(name, pipelines)}")

    def _one(self, raw: dict[str, Any], path: KeyPath, definition: PipelineDefinition | None) -> None:
        made_of = digest([raw, definition.params, definition.enabled] if definition else [raw])
        part = self._before.get(str(raw.get("job_id")))
        if part is not None and part.digest == made_of and part.given == given(part.names, self._env):
            self._checks.take_over(part.entry, path)
            self._keep(part, path)
        else:
            self._read(raw, path, definition, made_of)

    def _keep(self, part: JobPart, path: KeyPath) -> None:
        self.parts[part.entry.id] = part
        for way, message in part.warnings:
            self._told.warn((*path, *way), message)

    def _read(self, raw: dict[str, Any], path: KeyPath, definition: PipelineDefinition | None, made_of: bytes) -> None:
        own = self._in_own_words(raw, path)
        job, config = self._told.read(JobDefinition, own, path), self._read_config(own, path)
        if job is None or config is None:
            return
        self._job, self._config, self._warnings = job, config, []
        schedule = self._schedule(job.schedule(config), path)
        if schedule is None:
            return
        names = self._variables(
            schedule.params, path, needed=job.enabled and (definition is None or definition.enabled)
        )
        params = definition.params if definition else {}
        first, wrong = len(self._checks.entries), len(self._told.problems)
        self._checks.check(job.pipeline, params, schedule, path=path, default_zone=self._scheduler.timezone)
        for entry in self._checks.entries[first:] if len(self._told.problems) == wrong else ():
            known = given(names, self._env)
            self._keep(JobPart(made_of, known, entry, job.enabled, tuple(self._warnings), names), path)

    def _schedule(self, said: dict[str, Any], path: KeyPath) -> ScheduleDefinition | None:
        try:
            return ScheduleDefinition.model_validate(said)
        except ValidationError as error:
            for way, message in faults(error, ScheduleDefinition):
                self._told.tell((*path, *self._way(way)), message)
            return None

    def _in_own_words(self, raw: dict[str, Any], path: KeyPath) -> dict[str, Any]:
        """Return the job without the keys that other schedulers have, which are told."""
        own = {key: value for key, value in raw.items() if key not in MEANT and key not in ELSEWHERE}
        for key in (each for each in raw if each in MEANT or each in ELSEWHERE):
            meant = MEANT.get(key)
            self._told.tell(
                (*path, key), f"unknown key {quoted(key)}; {ELSEWHERE.get(key) or f'write {quoted(meant or key)}'}"
            )
            if meant is not None:
                own.setdefault(meant, raw[key])
        return own

    def _read_config(self, raw: dict[str, Any], path: KeyPath) -> JobConfig | None:
        """Return what `config` says, as far as the type is known."""
        config, words = raw.get("config", ""), raw.get("type")
        config = {} if config is None else config
        kind = next((each for each in JobType if isinstance(words, str) and each == words.casefold()), None)
        if kind is None or not isinstance(config, dict):
            return None
        model = CONFIGS[kind]
        odd = {**BESIDE, **(NOT_IN_CRON if kind is JobType.CRON else {})}
        for key in (each for each in config if each in odd):
            self._told.tell((*path, "config", key), f"unknown key {quoted(key)}; {odd[key]}")
        rest = {key: value for key, value in config.items() if key not in odd}
        read = self._told.read(model, rest, (*path, "config"))
        return read if len(rest) == len(config) else None

    def _variables(self, params: Mapping[str, Any], path: KeyPath, *, needed: bool) -> frozenset[str]:
        way = self._way(("params",))
        uses = variables.uses(params, self._env, way)
        for place, message in uses.faults:
            if needed:
                self._told.tell((*path, *place), message)
            else:
                self._warnings.append((place, message))
        return uses.names

    def _warn(self, path: KeyPath, message: str) -> None:
        self._warnings.append((self._way(path[2:]), message))

    def _tell_schedule(self, path: KeyPath, message: str) -> None:
        """Tell a problem of a schedule at the place in the job that it came from."""
        job, way = path[:2], path[2:]
        if way == ("cron",) and isinstance(self._config, CronConfig):
            wrong = list(_wrong_fields(self._config))
            for name, words in wrong:
                self._told.tell((*job, "config", name), words)
            if wrong:
                return
        self._told.tell((*job, *self._way(way)), message)

    def _way(self, way: KeyPath) -> KeyPath:
        """Return the way in the job that a way in its schedule stands for."""
        first, rest = str(way[0]) if way else "", way[1:]
        if first == "id":
            return ("job_id",)
        if first == "params" and self._job is not None:
            return (self._job.params_key, *rest)
        if first in ("timezone", "jitter", "overlap") or self._config is None:
            return way
        return ("config", *self._config.place(first))


def _known(name: str, pipelines: Mapping[str, Any]) -> str:
    return suggestion(name, list(pipelines)) if pipelines else "the pipelines file has none"


def _wrong_fields(config: CronConfig) -> list[tuple[str, str]]:
    """Return each field that is wrong by itself, and why."""
    wrong = []
    for name in config.parts:
        alone = config.alone(name)
        try:
            triggers.cron(alone, "UTC")
        except BadSchedule as error:
            wrong.append((name, str(error).removeprefix(f"cron {alone!r:.80}: ")))
    return wrong
