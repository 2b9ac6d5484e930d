"""`pipecall start`: the service, in this terminal or detached from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import frame
from pipelines.cli.late import late

Daemon = Annotated[bool, typer.Option("--daemon", "-d", help="Detach it from this terminal; it goes on alone.")]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="So many seconds it may take to be ready, detached.")]
Jobs = Annotated[Path | None, typer.Option("--schedule-config", help="A JSON file of further jobs.", metavar="FILE")]


def start(daemon: Daemon = False, timeout: Timeout = 60.0, schedule_config: Jobs = None) -> int:
    """Start the service: it runs pipelines on schedule until it is told to stop.

    Detached, its log goes to `pipecall.log` beside the store, and this command ends once it is ready.
    """
    chosen = frame.settings(**({"scheduler_jobs": schedule_config} if schedule_config else {}))
    given = ["--schedule-config", str(schedule_config)] if schedule_config else []
    late("pipelines.cli.launching:refuse_second")(chosen)
    code: int = (
        late("pipelines.cli.launching:detached")(chosen, timeout, given)
        if daemon
        else late("pipelines.cli.launching:here")(given)
    )
    return code
