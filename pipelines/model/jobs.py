"""What goes into one attempt of a run and what comes out of it: JSON throughout, so it can cross a process border."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from pipelines.model.base import JSON, Params
from pipelines.model.runs import RunError, RunState, StageCount


class ExecutorKind(StrEnum):
    """Where a chain runs: its own process (default), a thread, or the service's event loop."""

    PROCESS = "process"
    THREAD = "thread"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class Message:
    """Something a stage wants delivered once its run has ended; stored in the transaction that ends the run.

    `target` names channel and address (`discord:1234`), `kind` the sort of body, `body` is JSON, and `key` makes it
    unique within its run: the same key of the same run is delivered once, whatever is retried.
    """

    target: str
    kind: str
    body: Mapping[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """What an attempt changed in one of its pipeline's collections."""

    put: Mapping[str, JSON] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class StateChange:
    """What an attempt changed in its pipeline's durable state; committed with the end of a run that succeeded.

    `values` replaces the pipeline's small named values (None: nothing changed), `collections` are the changes by
    collection name.
    """

    values: Mapping[str, JSON] | None = None
    collections: Mapping[str, CollectionChange] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One stage as the chain builds it: a dotted class or function path and its keyword arguments (JSON only)."""

    path: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """All that an executor needs for one attempt of one run. JSON throughout, so that it can cross a process border."""

    run_id: int
    attempt: int
    max_attempts: int
    pipeline: str
    stages: tuple[StageSpec, ...]
    params: Params
    started_by: str
    due_at: datetime | None
    values: Mapping[str, JSON]
    """The pipeline's small durable values as they stand before the attempt."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values that no message may show."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    `state` is one of succeeded, failed, timed_out, cancelled, crashed, skipped. `reason` is one line for people where
    there is no error. `retryable` is False for errors in code or configuration. `retry_after_s` is what the other side
    asked for.
    """

    state: RunState
    error: RunError | None = None
    reason: str | None = None
    stages: tuple[StageCount, ...] = ()
    change: StateChange = field(default_factory=StateChange)
    messages: tuple[Message, ...] = ()
    retryable: bool = True
    retry_after_s: float | None = None

    @property
    def items_in(self) -> int:
        """Items that the first stage gave out: what the run took in from outside."""
        return self.stages[0].items_out if self.stages else 0

    @property
    def items_out(self) -> int:
        """Items that came out at the chain's end."""
        return self.stages[-1].items_out if self.stages else 0
