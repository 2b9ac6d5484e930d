"""`pipecall next`: when a pipeline or a job is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Annotated

import typer

from pipelines.cli import completing, frame, printing, words
from pipelines.cli.frame import Desk
from pipelines.cli.late import late
from pipelines.errors import UnknownName
from pipelines.model import ScheduleRow, ScheduleState

Name = Annotated[str, typer.Argument(metavar="NAME", help="A pipeline or a job.", autocompletion=completing.targets)]
Count = Annotated[int, typer.Option("--count", "-n", min=1, max=1_000, help="So many instants.")]


@dataclass(frozen=True, slots=True)
class Fire:
    """An instant (UTC) at which a job is due."""

    at: datetime
    job: ScheduleRow


def next_fires(name: Name, count: Count = 10, as_json: frame.Json = False) -> None:
    """Show when a pipeline or a job is due next, on the clock of the job's time zone, with the offset from UTC."""
    jobs, fires, now = frame.run_async(_fires(name, count))
    if as_json:
        printing.document([{"due_at": fire.at, "job": fire.job.id, "timezone": fire.job.timezone} for fire in fires])
        return
    for job in jobs:
        state = f" ({words.due(job, now)})" if job.state is ScheduleState.PAUSED else ""
        printing.note(f"{job.id}: {job.words}, {job.timezone}{state}")
    rows = [(words.day(fire.at, fire.job.timezone), words.off(fire.at, now), fire.job.id) for fire in fires]
    printing.table(("due", "", "job"), rows, empty="never")


async def _fires(name: str, count: int) -> tuple[list[ScheduleRow], list[Fire], datetime]:
    async with frame.attached() as desk:
        jobs, now = _jobs(desk, name), desk.engine.clock()
        upcoming = [
            [Fire(at, job) for at in late("pipelines.phrases:next_fires")(entries[job.id].trigger, now, count)]
            for entries in (desk.engine.jobs.entries,)
            for job in jobs
            if job.id in entries and job.state is not ScheduleState.PAUSED
        ]
    return jobs, list(islice(merge(*upcoming, key=lambda fire: fire.at), count)), now


def _jobs(desk: Desk, name: str) -> list[ScheduleRow]:
    """Return the job of a name, else those of the pipeline of that name."""
    rows, pipelines = desk.engine.jobs.rows, desk.engine.catalog.pipelines
    if name in pipelines:
        return [row for row in rows.values() if row.pipeline == name]
    if name in rows:
        return [rows[name]]
    raise UnknownName("pipeline or job", name, {*rows, *pipelines})
