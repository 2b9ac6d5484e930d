"""`pipecall config create`: the files to begin with."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import frame, printing, starter_texts
from pipelines.errors import PipecallError
from pipelines.model import utcnow

PRIVATE, PLAIN = 0o600, 0o644
Force = Annotated[bool, typer.Option("--force", help="Write all anew; what was there is kept under another name.")]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def config() -> None:
    """Make the files that Pipecall reads."""


@app.command()
def create(force: Force = False) -> None:
    """Write a pipelines file, .env and plugins/example.py where they are missing; they run at once, without network."""
    settings = frame.settings()
    wanted = (
        (settings.pipelines_config, starter_texts.PIPELINES, PLAIN),
        (settings.plugins_folder / "example.py", starter_texts.PLUGIN, PLAIN),
        (Path(".env"), starter_texts.ENV, PRIVATE),
    )
    for path, text, mode in wanted:
        printing.line(_made(path, text, mode, force=force, now=utcnow()))
    printing.line("now: pipecall check, then pipecall run hello --inline --show")


def _made(path: Path, text: str, mode: int, *, force: bool, now: datetime) -> str:
    """Write a file unless it is there; with `force` what is there is renamed. Say what was done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = ""
        if path.exists() or path.is_symlink():
            if not force:
                return f"kept {path}, which is there already"
            aside = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%S%fZ}")
            path.rename(aside)
            kept = f"; what was there is kept as {aside}"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:  # noqa: PTH123 - by descriptor
            file.write(text)
    except OSError as error:
        raise PipecallError(f"{path} cannot be written: {error.strerror}; correct the rights of its folder") from error
    return f"wrote {path}{kept}"
