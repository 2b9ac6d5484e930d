"""A run that is executed here: what its chain reports while it goes on, and the means to stop it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.execution import Lease
from pipelines.model import JSON, LogLine, Message, Run, StageCount
from pipelines.redaction import Redactor
from pipelines.store import logs, state
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LiveRun:
    """A run that is being executed here: how far it is, and the means to cancel it.

    `values` are its pipeline's small durable values, as they stood when it was claimed. `lease` says until when it is
    ours. `over` means that its chain has ended, `lost` why it is no longer ours, `going_back` that it shall be given
    back, should it be cancelled, for others to execute.
    """

    run: Run
    values: Mapping[str, JSON] = field(default_factory=dict)
    cancel: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    cancel_reason: str = "cancelled"
    stages: tuple[StageCount, ...] = ()
    done: float | None = None
    note: str = ""
    lease: Lease = field(default_factory=Lease)
    over: bool = False
    lost: str | None = None
    going_back: bool = False

    def request_cancel(self, reason: str) -> None:
        """Ask the chain to stop; the first reason given is the one recorded. What is unwanted is not given back."""
        if not self.cancel.done():
            self.cancel_reason = reason
            self.cancel.set_result(None)
        elif self.going_back:
            self.cancel_reason, self.going_back = reason, False

    def request_stop(self, reason: str, *, hand_back: bool) -> None:
        """Ask the chain to stop because this process does; others are given the run, unless it is being cancelled."""
        if not self.cancel.done():
            self.request_cancel(reason)
            self.going_back = hand_back


class RunLog:
    """Takes what a running chain reports (`execution.Listener`): lines go to the store and the program's log."""

    def __init__(self, live: LiveRun, *, writer: Writer, reader: Reader, redactor: Redactor) -> None:
        """Report on `live` from now on; `redactor` cleans every line."""
        self._live = live
        self._writer = writer
        self._reader = reader
        self._redactor = redactor
        self._extra = {"run": live.run.id, "pipeline": live.run.pipeline}

    def say(self, level: int, text: str, *args: object) -> None:
        """Show a line of the engine's own about this run; not kept with it, as its rows hold the same facts."""
        logger.log(level, text, *args, extra=self._extra)

    def log(self, lines: Sequence[LogLine]) -> None:
        """Keep the lines with the run, and show them."""
        clean = tuple(map(self._redactor.line, lines))
        self._writer.post(logs.append, (self._live.run.id, clean))
        for line in clean:
            logger.log(line.level, "%s", line.text, extra=self._extra)

    def stages(self, counts: Sequence[StageCount]) -> None:
        """Remember the counts so far."""
        self._live.stages = tuple(counts)

    def progress(self, done: float | None, note: str) -> None:
        """Remember how far the run says it is."""
        self._live.done, self._live.note = done, note

    def message(self, message: Message) -> None:
        """Leave it: messages are part of the outcome, and stored with the end of a run that succeeds."""

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        """Read entries of the pipeline's collection."""
        return await self._reader.read(state.lookup, self._live.run.pipeline, collection, keys)

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        """Read a page of the pipeline's collection."""
        return await self._reader.read(state.scan, self._live.run.pipeline, collection, after, limit)
