"""A pipelines file to one valid set of definitions, or to all that is wrong with it, each with its line.

Text is read by `yaml_text`, shapes are checked by the models of `definition`, stages by `stage_checks`, schedules by
`schedule_checks`, pipelines one by one in `pipeline_reading`, a JSON file of further jobs in `job_files`. Nothing is
kept here; the set in force is the catalog's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines import variables, yaml_blocks
from pipelines.collector import collector_off
from pipelines.definition import FACES, PipelineDefinition, PipelinesFile, SchedulerSection
from pipelines.errors import BadSchedule, ConfigError, Problem, nearest
from pipelines.faults import faults
from pipelines.file_problems import FileProblems, in_order
from pipelines.job_files import JobFile, JobsRead
from pipelines.job_reading import JobPart
from pipelines.pipeline_reading import NotAsBefore, Part, PipelineReading, or_none
from pipelines.registry import Registry
from pipelines.schedule_checks import ScheduleEntry
from pipelines.triggers import check_zone
from pipelines.wording import found, quoted, suggestion
from pipelines.yaml_blocks import Blocks
from pipelines.yaml_text import Document, parse, read_text
from pipelines.yaml_values import KeyPath, dotted

__all__ = ["Loaded", "ScheduleEntry", "load"]

LARGE = 1_000_000
"""Characters from which on a file's objects are kept out of the garbage collector's sight."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid file: its models, its schedules (of disabled pipelines too), warnings, and what must never be shown.

    `secrets` are the values that `${NAME}` stands for, `digest` is the SHA-256 of the file's text in hex.
    `timed` are the pipelines that a file of jobs times, jobs that are switched off among them, and `jobs_digest` is the
    SHA-256 of its text (None: there is no such file). `parts`, `job_parts` and `blocks` are what another loading may
    take over.
    """

    file: PipelinesFile
    warnings: tuple[Problem, ...]
    secrets: frozenset[str] = field(repr=False)
    digest: str
    schedules: tuple[ScheduleEntry, ...] = field(repr=False, default=())
    timed: frozenset[str] = frozenset()
    jobs_digest: str | None = None
    parts: Mapping[str, Part] = field(repr=False, compare=False, default_factory=dict)
    job_parts: Mapping[str, JobPart] = field(repr=False, compare=False, default_factory=dict)
    blocks: Blocks | None = field(repr=False, compare=False, default=None)


def load(
    path: Path,
    *,
    registry: Registry,
    env: Mapping[str, str],
    overrides: Mapping[str, Any] | None = None,
    jobs: Path | None = None,
    before: Loaded | None = None,
) -> Loaded:
    """Read and check a pipelines file, and the JSON file of `jobs` that belongs to it.

    `env` is what `${NAME}` is read from. `overrides` are keys of the file's `scheduler` section that win over it, such
    as settings of this machine; `default_retry` wins field by field. `before` is what the same files, or older ones,
    were loaded as while the plugins were the same: a pipeline or job that is as it was then is taken over with its
    schedules, the very same objects, unchecked.

    Raises:
        ConfigError: all problems, in the order of their lines, those of the pipelines file first.
    """
    text = read_text(path)
    blocks = yaml_blocks.cut(text)
    given = overrides or {}, jobs, before

    def read(document: Document, part: str) -> Loaded:
        reading = _Reading(document, str(path), registry, env)
        return replace(reading.loaded(part, *given), digest=hashlib.sha256(text.encode()).hexdigest())

    with collector_off(keep=len(text) > LARGE):
        if before is not None and (changed := yaml_blocks.changed(blocks, before.blocks)) is not None:
            with suppress(ConfigError, NotAsBefore):
                loaded = read(*changed)
                if not loaded.warnings:
                    return replace(loaded, blocks=blocks)
        loaded = read(parse(text, str(path)), text)
        return replace(loaded, blocks=yaml_blocks.certain(blocks, loaded.file.pipelines))


class _Reading:
    """One file on its way to be `Loaded`: gathers problems, warnings, secrets and schedules."""

    def __init__(self, document: Document, file: str, registry: Registry, env: Mapping[str, str]) -> None:
        self._document = document
        self._told = FileProblems(document, file)
        self._env = env
        self._registry = registry
        self._names: set[str] = set()

    def loaded(self, text: str, overrides: Mapping[str, Any], path: Path | None, before: Loaded | None) -> Loaded:
        file = JobFile(path) if path is not None else None
        self._told.tell_tokens(text)
        sections = self._sections()
        scheduler = self._scheduler(sections.get("scheduler"), overrides)
        faces = self._faces(sections)
        if before is not None and before.file.scheduler != scheduler:
            before = None
        pipelines, reading = self._pipelines(sections or {}, scheduler, file, before)
        jobs = self._jobs(file, sections, reading, scheduler=scheduler, before=before)
        if self._told.problems or jobs.problems:
            raise ConfigError([*in_order(self._told.problems), *in_order(jobs.problems)])
        names = self._names | reading.names | jobs.names
        return Loaded(
            file=PipelinesFile(scheduler=scheduler, pipelines=pipelines, **faces),
            warnings=(*in_order(self._told.warnings), *in_order(jobs.warnings)),
            secrets=frozenset(filter(None, (self._env.get(name) for name in names))),
            digest="",
            schedules=(*reading.schedules.entries, *jobs.entries),
            timed=file.pipelines if file and file.pipelines else frozenset(),
            jobs_digest=file.digest if file else None,
            parts=reading.parts,
            job_parts=jobs.parts,
        )

    def _sections(self) -> dict[str, Any]:
        value = self._document.value
        if not isinstance(value, dict):
            self._told.tell((), f"found {found(value)}; expected a mapping with the key 'pipelines'")
            return {}
        known = list(PipelinesFile.model_fields)
        unknown = [key for key in value if key not in known and not key.startswith("x-")]
        for key in unknown:
            self._told.tell((key,), f"unknown key {quoted(key)}; {suggestion(key, known)}")
        if "pipelines" not in value and "pipelines" not in (nearest(key, known) for key in unknown):
            self._told.tell((), "the key 'pipelines' is missing: a mapping of names to pipelines")
        return value

    def _faces(self, sections: Mapping[str, Any]) -> dict[str, Any]:
        """Read the sections about people and chat; one that is wrong is told and left out."""
        read = {name: self._told.read(model, sections.get(name) or {}, (name,)) for name, model in FACES.items()}
        return {name: section for name, section in read.items() if section is not None}

    def _scheduler(self, raw: Any, overrides: Mapping[str, Any]) -> SchedulerSection:
        path = ("scheduler",)
        raw = {} if raw is None else raw
        section = self._told.read(SchedulerSection, raw, path) or _valid_part(raw)
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
                self._told.problems.append(Problem(str(error), path="SCHEDULER_TIMEZONE", file="environment or .env"))
            else:
                self._told.tell((*path, "timezone"), str(error))
            return section.model_copy(update={"timezone": "UTC"})
        return section

    def _heartbeat(self, section: SchedulerSection, path: KeyPath) -> None:
        """Read what the heartbeat's address asks of the environment; what it becomes must be an address."""
        if section.heartbeat is None:
            return
        way = (*path, "heartbeat")
        at_fault = len(self._told.problems)
        uses = variables.uses({"url": section.heartbeat.url}, self._env, way)
        self._names |= uses.names
        for place, message in uses.faults:
            self._told.tell(place, message)
        if len(self._told.problems) > at_fault:
            return
        if not variables.filled(section.heartbeat.url, self._env).startswith(("http://", "https://")):
            given = quoted(section.heartbeat.url)
            self._told.tell((*way, "url"), f"found {given}; expected an address that begins with https:// or http://")

    def _overrides(self, overrides: Mapping[str, Any]) -> SchedulerSection:
        try:
            return SchedulerSection.model_validate(overrides)
        except ValidationError as error:
            where = "settings that win over the pipelines file"
            for way, message in faults(error, SchedulerSection):
                self._told.problems.append(Problem(message, path=dotted(("scheduler", *way)), file=where))
            return SchedulerSection()

    def _jobs(
        self,
        file: JobFile | None,
        sections: Mapping[str, Any],
        reading: PipelineReading,
        *,
        scheduler: SchedulerSection,
        before: Loaded | None,
    ) -> JobsRead:
        if file is None:
            return JobsRead()
        raw = sections.get("pipelines")
        known = {name: part.definition for name, part in reading.parts.items()}
        return file.read(
            {**dict.fromkeys(raw if isinstance(raw, dict) else ()), **known},
            scheduler=scheduler,
            env=self._env,
            ids=reading.schedules.ids,
            before=before.job_parts if before is not None else {},
        )

    def _pipelines(
        self, sections: Mapping[str, Any], scheduler: SchedulerSection, file: JobFile | None, before: Loaded | None
    ) -> tuple[dict[str, PipelineDefinition], PipelineReading]:
        raw = sections.get("pipelines", {})
        if not isinstance(raw, dict):
            self._told.tell(("pipelines",), f"found {found(raw)}; expected a mapping of names to pipelines")
        # With a problem in sight all is read anew: the file is refused anyhow, and its problems may hang together.
        known = before.parts if before is not None and not self._told.problems else None
        raw = raw if isinstance(raw, dict) else {}
        reading = PipelineReading(
            self._told,
            scheduler,
            registry=self._registry,
            env=self._env,
            timed=file.timed(raw) if file is not None else frozenset(),
            before=known,
        )
        return reading.all(raw), reading


def _valid_part(raw: Any) -> SchedulerSection:
    """Return the section without the keys that are wrong, so that the rest of the file can still be checked."""
    rest = {key: raw[key] for key in SchedulerSection.model_fields if isinstance(raw, dict) and key in raw}
    good = {key: value for key, value in rest.items() if or_none(SchedulerSection, {key: value})}
    return SchedulerSection.model_validate(good)
