"""Schedules and the instants at which they are due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pipelines.model.base import Params


class ScheduleState(StrEnum):
    """Active: it fires. Paused: it does not, until resumed. Retired: its pipeline or entry vanished from the file."""

    ACTIVE = "active"
    PAUSED = "paused"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule as the store knows it.

    `spec` is the schedule's definition as JSON, `words` its description for people, `source` where it came from
    (`file`, `chat`, `api`, …). `last_due_at` is the newest instant that was handled, whatever became
    of it; `next_due_at` is worked out when asked for, never stored. `actor` is who made one that is not the file's, for
    people, and `actor_id` who that is. A paused one says `pause_reason`, and `paused_until` when it resumes itself
    (None: when somebody resumes it). `removed_at` is when somebody took it away.
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
    actor_id: str | None = None
    actor: str | None = None
    paused_until: datetime | None = None
    pause_reason: str | None = None
    removed_at: datetime | None = None

    def tells_as_much_as(self, known: ScheduleRow | None) -> bool:
        """Say whether a row that is known already says the same; its newest instant moves by itself."""
        return known is not None and replace(known, last_due_at=self.last_due_at, next_due_at=None) == self

    @property
    def ended(self) -> bool:
        """True for an active one whose end has passed, as far as its next run is filled in."""
        return self.state is ScheduleState.ACTIVE and self.next_due_at is None and "end" in self.spec

    def resumed(self, at: datetime) -> ScheduleRow:
        """Return it active again from an instant (UTC) on."""
        due_at = max(at, self.last_due_at or at)
        return replace(
            self, state=ScheduleState.ACTIVE, paused_until=None, pause_reason=None, removed_at=None, last_due_at=due_at
        )


class Overlap(StrEnum):
    """What happens when a schedule is due while a run of its own waits or goes on.

    With `allow` its runs go on side by side, with all others one at a time. `queue`: one waits, further ones are
    skipped; `queue_all`: all wait; `skip`: none waits; `cancel_running`: the newest takes the place of the others.
    """

    QUEUE = "queue"
    SKIP = "skip"
    QUEUE_ALL = "queue_all"
    CANCEL_RUNNING = "cancel_running"
    ALLOW = "allow"


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
