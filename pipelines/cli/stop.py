"""`pipecall stop`: tell the service on this machine to stop, and wait until it has."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.cli import frame
from pipelines.cli.late import late

Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="So many seconds to wait; else as long as it lets runs finish, and some."),
]
Now = Annotated[bool, typer.Option("--now", help="Do not let runs finish: cancel them.")]


def stop(timeout: Timeout = None, now: Now = False) -> None:
    """Stop the service that runs on this machine: it lets runs finish for a while, cancels what is left, and ends."""
    late("pipelines.cli.stopping:stop")(frame.settings(), timeout, now=now)
