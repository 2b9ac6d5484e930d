"""Errors that nobody foresaw: an id for people, and the traceback under that id in the log file beside the store."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from pipelines.cli.places import log_file
from pipelines.errors import PipecallError
from pipelines.model import utcnow
from pipelines.settings import read_settings


def told(error: Exception, text: str) -> str:
    """Keep the traceback `text` and return the line for the user: what went wrong, its id, and where to look."""
    mishap = secrets.token_hex(4)
    where = _kept(f"{utcnow():%Y-%m-%d %H:%M:%S}Z ERROR   unexpected error {mishap}: {' '.join(sys.argv)}\n{text}\n")
    look = f"the traceback is in {where} under this id" if where else "--debug shows the traceback"
    return f"unexpected error {mishap}: {type(error).__name__}: {error}; {look}"


def _kept(text: str) -> Path | None:
    """Add to the log file; None where that cannot be."""
    try:
        path = log_file(read_settings())
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except (OSError, PipecallError):
        return None
    return path
