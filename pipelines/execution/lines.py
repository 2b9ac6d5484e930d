"""Log records of a run, gathered until they are handed on: in order, bounded, the oldest dropped with a note."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

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


class RunLogs(logging.Handler):
    """Takes what runs log with their own loggers, for runs that share a process, and gives each line to its run."""

    def __init__(self) -> None:
        """Take nothing before `open`."""
        super().__init__(logging.DEBUG)
        self._takers: dict[int, Callable[[LogLine], None]] = {}

    def open(self) -> None:
        """Begin. Lines go no further up: whoever follows a run shows them, and they would show a second time."""
        RUN_LOGGER.propagate = False
        RUN_LOGGER.setLevel(logging.DEBUG)
        RUN_LOGGER.addHandler(self)

    def close(self) -> None:
        """End."""
        RUN_LOGGER.removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Give a record to the run inside of which it was logged."""
        run = CURRENT_RUN.get(None)
        took = self._takers.get(run.run_id) if run is not None else None
        if took is not None:
            took(line_of(record))

    @contextmanager
    def taking(self, run_id: int, took: Callable[[LogLine], None]) -> Iterator[None]:
        """Call `took` for each line of this run meanwhile."""
        self._takers[run_id] = took
        try:
            yield
        finally:
            del self._takers[run_id]


RUN_LOGGER = logging.getLogger("run")
"""The loggers of runs are its children: `run.prices`."""
