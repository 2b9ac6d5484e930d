"""Log records of a run, gathered until they are handed on: in order, bounded, the oldest dropped with a note."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from pipelines.chain.failure import clean
from pipelines.model import LogLine, utcnow
from pipelines.transform import CURRENT_RUN

MAX_WAITING = 1_000
"""So many lines wait to be handed on; of more, the newest."""
MAX_LINE = 10_000
"""Longer lines are cut, in characters."""
FLUSH_EVERY_S = 0.1
"""How often lines are handed on. In seconds."""
FLUSH_AT = 200
"""And when so many wait."""


class Lines:
    """Lines that wait to be handed on. May be used from any thread."""

    def __init__(self) -> None:
        """Start with none."""
        self._lock = threading.Lock()
        self._waiting: deque[LogLine] = deque()
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, line: LogLine) -> None:
        """Take a line; drop the oldest when too many wait."""
        with self._lock:
            self._waiting.append(line)
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
                self._dropped += 1

    def take(self) -> list[LogLine]:
        """Return what waits, oldest first, beginning with a note if lines were dropped."""
        with self._lock:
            lines, dropped = list(self._waiting), self._dropped
            self._waiting.clear()
            self._dropped = 0
        return [dropped_note(dropped, lines[0]), *lines] if dropped else lines


def dropped_note(count: int, before: LogLine) -> LogLine:
    """Return the line that stands for `count` lines dropped before the given one."""
    return LogLine(before.at, logging.WARNING, before.source, f"({count:,} lines dropped here: too many at once)")


def line_of(record: logging.LogRecord) -> LogLine:
    """Return a log record as a line of a run's log, its traceback included."""
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - a stage's wrong log call must not end its run
        text = f"{record.msg} (its arguments do not fit: {error})"
    if record.exc_info:
        text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
    return LogLine(datetime.fromtimestamp(record.created, UTC), record.levelno, record.name, cut(text))


def text_line(text: str, source: str, level: int = logging.INFO) -> LogLine:
    """Return a line that is not a log record."""
    return LogLine(utcnow(), level, source, cut(text))


def cut(text: str) -> str:
    """Cut a line to a bearable length."""
    return clean(text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…")


class RunLogHandler(logging.Handler):
    """Takes the records that one run logs with its own logger, for runs that share a process with others."""

    def __init__(self, run_id: int, pipeline: str, took: Callable[[LogLine], None]) -> None:
        """Call `took` for each line of this run."""
        super().__init__(logging.DEBUG)
        self._run_id = run_id
        self._logger = logging.getLogger(f"run.{pipeline}")
        self._took = took

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record if it was logged inside our run."""
        run = CURRENT_RUN.get(None)
        if run is not None and run.run_id == self._run_id:
            self._took(line_of(record))

    def __enter__(self) -> Self:
        # The listener shows the lines; further up they would show a second time.
        self._logger.propagate = False
        if self._logger.level != logging.DEBUG:  # setting it empties the caches of all loggers
            self._logger.setLevel(logging.DEBUG)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self.close()
