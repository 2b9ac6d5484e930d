"""The driver for tests of stages: one call runs a stage over items, inside a run whose state lives in memory.

Shipped for the tests of users' own stages as well as for ours; the engine never imports it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from inspect import isawaitable
from typing import Any

from pipelines.chain.kinds import name_of
from pipelines.model import JSON, Job, Message
from pipelines.transform import CURRENT_RUN, RunContext, Transform


@dataclass
class MemoryState:
    """A pipeline's durable state, held in memory; pass the same one to several calls to play several runs in a row."""

    values: dict[str, JSON] = field(default_factory=dict)
    collections: dict[str, dict[str, JSON]] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    notes: list[tuple[float | None, str]] = field(default_factory=list)

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        """See `RunPort.lookup`."""
        entries = self.collections.get(collection, {})
        return {key: entries[key] for key in keys if key in entries}

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        """See `RunPort.scan`."""
        entries = self.collections.get(collection, {})
        return [(key, entries[key]) for key in sorted(entries) if key > after][:limit]

    def emit(self, message: Message) -> None:
        """See `RunPort.emit`."""
        self.messages.append(message)

    def progress(self, done: float | None, note: str) -> None:
        """See `RunPort.progress`."""
        self.notes.append((done, note))

    def commit(self, run: RunContext) -> None:
        """Take over what a run that succeeded has changed."""
        change = run.change()
        if change.values is not None:
            self.values = dict(change.values)
        for name, changed in change.collections.items():
            entries = self.collections.setdefault(name, {})
            entries.update(changed.put)
            for key in changed.removed:
                entries.pop(key, None)


async def run_transform(
    stage: Transform,
    items: Iterable[Any] = (None,),
    *,
    params: Mapping[str, Any] | None = None,
    state: MemoryState | None = None,
    due_at: datetime | None = None,
) -> list[Any]:
    """Run one stage over `items` and return what it yields.

    The stage is entered and closed if it is an async context manager. `state` is committed when nothing was raised, as
    the service does at the end of a run that succeeded; what the stage raises comes through unchanged.
    """
    memory = state if state is not None else MemoryState()
    job = Job(
        run_id=1,
        attempt=1,
        max_attempts=1,
        pipeline="test",
        stages=(),
        params=dict(params or {}),
        started_by="manual",
        due_at=due_at,
        values=memory.values,
    )
    run = RunContext(job, memory, lambda: name_of(stage))
    token = CURRENT_RUN.set(run)
    try:
        results = await _entered(stage, items)
    finally:
        CURRENT_RUN.reset(token)
    memory.commit(run)
    return results


async def _entered(stage: Any, items: Iterable[Any]) -> list[Any]:
    if hasattr(stage, "__aenter__"):
        async with stage:
            return await _collect(stage, items)
    return await _collect(stage, items)


async def _collect(stage: Any, items: Iterable[Any]) -> list[Any]:
    stream = stage(_feed(items))
    if isawaitable(stream):
        stream = await stream
    return [item async for item in stream]


async def _feed(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
