"""The stages that the measurements run. `benchmarks.stages` is an allowed module there."""

from __future__ import annotations

import time
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
