"""A card that follows a run, in memory: what it shows, and what wakes whoever keeps it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pipelines import Card, Run


@dataclass(slots=True, eq=False)
class Followed:
    """A card that lives: what it shows (a digest), the newest state of its run, and what wakes its task.

    `began` and `edited` are seconds of the keeper's clock.
    """

    card: Card
    run: Run
    began: float
    edited: float
    shows: str = ""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        """What the task that keeps it is called."""
        return f"card of run {self.card.run_id}"

    def happened(self, run: Run) -> None:
        """Take note of the run's new state."""
        self.run = run
        self.changed.set()
        if run.state.final:
            self.over.set()
