"""Cancels runs: those that are executed here by asking their chain to stop, those that wait by ending them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from pipelines.errors import InvalidTransition, StoreError, UnknownName
from pipelines.live_run import LiveRun
from pipelines.model import Run
from pipelines.store import ends, history, overlaps, signals
from pipelines.store.signals import Signal, SignalKind
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)


class Cancels:
    """Cancels runs, whatever they are about to do. `live` gives the runs that are executed here, by id.

    `cancelled` is called with runs that were waiting and are over now: their places are free.
    """

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        *,
        live: Callable[[], Mapping[int, LiveRun]],
        cancelled: Callable[[Sequence[Run]], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`clock` gives the time now, UTC."""
        self._writer, self._reader = writer, reader
        self._live, self._cancelled, self._clock = live, cancelled, clock

    async def cancel(self, run_id: int, reason: str) -> None:
        """Cancel a run; one that is executed is asked to stop, and is over some time after this returns.

        Raises:
            UnknownName: there is no such run.
            InvalidTransition: the run is over already.
        """
        while not self._asked(run_id, reason):
            request = ends.CancelWaiting(run_id=run_id, reason=reason, at=self._clock())
            if await self._cancel_waiting(request) or self._asked(run_id, reason) or await self._wished(request):
                return

    async def _cancel_waiting(self, request: ends.CancelWaiting) -> bool:
        """Cancel a run that waits; False for one that goes on."""
        ended = await self._writer.call(ends.cancel_waiting, request)
        run = await self._reader.read(history.run, request.run_id)
        if run is None:
            raise UnknownName("run", str(request.run_id), None)
        if ended:
            self._cancelled([run])
        elif run.state.final:
            raise InvalidTransition(f"run #{run.id} of {run.pipeline} is {run.state}; nothing to cancel")
        return ended

    async def _wished(self, request: ends.CancelWaiting) -> bool:
        """Tell whoever executes a run; False where nobody does any more, as it waits for its next attempt."""
        signal = Signal(SignalKind.CANCEL, str(request.run_id), request.reason, request.at)
        wished = self._writer.call(ends.wish_cancel, request)
        return (await asyncio.gather(wished, self._writer.call(signals.put, signal)))[0]

    async def take_up(self, wishes: Sequence[Signal]) -> None:
        """Cancel those of the runs that are executed here."""
        for wish in wishes:
            self._asked(int(wish.subject), wish.detail)

    async def make_good(self, wishes: Sequence[tuple[int, str]]) -> None:
        """Cancel runs that somebody wanted cancelled while no service was there to do it."""
        for run_id, reason in wishes:
            with contextlib.suppress(InvalidTransition, UnknownName):
                await self.cancel(run_id, reason)

    def _asked(self, run_id: int, reason: str) -> bool:
        """Ask a chain that goes on here to stop; one that has ended may be about to wait for its next attempt."""
        live = self._live().get(run_id)
        if live is None or live.over or live.lost is not None:
            return False
        live.request_cancel(reason)
        return True

    async def older(self, newer: Run) -> None:
        """Cancel all older runs of a run's schedule that wait or go on."""
        try:
            for run_id in await self._reader.read(overlaps.older, newer):
                await self._give_way(run_id)
        except StoreError as error:
            logger.error("what run %s takes the place of is not cancelled: %s", newer.id, error)

    async def _give_way(self, run_id: int) -> None:
        try:
            await self.cancel(run_id, overlaps.NEWER)
        except (InvalidTransition, UnknownName) as over:
            logger.debug("run %s need not give way: %s", run_id, over)
