"""`pipecall logs`: what a run said."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import codes, completing, frame, printing, records, words
from pipelines.cli.late import late
from pipelines.cli.numbers import RunNumber
from pipelines.model import LogLine

ALL = 100_000
"""More lines than are kept of a run."""

Number = Annotated[
    RunNumber,
    typer.Argument(metavar="RUN", parser=RunNumber.read, help="The run's number.", autocompletion=completing.runs),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")]
Tail = Annotated[int | None, typer.Option("--tail", "-n", min=1, max=ALL, help="Only so many of the newest lines.")]


def logs(run: Number, follow: Follow = False, tail: Tail = None, as_json: frame.Json = False) -> int:
    """Show the log of a run, oldest line first. With `--follow` it ends when the run is over."""
    try:
        frame.run_async(_show(run.value, follow=follow, tail=tail, as_json=as_json))
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    return codes.OK


async def _show(run_id: int, *, follow: bool, tail: int | None, as_json: bool) -> None:
    async with frame.reading() as reads:
        await reads.run(run_id)
        if not follow:
            lines = await reads.log(run_id, tail or ALL)
            if as_json:
                printing.document([records.log_line(each) for each in lines])
            else:
                _print(lines)
            return
        follower = late("pipelines.cli.following:Follower")(reads, [run_id])
        skipped = tail is None
        if not (await late("pipelines.cli.standing:standing")(frame.settings())).runs:
            printing.note("no service runs: what waits goes on once one does")
        async for (sight,) in follower.sights():
            lines, skipped = (sight.lines, True) if skipped else (sight.lines[-(tail or 0) :], True)
            for each in lines:
                if as_json:
                    printing.json_line(records.log_line(each))
                else:
                    _print([each])


def _print(lines: list[LogLine] | tuple[LogLine, ...]) -> None:
    for each in lines:
        printing.line(
            f"{words.instant(each.at)} {LEVELS.get(each.level, str(each.level)):<8}{each.source}: {each.text}"
        )


LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "CRITICAL"}
