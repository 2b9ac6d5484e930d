"""What people are asked about runs that were missed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class MakeUp(StrEnum):
    """What is to become of missed instants: the latest runs, all run, none does; `expired`: nobody said."""

    LATEST = "latest"
    ALL = "all"
    SKIP = "skip"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Question:
    """What becomes of a job's missed `instants` (UTC, ascending): asked in `target`, to be answered by `expires_at`.

    `choice` is None while nobody has decided; `decided_by` is who did, for people, None where the time did.
    """

    id: int
    schedule_id: str
    pipeline: str
    target: str
    instants: tuple[datetime, ...]
    asked_at: datetime
    expires_at: datetime
    choice: MakeUp | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None

    @property
    def decision(self) -> str:
        """What was decided by whom, for people who come too late."""
        said = {
            MakeUp.LATEST: f"{self.decided_by} had the latest one run",
            MakeUp.ALL: f"{self.decided_by} had all of them run",
            MakeUp.SKIP: f"{self.decided_by} skipped them",
        }.get(self.choice or MakeUp.EXPIRED, "nobody answered within 24 hours, so they were skipped")
        return f"the missed runs of '{self.schedule_id}' are decided: {said}"
