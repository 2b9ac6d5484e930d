"""Frozen values that cross the borders between modules: runs, attempts, counts, messages, occurrences.

All datetimes are aware and UTC. Plain floats that are durations end in `_s` (seconds). Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""What YAML, the store and the worker processes have in common."""

Params: TypeAlias = Mapping[str, Any]


def utcnow() -> datetime:
    """Return the wall clock's time now, aware, in UTC."""
    return datetime.now(UTC)


class RunState(StrEnum):
    """Where a run stands. The last seven are final and never change."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING_RETRY = "waiting_retry"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    SKIPPED = "skipped"
    MISSED = "missed"

    @property
    def final(self) -> bool:
        """True when the run is over."""
        return self not in LIVE_STATES

    @property
    def good(self) -> bool:
        """True when the run is over and nothing went wrong."""
        return self in (RunState.SUCCEEDED, RunState.SKIPPED)


LIVE_STATES = frozenset({RunState.QUEUED, RunState.RUNNING, RunState.WAITING_RETRY})
RETRYABLE_STATES = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED})
"""Outcomes of an attempt after which another attempt may follow."""


class StartedBy(StrEnum):
    """What kind of thing asked for a run."""

    SCHEDULE = "schedule"
    STARTUP = "startup"
    MANUAL = "manual"


class ExecutorKind(StrEnum):
    """Where a chain runs: its own process (default), a thread, or the service's event loop."""

    PROCESS = "process"
    THREAD = "thread"
    INLINE = "inline"


@dataclass(frozen=True, slots=True)
class RunError:
    """Why an attempt did not succeed.

    `type` is the exception's class name, `stage` the failing stage's name (None: not in a stage), `traceback` a short
    one that starts at the user's own line, `bases` the names of the classes that the exception's class derives from
    (used to decide on a retry, not recorded).
    """

    type: str
    message: str
    stage: str | None = None
    traceback: str | None = None
    bases: tuple[str, ...] = ()

    @property
    def class_names(self) -> frozenset[str]:
        """The exception's class name and those of its bases."""
        return frozenset((self.type, *self.bases))

    def __str__(self) -> str:
        """`Save: OSError: disk full`, on one line."""
        first_line = self.message.strip().splitlines()[0] if self.message.strip() else ""
        return ": ".join(part for part in (self.stage, self.type, first_line) if part)


@dataclass(frozen=True, slots=True)
class StageCount:
    """What one stage did in one attempt: items taken in, items given out, seconds it was busy itself."""

    position: int
    name: str
    items_in: int
    items_out: int
    busy_s: float


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's log. `level` is a `logging` level number, `source` the logger or stage it came from."""

    at: datetime
    level: int
    source: str
    text: str


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


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that somebody asks for. `due_at` is the scheduled instant, None for a manual run."""

    pipeline: str
    started_by: StartedBy
    params: Params = field(default_factory=dict)
    actor: str | None = None
    schedule_id: str | None = None
    due_at: datetime | None = None
    max_attempts: int = 1
    max_instances: int = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the store knows it."""

    id: int
    pipeline: str
    state: RunState
    started_by: StartedBy
    queued_at: datetime
    schedule_id: str | None = None
    actor: str | None = None
    params: Params = field(default_factory=dict)
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    not_before: datetime | None = None
    attempt: int = 0
    max_attempts: int = 1
    reason: str | None = None
    error: RunError | None = None
    items_in: int = 0
    items_out: int = 0
    definition_hash: str | None = None

    @property
    def duration(self) -> timedelta | None:
        """From the start of the first attempt to the end of the last; None while it is not over."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a run, with its own outcome; `state` is `running` while it is not over."""

    run_id: int
    number: int
    state: RunState
    started_at: datetime
    ended_at: datetime | None = None
    error: RunError | None = None
    reason: str | None = None


class ScheduleState(StrEnum):
    """Active: it fires. Paused: it does not, until resumed. Retired: its pipeline or entry vanished from the file."""

    ACTIVE = "active"
    PAUSED = "paused"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule as the store knows it.

    `spec` is the schedule's definition as JSON, `words` its description for people, `source` where it came from
    (`file`, `chat`, `api`, …). `last_due_at` is the newest instant that was handled, whatever became of it.
    """

    id: str
    pipeline: str
    spec: Mapping[str, Any]
    timezone: str
    words: str
    source: str = "file"
    state: ScheduleState = ScheduleState.ACTIVE
    params: Params = field(default_factory=dict)
    created_at: datetime | None = None
    last_due_at: datetime | None = None
    next_due_at: datetime | None = None


class OccurrenceOutcome(StrEnum):
    """What became of an instant at which a schedule was due."""

    RUN = "run"
    SKIPPED = "skipped"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One instant at which a schedule was due, and what became of it. `(schedule_id, due_at)` is unique."""

    schedule_id: str
    due_at: datetime
    outcome: OccurrenceOutcome
    run_id: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineStats:
    """Counts over a pipeline's recorded runs; `executed` are those that ran to an end, good or bad."""

    pipeline: str
    executed: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    missed: int = 0
    last_error: str | None = None
    last_ended_at: datetime | None = None

    @property
    def success_rate(self) -> float | None:
        """Share of executed runs that succeeded, 0–1; None when none was executed."""
        return self.succeeded / self.executed if self.executed else None
