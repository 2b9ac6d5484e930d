"""`pipecall jobs`: what is due when."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import completing, frame, printing, records, words

Pipeline = Annotated[
    str | None,
    typer.Option("--pipeline", "-p", help="Only those of this pipeline.", autocompletion=completing.pipelines),
]


def jobs(pipeline: Pipeline = None, as_json: frame.Json = False) -> None:
    """List the jobs with their schedule in words and their next run, on the clock of their time zone."""
    frame.run_async(_list(pipeline, as_json))


async def _list(pipeline: str | None, as_json: bool) -> None:
    async with frame.attached(lenient=True) as desk:
        if pipeline is not None:
            desk.engine.catalog.get(pipeline)
        views = [view for view in desk.engine.overview.jobs() if pipeline in (None, view.row.pipeline)]
        now = desk.engine.clock()
    if as_json:
        printing.document([records.job(view) for view in views])
        return
    rows = [
        (view.row.id, view.row.pipeline, view.row.words, view.row.timezone, words.due(view.row, now), view.row.source)
        for view in views
    ]
    printing.table(("job", "pipeline", "schedule", "time zone", "next run", "from"), rows, empty="there are no jobs")
