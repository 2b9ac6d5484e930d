"""Runs, their attempts, and what is recorded of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pipelines.model.base import Params
from pipelines.model.processes import ProcessName

DEFAULT_QUEUE = "default"
"""The queue of runs whose pipeline names none."""


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
class NewRun:
    """A run that somebody asks for. `due_at` is the scheduled instant, None for a manual run.

    `pool` is the pool that it takes a place in. Runs of the same `lane`, a schedule's id, go one at a time. Workers
    that serve its `queue` may execute it; the higher its `priority`, the sooner. One that is `at_most_once` is not
    tried again after its process died.
    """

    pipeline: str
    started_by: StartedBy
    params: Params = field(default_factory=dict)
    actor: str | None = None
    schedule_id: str | None = None
    due_at: datetime | None = None
    max_attempts: int = 1
    max_instances: int = 1
    pool: str | None = None
    lane: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    at_most_once: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """One run as the store knows it.

    `owner` executes it now, and must renew its lease before `lease_until` (None: nobody does). `version` is that of the
    pipeline's definition and code which it needs (None: any). `cancel_wish` is why somebody wants it cancelled.
    """

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
    pool: str | None = None
    lane: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    version: str | None = None
    cancel_wish: str | None = None

    @property
    def duration(self) -> timedelta | None:
        """From the start of the first attempt to the end of the last; None while it is not over."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else None

    @property
    def holder(self) -> ProcessName | None:
        """The process that executes it now; None where nobody does."""
        return ProcessName.of(self.owner) if self.owner is not None and self.state is RunState.RUNNING else None


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
