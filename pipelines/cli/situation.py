"""All that `pipecall status` tells, gathered from store and pipelines file, as facts for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pipelines.cli import frame, machine_facts, records, words
from pipelines.cli.follow_text import counts
from pipelines.cli.follow_text import standing as run_standing
from pipelines.cli.release import program_version
from pipelines.cli.standing import Standing, standing, who
from pipelines.errors import ConfigError
from pipelines.model import RETRYABLE_STATES, Machines, Run, RunState, ScheduleState
from pipelines.overview import Overview
from pipelines.settings import Settings
from pipelines.store.progress import Progress

SHOWN = 5
"""So many of the next and of the failed are shown."""

Fact = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Situation:
    """What goes on. `fault` is what is wrong with the pipelines file; `pipelines` is None then: none are known.

    `machines` are those who share the store (None: there is none), `waits` says of runs what they wait for.
    """

    service: Standing
    live: tuple[Run, ...] = ()
    progress: dict[int, Progress] = field(default_factory=dict)
    upcoming: tuple[tuple[str, datetime], ...] = ()
    failed: tuple[Run, ...] = ()
    pipelines: int | None = 0
    jobs: int = 0
    paused: int = 0
    fault: ConfigError | None = None
    machines: Machines | None = None
    waits: Mapping[int, str] = field(default_factory=dict)

    def facts(self) -> Iterator[Fact]:
        """Yield what to show, line by line, each with its heading."""
        yield from self._service()
        if self.machines is not None:
            yield from machine_facts.facts(self.machines, self.service.now)
        if self.pipelines is not None or self.service.runs:
            known = [_many(self.pipelines, "pipeline")] if self.pipelines is not None else []
            yield "there are", ", ".join([*known, f"{_many(self.jobs, 'job')} ({self.paused} paused)"])
        for run in self.live:
            yield from self._run(run)
        for name, at in self.upcoming:
            yield "next", f"{name} {words.day(at)}, {words.off(at, self.service.now)}"
        for run in self.failed:
            when = f" {words.off(run.ended_at, self.service.now)}" if run.ended_at else ""
            yield "failed", f"{words.named(run)} {run.state}{when}: {words.why(run)}".rstrip(": ")

    def _service(self) -> Iterator[Fact]:
        said, now = self.service.said, self.service.now
        if said is None or self.service.holder is None:
            yield "service", "; ".join(self.service.faults) + f" (version {program_version()})"
            return
        since = f"since {words.day(said.since)} ({words.off(said.since, now)})"
        yield "service", f"runs, {who(self.service.holder)}, {since}, version {program_version()}"
        yield (
            "health",
            ": ".join(
                [str(self.service.status), *(["; ".join(self.service.complaints)] * bool(self.service.complaints))]
            ),
        )
        if said.web:
            yield "web", said.web
        if said.reload_problem:
            yield "file", f"the newest is not in force: {said.reload_problem}"

    def _run(self, run: Run) -> Iterator[Fact]:
        progress = self.progress.get(run.id) if run.state is RunState.RUNNING else None
        far = [f"{progress.done:.0%}"] if progress and progress.done is not None else []
        far += [progress.note] if progress and progress.note else []
        far += [self.waits[run.id]] if run.id in self.waits else []
        far += [f"on {run.holder}"] if run.holder and self.machines and self.machines.many else []
        heading = "waits" if run.state is RunState.QUEUED else "runs"
        yield heading, ", ".join([run_standing(run, now=self.service.now), *far])
        for stage in progress.stages if progress else ():
            yield "", f"  {stage.name}: {counts(stage)}"

    def record(self) -> records.Record:
        """Return all of it for JSON."""
        return {
            "service": self._service_record(),
            "counts": {"pipelines": self.pipelines, "jobs": self.jobs, "paused": self.paused},
            **machine_facts.record(self.machines),
            "live": [self._live_record(run) for run in self.live],
            "next": [{"pipeline": name, "due_at": at} for name, at in self.upcoming],
            "failed": [records.run(run) for run in self.failed],
        }

    def _live_record(self, run: Run) -> records.Record:
        progress = self.progress.get(run.id) if run.state is RunState.RUNNING else None
        far = {
            "progress": records.progress(progress) if progress else None,
            "waits": self.waits.get(run.id),
            "holder": records.holder(run.holder) if run.holder else None,
        }
        return {**records.run(run), **far}

    def _service_record(self) -> records.Record:
        said = self.service.said
        known: dict[str, Any] = {
            name: getattr(said, name, None) for name in ("pid", "host", "since", "beat_at", "web", "reload_problem")
        }
        verdict = {"status": self.service.status, "complaints": self.service.complaints}
        return {"running": self.service.runs, **verdict, **known, "version": program_version()}


async def situation(settings: Settings) -> Situation:
    """Gather what goes on; while the pipelines file is wrong, what the store knows of a running service.

    Raises:
        StoreError: the store cannot be asked.
    """
    service = await standing(settings)
    try:
        async with frame.attached(settings) as desk:
            return await _gathered(service, desk)
    except ConfigError as error:
        fault = error
    if not service.runs:
        return Situation(service, pipelines=None, fault=fault)
    async with frame.attached(settings, file=False) as desk:
        await desk.engine.attach(file=False)
        rows = desk.engine.jobs.rows.values()
        due = sorted((row.next_due_at, row.pipeline) for row in rows if row.next_due_at is not None)
        upcoming = tuple((name, at) for at, name in due[:SHOWN])
        return replace(await _gathered(service, desk), upcoming=upcoming, pipelines=None, fault=fault)


async def _gathered(service: Standing, desk: frame.Desk) -> Situation:
    machines = await desk.engine.reads.machines()
    overview, rows = desk.engine.overview, desk.engine.jobs.rows.values()
    live = tuple(overview.live_runs())
    told = {run.id: await desk.engine.reads.progress(run.id) for run in live[: SHOWN * 4]}
    waits = {run.id: overview.waiting_for(run) for run in live[: SHOWN * 4] if machines.many}
    return Situation(
        service,
        machines=machines,
        waits={run_id: said for run_id, said in waits.items() if said is not None},
        live=live,
        progress={run_id: each for run_id, each in told.items() if each is not None},
        upcoming=tuple(overview.upcoming()[:SHOWN]),
        failed=_failed(overview),
        pipelines=len(desk.engine.catalog.pipelines),
        jobs=len(rows),
        paused=sum(row.state is ScheduleState.PAUSED for row in rows),
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _failed(overview: Overview) -> tuple[Run, ...]:
    """Return the last runs of the pipelines that failed last, newest first."""
    last = (view.last for view in overview.pipelines())
    failed = [run for run in last if run is not None and run.state in RETRYABLE_STATES]
    return tuple(sorted(failed, key=lambda run: run.id, reverse=True)[:SHOWN])
