"""Pipelines in trouble, and alerts that are held back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class IncidentKind(StrEnum):
    """What the trouble is, the gravest first.

    Runs that fail; no success for longer than expected; a success with fewer items than expected; instants that were
    missed; a run that goes on for longer than expected; a due run that does not start.
    """

    FAILURE = "failure"
    MISSING = "missing"
    EMPTY = "empty"
    MISSED = "missed"
    SLOW = "slow"
    LATE = "late"

    def graver(self, than: IncidentKind) -> bool:
        """Say whether it takes the place of another kind."""
        every = list(IncidentKind)
        return every.index(self) < every.index(than)


@dataclass(frozen=True, slots=True)
class Incident:
    """A pipeline's trouble, from the first event to the success that ends it.

    `count` is how many events of its kind there were, `summary` a line about the newest. `version` counts changes and
    `told` is the one that people know of (0: none). `message_key` is the key of the message that tells of it, which
    went to `target`; both are None while there is none. A closed one has `closed_at`.
    """

    pipeline: str
    kind: IncidentKind
    opened_at: datetime
    last_at: datetime
    first_run_id: int | None
    last_run_id: int | None
    count: int = 1
    summary: str = ""
    id: int = 0
    closed_at: datetime | None = None
    closing_run_id: int | None = None
    version: int = 1
    told: int = 0
    target: str | None = None
    message_key: str | None = None
    acknowledged_by: str | None = None
    last_success: datetime | None = None

    @property
    def open(self) -> bool:
        """True while the trouble goes on."""
        return self.closed_at is None


@dataclass(frozen=True, slots=True)
class Mute:
    """A pipeline's alerts held back since `at`, by `actor`: `until` an instant, or (None) until its next success.

    `suppressed` counts the events meanwhile; `last_success` is when the pipeline last succeeded.
    """

    pipeline: str
    until: datetime | None
    at: datetime
    actor: str
    suppressed: int = 0
    last_success: datetime | None = None

    def held_back(self, at: datetime) -> bool:
        """Say whether it covers an instant."""
        return self.at <= at and (self.until is None or at < self.until)

    def over(self, now: datetime) -> bool:
        """Say whether it has come to its end."""
        if self.until is not None:
            return self.until <= now
        return self.last_success is not None and self.last_success > self.at
