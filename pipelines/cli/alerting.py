"""`pipecall mute`, `unmute` and `redeliver`: what people are told, and whether it is told again."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import completing, frame, printing, words
from pipelines.cli.late import late

Name = Annotated[str, typer.Argument(metavar="PIPELINE", help="The pipeline.", autocompletion=completing.pipelines)]
For = Annotated[
    str | None, typer.Option("--for", help="For how long, such as 2h or '1 day'; not given: until it succeeds.")
]


def mute(name: Name, lasting: For = None) -> None:
    """Hold back the alerts of a pipeline, until its next success or for a while."""

    async def work() -> str:
        async with frame.attached() as desk:
            zone = desk.engine.catalog.options.timezone
            until = (
                late("pipelines.cli.moments:after")(lasting, zone=zone, now=desk.engine.clock())
                if lasting is not None
                else None
            )
            await desk.verbs.mute(desk.asked(), name, until)
            return f"until {words.instant(until, zone)}" if until else "until its next success"

    printing.line(f"alerts of {name} are held back {frame.run_async(work())}; 'pipecall unmute {name}' ends that")


def unmute(name: Name) -> None:
    """Let the alerts of a pipeline through again."""

    async def work() -> None:
        async with frame.attached() as desk:
            await desk.verbs.unmute(desk.asked(), name)

    frame.run_async(work())
    printing.line(f"alerts of {name} are told again")


def redeliver() -> None:
    """Send all messages again that were refused for good, once what was in the way is mended."""

    async def work() -> int:
        async with frame.attached() as desk:
            return await desk.verbs.redeliver(desk.asked())

    count = frame.run_async(work())
    printing.line(f"{count} message{'' if count == 1 else 's'} will be sent again; what waits is tried at once")
