"""Processes that take part in a store beside the one that a test runs, for tests of what is told of them."""

from __future__ import annotations

from typing import Any

from pipelines.model import Process, ProcessRole, ProcessState
from tests.store.samples import NOON


def process(name: str = "one", **more: Any) -> Process:
    """A worker that executes two runs at a time."""
    given: dict[str, Any] = {"role": ProcessRole.WORKER, "state": ProcessState.WORKING, "slots": 2}
    where = {"host": "h", "pid": 7, "machine": "m", "program": "1.0", "started_at": NOON, "beat_at": NOON}
    return Process(id=name, **(where | given | more))


def scheduler(name: str = "first", **more: Any) -> Process:
    """A scheduler that leads, and executes no runs."""
    return process(name, **({"role": ProcessRole.SCHEDULER, "leads": True, "slots": 0} | more))
