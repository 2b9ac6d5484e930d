"""Takes up what other processes did to the store: the terminal beside a service, or a second service.

What is told by a signal, and when it is written, is `store.signals`' business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime

from pipelines.errors import StoreError
from pipelines.store import signals
from pipelines.store.signals import LATE, Signal, SignalKind
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""So often, in seconds, the store is asked for signals."""
AGAIN_S = 5.0
"""So soon, in seconds, it is asked again after it refused."""
PRUNE_EVERY = 7_200
"""So many looks pass between two clearings of old signals: an hour."""

Handlers = Mapping[SignalKind, Callable[[Sequence[Signal]], Awaitable[None]]]


class Signals:
    """The signals of one store, as one process sends and takes them up."""

    def __init__(self, writer: Writer, reader: Reader, *, clock: Callable[[], datetime]) -> None:
        """Begin after what is there already; see `begin`."""
        self._writer, self._reader, self._clock = writer, reader, clock
        self._last = 0
        self._done: set[int] = set()

    def tell(self, kind: SignalKind, subjects: Iterable[object] = ("",), detail: str = "") -> None:
        """Send signals some time soon; nobody waits for it."""
        for subject in subjects:
            self._writer.post(signals.put, Signal(kind, str(subject), detail, self._clock()))

    async def begin(self) -> None:
        """Leave out what was signalled before now: it was read with the store itself."""
        self._last = await self._reader.read(signals.newest)
        self._done = set(range(self._last - LATE, self._last + 1))

    async def wishes(self) -> list[tuple[int, str]]:
        """Return the runs, with the reason, that somebody wanted cancelled while no service ran."""
        return await self._reader.read(signals.wishes)

    async def follow(self, handlers: Handlers) -> None:
        """Hand new signals to `handlers` by their kind, for ever."""
        looks = 0
        while True:
            await asyncio.sleep(LOOK_S)
            looks += 1
            try:
                await self._look(handlers)
                if looks % PRUNE_EVERY == 0:
                    self._writer.post(signals.prune, self._clock())
            except StoreError as error:
                logger.error("changes from elsewhere cannot be taken up: %s; tried again in %g s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)

    async def _look(self, handlers: Handlers) -> None:
        found = [
            (number, signal)
            for number, signal in await self._reader.read(signals.after, self._last)
            if number not in self._done
        ]
        if not found:
            return
        for kind, handle in handlers.items():
            if mine := [signal for _, signal in found if signal.kind is kind]:
                await handle(mine)
        self._last = max(self._last, *(number for number, _ in found))
        self._done = {number for number in (*self._done, *(each for each, _ in found)) if number >= self._last - LATE}
