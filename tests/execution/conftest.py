"""Fixtures and values for the tests of executors."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipelines.execution import make_executors
from pipelines.model import ExecutorKind, Job, StageSpec

PLUGINS = Path(__file__).parent / "plugins"


@dataclass
class Heard:
    """A listener that keeps what it is told, over a collection held in memory."""

    lines: list = field(default_factory=list)
    counts: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    messages: list = field(default_factory=list)
    entries: dict = field(default_factory=dict)
    broken: bool = False

    def log(self, lines):
        self.lines += lines

    def stages(self, counts):
        self.counts.append(tuple(counts))

    def progress(self, done, note):
        self.notes.append((done, note))

    def message(self, message):
        self.messages.append(message)

    async def lookup(self, collection, keys):
        if self.broken:
            raise OSError("the database is away")
        return {key: self.entries[key] for key in keys if key in self.entries}

    async def scan(self, collection, after, limit):
        return [(key, self.entries[key]) for key in sorted(self.entries) if key > after][:limit]

    @property
    def texts(self):
        return [line.text for line in self.lines]


def job(*stages, run_id=1, **kwargs):
    """A job over stages of the plugin `wild`: names, or (name, keywords)."""
    specs = [
        StageSpec(f"wild.{stage}") if isinstance(stage, str) else StageSpec(f"wild.{stage[0]}", stage[1])
        for stage in stages
    ]
    fields = {
        "attempt": 1,
        "max_attempts": 1,
        "pipeline": "p",
        "params": {},
        "started_by": "manual",
        "due_at": None,
        "values": {},
    }
    return Job(run_id=run_id, stages=tuple(specs), **{**fields, **kwargs})


async def until(condition, timeout_s=20.0):
    """Poll until the condition holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(kind, **options):
    """A started executor of this kind."""
    executor = make_executors(PLUGINS, (), **{"processes": 1, "close_s": 0.5, **options})[ExecutorKind(kind)]
    await executor.start()
    try:
        yield executor
    finally:
        await executor.close()


async def execute(executor, job, heard=None, *, timeout_s=30.0, cancel=None, lease=None):
    """Execute a job with the arguments that most tests want."""
    heard = heard if heard is not None else Heard()
    return await executor.execute(job, heard, timeout_s=timeout_s, cancel=cancel or asyncio.Future(), lease=lease)


@pytest.fixture
def heard():
    """A listener."""
    return Heard()
