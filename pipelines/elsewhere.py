"""What a service does about changes that other processes made in its store: the terminal, or a second service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from pipelines.cancels import Cancels
from pipelines.jobs import Jobs
from pipelines.model import Run, RunState
from pipelines.reads import Reads
from pipelines.reload import Reload
from pipelines.runner import LiveRun
from pipelines.signals import Handlers
from pipelines.store.signals import Signal, SignalKind


class Here(Protocol):
    """What is needed of the engine that takes the changes up."""

    jobs: Jobs
    reads: Reads
    reload: Reload

    @property
    def live(self) -> Mapping[int, LiveRun]:
        """The runs that are being executed here."""

    def queued(self, made: Sequence[Run]) -> None:
        """Take up runs that were just queued, or that no longer wait."""

    def people_spoke(self, *, send_again: bool = False) -> None:
        """Take note that people decided something."""


class Elsewhere:
    """The handlers of signals of one service."""

    def __init__(self, engine: Here, cancels: Cancels) -> None:
        """Act on `engine`."""
        self._engine, self._cancels = engine, cancels

    @property
    def handlers(self) -> Handlers:
        """Who handles which signals."""
        return {
            SignalKind.JOB: self._engine.jobs.take_up,
            SignalKind.RUN: self._runs,
            SignalKind.CANCEL: self._cancels.take_up,
            SignalKind.PEOPLE: self._people,
            SignalKind.RELOAD: self._engine.reload.take_up,
        }

    async def _runs(self, signals: Sequence[Signal]) -> None:
        """Follow runs that were queued, or were cancelled before they went on; what began here is known already."""
        found = [await self._engine.reads.run(int(signal.subject)) for signal in signals]
        news = (RunState.QUEUED, RunState.CANCELLED)
        self._engine.queued([run for run in found if run.state in news and run.id not in self._engine.live])

    async def _people(self, signals: Sequence[Signal]) -> None:
        self._engine.people_spoke(send_again=any(signal.detail for signal in signals))
