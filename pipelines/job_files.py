"""A JSON file of jobs to schedules of the file's pipelines, or to all that is wrong with it, each with its line.

A job is a schedule that stands in a file of its own, in the words of other schedulers: it becomes the same values as
those under `schedule:`, by the same checks. Jobs are read one by one in `job_reading`, the text by `json_text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines import json_text
from pipelines.definition import PipelineDefinition, SchedulerSection
from pipelines.errors import ConfigError, Problem, nearest
from pipelines.file_problems import FileProblems
from pipelines.job_definition import JobsFile
from pipelines.job_reading import JobPart, JobReading
from pipelines.schedule_checks import Ids, ScheduleEntry
from pipelines.wording import found, quoted, suggestion
from pipelines.yaml_text import read_text

EXPECTED = 'expected {"jobs": [{"job_id": …, "type": …, "pipeline": …, "config": {…}}]}'


@dataclass(frozen=True, slots=True)
class JobsRead:
    """What came of a file of jobs: schedules of the jobs that are not switched off, or what is wrong.

    `parts` has each job that was read well, by its id, `names` are all variables in use.
    """

    entries: tuple[ScheduleEntry, ...] = ()
    parts: Mapping[str, JobPart] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    problems: Sequence[Problem] = ()
    warnings: Sequence[Problem] = ()


class JobFile:
    """One file of jobs, its text read already.

    `pipelines` are the names that its jobs give (None: that cannot be known), `digest` is the SHA-256 of its text in
    hex (None: it cannot be read).
    """

    def __init__(self, path: Path) -> None:
        """Read the file; what is wrong with it is told by `read`."""
        self.digest: str | None = None
        self.pipelines: frozenset[str] | None = None
        self._jobs: list[Any] = []
        self._problems: Sequence[Problem] = ()
        self._told: FileProblems | None = None
        try:
            text = read_text(path, "job file", (".json",))
            self.digest = hashlib.sha256(text.encode()).hexdigest()
            document = json_text.parse(text, str(path))
        except ConfigError as error:
            self._problems = error.problems
            return
        self._told = FileProblems(document, str(path))
        self._told.tell_tokens(text)
        self._open(document.value, self._told)

    def timed(self, pipelines: Mapping[str, Any]) -> frozenset[str]:
        """Return which pipelines of the pipelines file, as written there, are due only by what stands here."""
        names = pipelines.keys() if self.pipelines is None else self.pipelines
        raw = ((name, pipelines.get(name)) for name in names)
        return frozenset(name for name, each in raw if not (isinstance(each, dict) and each.get("schedule")))

    def read(
        self,
        pipelines: Mapping[str, PipelineDefinition | None],
        *,
        scheduler: SchedulerSection,
        env: Mapping[str, str],
        ids: Ids,
        before: Mapping[str, JobPart],
    ) -> JobsRead:
        """Return the schedules of the jobs, or all that is wrong.

        `pipelines` are those of the pipelines file by name, None for one that is wrong; `ids` are taken there,
        `before` is what may be taken over.
        """
        if self._told is None:
            return JobsRead(problems=self._problems)
        reading = JobReading(self._told, scheduler, env=env, ids=ids, before=before)
        reading.all(self._jobs, pipelines)
        return JobsRead(
            entries=tuple(part.entry for part in reading.parts.values() if part.enabled),
            parts=reading.parts,
            names=frozenset(name for part in reading.parts.values() for name in part.names),
            problems=self._told.problems,
            warnings=self._told.warnings,
        )

    def _open(self, value: Any, told: FileProblems) -> None:
        if not isinstance(value, dict):
            told.tell((), f"found {found(value)}; {EXPECTED}")
            return
        known = list(JobsFile.model_fields)
        unknown = [key for key in value if key not in known and key != "$schema"]
        for key in unknown:
            told.tell((key,), f"unknown key {quoted(key)}; {suggestion(key, known)}")
        if "jobs" not in value:
            if "jobs" not in (nearest(key, known) for key in unknown):
                told.tell((), f"the key 'jobs' is missing; {EXPECTED}")
        elif not isinstance(value["jobs"], list):
            told.tell(("jobs",), f"found {found(value['jobs'])}; expected a list of jobs")
        else:
            self._jobs = value["jobs"]
            names = (job.get("pipeline") for job in self._jobs if isinstance(job, dict))
            self.pipelines = frozenset(name for name in names if isinstance(name, str))
