"""What every place that runs chains has in common: who is told what, and how a run is stopped.

The places themselves are `inline`, `thread` and `process`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from pipelines.execution.lease import Lease
from pipelines.model import JSON, Job, LogLine, Message, Outcome, RunState, StageCount


class Listener(Protocol):
    """Who follows a run; told on the service's event loop while it goes on."""

    def log(self, lines: Sequence[LogLine]) -> None:
        """Take lines that the run logged or printed."""

    def stages(self, counts: Sequence[StageCount]) -> None:
        """Take what each stage did so far."""

    def progress(self, done: float | None, note: str) -> None:
        """Take how far the run says it is: 0–1, None when not known."""

    def message(self, message: Message) -> None:
        """Take a message that a stage emitted; those that count are in the outcome of a run that succeeds."""

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        """See `RunPort.lookup`."""

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        """See `RunPort.scan`."""


class Executor(Protocol):
    """A place where chains run."""

    async def start(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Kill what is still running and free all that is held."""

    def grow(self, at_once: int) -> None:
        """Allow so many runs at a time, where fewer were allowed."""

    def renew(self, stages: Iterable[str], *, plugins: bool) -> None:
        """Have runs that begin from now on see what is in force now; those that go on keep what they have.

        `plugins` says whether the code of plugins is another. `stages` are the class paths in use: they are looked up
        at once, while their modules are at hand, so that no run has to import anything later in the service itself.
        What is imported by then might hang.
        """

    async def execute(
        self,
        job: Job,
        listener: Listener,
        *,
        timeout_s: float | None,
        cancel: asyncio.Future[None],
        lease: Lease | None = None,
    ) -> Outcome:
        """Run a job and say how it ended; whatever a stage does ends up in the outcome.

        `timeout_s` counts from the start of the work (None: no limit). When it is over, or `cancel` is done, the chain
        is cancelled and has a while to close its stages; then it is killed. A process ends itself once the `lease` is
        over, should nobody be there to end it.

        Raises:
            asyncio.CancelledError: the calling task was cancelled; the chain was killed at once.
        """


class ListenerPort:
    """A run's port that asks and tells its listener, on the listener's own loop."""

    def __init__(self, listener: Listener) -> None:
        """Speak to `listener`."""
        self._listener = listener

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        """See `RunPort.lookup`."""
        return await self._listener.lookup(collection, keys)

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        """See `RunPort.scan`."""
        return await self._listener.scan(collection, after, limit)

    def emit(self, message: Message) -> None:
        """Tell of it; the chain keeps it for the outcome."""
        self._listener.message(message)

    def progress(self, done: float | None, note: str) -> None:
        """See `RunPort.progress`."""
        self._listener.progress(done, note)


class Stop:
    """Why a run was told to stop, and how its outcome says so."""

    def __init__(self, state: RunState, reason: str | None) -> None:
        """`state` is `timed_out` or `cancelled`; `reason` is None where the one who cancelled knows it."""
        self.state = state
        self.reason = reason

    def outcome(self, counts: Sequence[StageCount], *, note: str = "") -> Outcome:
        """Return the outcome of a run that stopped; `note` says what was unusual about it."""
        reason = "; ".join(part for part in (self.reason, note) if part)
        return Outcome(state=self.state, reason=reason or None, stages=tuple(counts))

    def settled(self, outcome: Outcome) -> Outcome:
        """Return what the chain came to after all, or that it stopped for this reason, be it by dying of it."""
        if outcome.state is RunState.CANCELLED:
            return replace(outcome, state=self.state, reason=self.reason)
        if outcome.state is RunState.CRASHED:
            return self.outcome(outcome.stages, note=str(outcome.error) if outcome.error else "")
        return outcome


async def watch(done: asyncio.Future[Outcome], timeout_s: float | None, cancel: asyncio.Future[None]) -> Stop | None:
    """Wait until a run is over (None), its time is up, or somebody cancels it."""
    await asyncio.wait((done, cancel), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    if done.done():
        return None
    if cancel.done():
        return Stop(RunState.CANCELLED, None)
    return Stop(RunState.TIMED_OUT, f"took longer than {timeout_s:g} s")


async def supervise(
    done: asyncio.Future[Outcome],
    *,
    timeout_s: float | None,
    cancel: asyncio.Future[None],
    close_s: float,
    ask_to_stop: Callable[[], None],
    give_up: Callable[[Stop], Outcome],
) -> Outcome:
    """Follow a run to its end. `ask_to_stop` cancels its chain; `give_up` ends it the hard way after `close_s`.

    `done` ends with the chain's outcome, whose state is `cancelled` when it stopped because it was asked to.
    """
    stop = await watch(done, timeout_s, cancel)
    if stop is None:
        return done.result()
    ask_to_stop()
    await asyncio.wait((done,), timeout=close_s)
    return stop.settled(done.result()) if done.done() else give_up(stop)
