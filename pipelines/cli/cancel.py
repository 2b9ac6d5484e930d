"""`pipecall cancel`: stop a run."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import completing, frame, printing, words
from pipelines.cli.numbers import RunNumber

Number = Annotated[
    RunNumber,
    typer.Argument(metavar="RUN", parser=RunNumber.read, help="The run's number.", autocompletion=completing.live_runs),
]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def cancel(run: Number, reason: Reason = "") -> None:
    """Cancel a run that waits or goes on. One that goes on has ten seconds to close its stages."""
    frame.run_async(_cancel(run.value, reason))


async def _cancel(run_id: int, reason: str) -> None:
    async with frame.attached(file=False) as desk:
        run = await desk.verbs.cancel(desk.asked(), run_id, reason)
    if run.state.final:
        printing.line(f"{words.named(run)} is {run.state}")
    else:
        printing.line(f"{words.named(run)} is being stopped")
