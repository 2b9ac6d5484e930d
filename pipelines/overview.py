"""What is going on, in memory: pipelines, jobs, live and recent runs, kept up to date by the runs that pass.

For those who must answer within milliseconds, such as completion in chat. Nothing here is the truth: that is the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from pipelines.catalog import Catalog
from pipelines.definition import PipelineDefinition
from pipelines.jobs import Jobs
from pipelines.model import LIVE_STATES, RETRYABLE_STATES, Machines, Run, RunState, ScheduleRow
from pipelines.store import history
from pipelines.store.writer import Reader
from pipelines.waiting import waiting_for

RECENT = 200
"""So many runs are remembered, newest first."""
LIVE_LOADED = 1_000
"""So many runs of each state that is not over are taken over at a start."""
WITHOUT_LIMIT = 1_000_000
"""More runs than ever wait or go on."""
_PASSED = frozenset({RunState.SKIPPED, RunState.MISSED})

Seen: TypeAlias = Callable[[], Machines | None]


def _alone() -> None:
    """Know of nobody else who takes part."""


@dataclass(frozen=True, slots=True)
class JobView:
    """A job: its row with the next run filled in, the last run of its own that was executed, as far as is remembered.

    `pipeline_known` is False where its pipeline is gone from the file.
    """

    row: ScheduleRow
    last: Run | None
    pipeline_known: bool = True


@dataclass(frozen=True, slots=True)
class PipelineView:
    """A pipeline: its last run that was executed, the numbers of the runs that go on, how many wait, its jobs.

    `next_due_at` is the soonest of its jobs (UTC); `failing` says that its last run failed.
    """

    name: str
    definition: PipelineDefinition
    last: Run | None
    running: tuple[int, ...]
    queued: int
    next_due_at: datetime | None
    jobs: tuple[JobView, ...]

    @property
    def failing(self) -> bool:
        """True when the last run failed, timed out or crashed."""
        return self.last is not None and self.last.state in RETRYABLE_STATES


class Overview:
    """Reads of all that is going on, without I/O."""

    def __init__(self, *, catalog: Catalog, jobs: Jobs, seen: Seen = _alone, clock: Callable[[], datetime]) -> None:
        """Begin with nothing remembered; see `load`. `seen` returns who took part when somebody looked last."""
        self._catalog = catalog
        self._jobs = jobs
        self._seen = seen
        self._clock = clock
        self._live: dict[int, Run] = {}
        self._live_of: dict[str, dict[int, Run]] = {}
        self._ids: dict[str, dict[str, None]] = {}
        self._pipeline_views: dict[str, PipelineView] = {}
        self._job_views: dict[str, JobView] = {}
        self._version = -1
        jobs.watch(self.job_changed)
        self._last: dict[str, Run] = {}
        self._last_of_job: dict[str, Run] = {}
        self._recent: dict[int, Run] = {}

    async def load(self, reader: Reader) -> None:
        """Take over what the store remembers."""
        for run in await reader.read(history.last_executed):
            self._last[run.pipeline] = run
        known = {run.id: run for run in await reader.read(history.runs, limit=RECENT)}
        for state in LIVE_STATES:
            known |= {run.id: run for run in await reader.read(history.runs, state=state, limit=LIVE_LOADED)}
        for run_id in sorted(known.keys() - self._live.keys()):
            self.happened(known[run_id])
        self.pipelines()  # so that the first who asks need not wait

    def happened(self, run: Run) -> None:
        """Take note of what became of a run."""
        self._pipeline_views.pop(run.pipeline, None)
        self._job_views.pop(run.schedule_id or "", None)
        if not run.state.final:
            if run.id not in self._recent:  # that it was queued may be told after it has ended
                self._live[run.id] = run
                self._live_of.setdefault(run.pipeline, {})[run.id] = run
            return
        self._live.pop(run.id, None)
        self._live_of.get(run.pipeline, {}).pop(run.id, None)
        self._recent[run.id] = run
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]
        if run.state in _PASSED:
            return
        if run.pipeline not in self._last or self._last[run.pipeline].id <= run.id:
            self._last[run.pipeline] = run
        if run.schedule_id is not None and (
            run.schedule_id not in self._last_of_job or self._last_of_job[run.schedule_id].id <= run.id
        ):
            self._last_of_job[run.schedule_id] = run

    def pipelines(self) -> list[PipelineView]:
        """Return all pipelines, in the order of the file."""
        self._refresh()
        now = self._clock()
        return [self._pipeline(definition, now) for definition in self._catalog.pipelines.values()]

    def pipeline(self, name: str) -> PipelineView | None:
        """Return one pipeline, or None."""
        self._refresh()
        definition = self._catalog.pipelines.get(name)
        return self._pipeline(definition, self._clock()) if definition is not None else None

    def jobs(self) -> list[JobView]:
        """Return all jobs that are active or paused, by id."""
        self._refresh()
        now = self._clock()
        return [self._job(job_id, now) for job_id in sorted(self._jobs.rows)]

    def job(self, job_id: str) -> JobView | None:
        """Return one job, or None."""
        self._refresh()
        return self._job(job_id, self._clock()) if job_id in self._jobs.rows else None

    def upcoming(self) -> list[tuple[str, datetime]]:
        """Return pipelines with the instant (UTC) each is next due, soonest first."""
        due = [(view.name, view.next_due_at) for view in self.pipelines()]
        return sorted(((name, at) for name, at in due if at is not None), key=lambda pair: pair[1])

    def live_runs(self) -> list[Run]:
        """Return the runs that wait or go on, oldest first."""
        return [self._live[run_id] for run_id in sorted(self._live)]

    def waiting_for(self, run: Run) -> str | None:
        """Say in words what a run waits for; None for one that is not queued, nor due for its next attempt."""
        if run.state is RunState.WAITING_RETRY and run.not_before is not None and run.not_before <= self._clock():
            # Its place among the runs of its pipeline is kept for it: only what all wait for can be in the way.
            return self._waiting_for(replace(run, state=RunState.QUEUED, lane=None), WITHOUT_LIMIT)
        definition = self._catalog.pipelines.get(run.pipeline)
        return self._waiting_for(run, definition.max_instances if definition is not None else 1)

    def _waiting_for(self, run: Run, max_instances: int) -> str | None:
        options = self._catalog.options
        seen = self._seen()
        unlimited = seen is not None and seen.by_workers and "max_parallel_jobs" not in options.model_fields_set
        return waiting_for(
            run,
            self._live.values(),
            max_instances=max_instances,
            pools=options.pools,
            slots=seen.slots if seen is not None and unlimited else options.max_parallel_jobs,
            machines=seen,
        )

    def recent_runs(self, limit: int = 50) -> list[Run]:
        """Return the runs that were over last, newest first."""
        return list(reversed(self._recent.values()))[:limit]

    def counts(self) -> Counter[RunState]:
        """Return how many runs wait and go on, by state."""
        return Counter(run.state for run in self._live.values())

    def job_changed(self, row: ScheduleRow) -> None:
        """Take note that a job came, changed or went."""
        self._job_views.pop(row.id, None)
        self._pipeline_views.pop(row.pipeline, None)
        ids = self._ids.setdefault(row.pipeline, {})
        ids.pop(row.id, None)
        if row.id in self._jobs.rows:
            ids[row.id] = None

    def _refresh(self) -> None:
        """Forget the views if other pipelines are in force than when they were made."""
        if self._version == self._catalog.version:
            return
        self._version = self._catalog.version
        self._pipeline_views.clear()
        self._job_views.clear()
        self._ids.clear()
        for row in self._jobs.rows.values():
            self._ids.setdefault(row.pipeline, {})[row.id] = None

    def _pipeline(self, definition: PipelineDefinition, now: datetime) -> PipelineView:
        view = self._pipeline_views.get(definition.name)
        if view is None or (view.next_due_at is not None and view.next_due_at <= now):
            view = self._pipeline_views[definition.name] = self._pipeline_anew(definition, now)
        return view

    def _pipeline_anew(self, definition: PipelineDefinition, now: datetime) -> PipelineView:
        jobs = tuple(self._job(job_id, now) for job_id in self._ids.get(definition.name, ()))
        live = self._live_of.get(definition.name, {}).values()
        return PipelineView(
            name=definition.name,
            definition=definition,
            last=self._last.get(definition.name),
            running=tuple(run.id for run in live if run.state is not RunState.QUEUED),
            queued=sum(run.state is RunState.QUEUED for run in live),
            next_due_at=min((job.row.next_due_at for job in jobs if job.row.next_due_at), default=None),
            jobs=jobs,
        )

    def _job(self, job_id: str, now: datetime) -> JobView:
        view = self._job_views.get(job_id)
        if view is None or (view.row.next_due_at is not None and view.row.next_due_at <= now):
            row = self._jobs.rows[job_id]
            view = self._job_views[job_id] = JobView(
                row=self._jobs.with_next_due(row),
                last=self._last_of_job.get(job_id),
                pipeline_known=row.pipeline in self._catalog.pipelines,
            )
        return view
