"""The stages that the measurements run. `benchmarks.stages` is an allowed module there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pipelines.transform import current_run

STARTED: list[float] = []
"""Seconds after `DUE` at which each `begin` was called in this process."""
DUE = [0.0]
"""The instant that a burst is due at, as a Unix time."""


def nothing(item: Any) -> Any:
    """Do nothing."""
    return item


def begin(_: Any) -> None:
    """Note how late it is."""
    STARTED.append(time.time() - DUE[0])


def say_when(_: Any) -> None:
    """Leave the time of the call in the pipeline's state."""
    current_run().state["at"] = time.time()


def spin(_: Any) -> None:
    """Keep a processor busy for two minutes."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        pass


def note_lag(_: Any) -> None:
    """Note how much later than due it was called."""
    due_at = current_run().due_at
    STARTED.append(time.time() - (due_at.timestamp() if due_at else 0.0))


def mark(item: Any, file: str) -> Any:
    """Note in `file` when it was called, as a Unix time, and in which folder."""
    with Path(file).open("a", encoding="utf-8") as marks:
        marks.write(f"{time.time()} {Path.cwd().name}\n")
    return item


def mark_and_hold(item: Any, file: str) -> Any:
    """Note what `mark` does, and go on for five minutes."""
    mark(item, file)
    time.sleep(300)
    return item
