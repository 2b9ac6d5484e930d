"""How log lines look: readable ones for a terminal, JSON when asked; each line about a run names run and pipeline.

Set up once by the mains. What the stages of a run log comes in through `RunLog` in `runner` and ends here as well.
"""

from __future__ import annotations

import logging
import sys
from datetime import datetime
from typing import Any, Literal

from pythonjsonlogger.json import JsonFormatter

QUIET = ("apscheduler", "alembic", "asyncio", "aiohttp.access", "watchfiles")
"""Libraries that tell at INFO what nobody asked for."""


class TextFormatter(logging.Formatter):
    """`2026-11-21 09:30:12 INFO    prices #812 attempt 1/3`, in the machine's local time."""

    def format(self, record: logging.LogRecord) -> str:
        """Render one record; line breaks inside a message are kept and indented, control characters are not."""
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        text = printable(record.getMessage())
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return f"{at} {record.levelname:<7} {_subject(record)}{text.rstrip()}".replace("\n", "\n    ")


def _subject(record: logging.LogRecord) -> str:
    run = getattr(record, "run", None)
    return f"{record.pipeline} #{run} " if run is not None else ""  # type: ignore[attr-defined]  # set beside run


def printable(text: str) -> str:
    """Return text without the control characters that could steer a terminal; line breaks and tabs stay."""
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in text)


def set_up_logging(level: str, kind: Literal["text", "json"]) -> None:
    """Send log lines from `level` (`INFO`, …) upwards to standard error, as text or one JSON object each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if kind == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _json_formatter() -> logging.Formatter:
    names: dict[str, Any] = {"asctime": "at", "levelname": "level", "name": "logger"}
    return JsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=names, datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
