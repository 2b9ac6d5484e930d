"""`pipecall missed`: the instants that did not become runs."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import completing, frame, printing, records, words
from pipelines.model import Occurrence

Job = Annotated[str | None, typer.Option("--job", help="Only those of this job.", autocompletion=completing.jobs)]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")]


def missed(job: Job = None, limit: Limit = 20, as_json: frame.Json = False) -> None:
    """List the instants at which a job was due and no run came of it, newest first, with the reason."""
    found = frame.run_async(_found(job, limit))
    if as_json:
        printing.document([records.missed(each, pipeline) for each, pipeline in found])
        return
    rows = [
        (words.instant(each.due_at), each.schedule_id, pipeline, str(each.outcome), each.reason or "")
        for each, pipeline in found
    ]
    printing.table(("due", "job", "pipeline", "outcome", "why"), rows, empty="nothing was missed")


async def _found(job: str | None, limit: int) -> list[tuple[Occurrence, str]]:
    async with frame.reading() as reads:
        found = await reads.ledger(job, limit)
        if not found and job is not None:
            completing.check_job(job)
    return found
