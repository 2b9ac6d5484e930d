"""`pipecall backup` and `pipecall restore`: a copy of the store, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import frame, printing
from pipelines.cli.late import late
from pipelines.model import utcnow

New = Annotated[Path | None, typer.Argument(metavar="FILE", help="A new file, packed if it ends in .gz.")]
Copy = Annotated[Path, typer.Argument(metavar="FILE", help="What backup made.")]


def back_up(file: New = None) -> None:
    """Copy the store into a file, while the service runs or not; without FILE one is named in `backups` beside it."""
    printing.line(f"saved {late('pipelines.backup:back_up')(frame.settings().scheduler_db_url, file, utcnow())}")


def restore(file: Copy) -> None:
    """Put a copy in the place of the store; stop the service first. The store that was there is kept."""
    copy, aside = late("pipelines.backup:restore")(frame.settings().scheduler_db_url, file, utcnow())
    printing.line(f"restored {copy}")
    if aside:
        printing.line(f"the store that was there before is kept as {aside}")
    printing.line("start the service; it brings an older schema up to date")
