"""`pipecall history`: the runs that were and are."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import completing, frame, printing, records, words
from pipelines.cli.numbers import RunNumber
from pipelines.errors import UnknownName
from pipelines.model import Run, RunState

Pipeline = Annotated[
    str | None,
    typer.Option("--pipeline", "-p", help="Only runs of this pipeline.", autocompletion=completing.pipelines),
]
State = Annotated[RunState | None, typer.Option("--state", "-s", help="Only runs in this state.")]
Job = Annotated[str | None, typer.Option("--job", help="Only runs of this job.", autocompletion=completing.jobs)]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")]
Before = Annotated[
    RunNumber | None,
    typer.Option("--before", metavar="RUN", parser=RunNumber.read, help="Only runs with a lower number than this."),
]


def history(
    pipeline: Pipeline = None,
    state: State = None,
    job: Job = None,
    limit: Limit = 20,
    before: Before = None,
    as_json: frame.Json = False,
) -> None:
    """List runs, newest first: what asked for them, when, how long, how they ended, and why."""
    runs = frame.run_async(
        _runs(pipeline, state=state, job=job, limit=limit, before=before.value if before is not None else None)
    )
    if as_json:
        printing.document([records.run(run) for run in runs])
        return
    titles = ("run", "pipeline", "state", "started", "took", "try", "in", "out", "by", "why")
    printing.table(titles, [_row(run) for run in runs], empty="no runs")


async def _runs(
    pipeline: str | None, *, state: RunState | None, job: str | None, limit: int, before: int | None
) -> list[Run]:
    async with frame.reading() as reads:
        runs = await reads.runs(pipeline=pipeline, state=state, schedule_id=job, limit=limit, before_id=before)
        if not runs and pipeline is not None:
            known = {each.pipeline for each in await reads.stats()} | set(completing.pipelines(""))
            if pipeline not in known:
                raise UnknownName("pipeline", pipeline, known)
        if not runs and job is not None:
            completing.check_job(job)
    return runs


def _row(run: Run) -> list[printing.Cell]:
    return [
        str(run.id),
        run.pipeline,
        words.state(run.state),
        words.instant(run.started_at or run.queued_at),
        words.lasting(run.duration),
        f"{run.attempt}/{run.max_attempts}",
        str(run.items_in),
        str(run.items_out),
        words.asked_by(run),
        words.why(run),
    ]
