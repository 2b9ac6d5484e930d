"""Takes up what other processes did to the store: the terminal beside a service, other schedulers, workers.

What is told by a signal, and when it is written, is `store.signals`' business. On PostgreSQL a listener wakes who
follows (`store.listening`); the store is asked all the same, only less often, so a lost connection loses no signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime

from pipelines.errors import StoreError
from pipelines.store import signals
from pipelines.store.listening import Listener
from pipelines.store.signals import Seen, Signal, SignalKind
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""So often, in seconds, the store is asked for signals."""
LISTENING_S = 1.0
"""So often while a listener would tell at once."""
GAP_S = 0.02
"""So long is waited between two looks at least: where much happens, one look takes up many signals."""
AGAIN_S = 5.0
"""So soon, in seconds, it is asked again after it refused."""
PRUNE_S = 120.0
"""So often, in seconds, old signals are cleared; each process does it, and a clearing that finds none costs little."""

Handlers = Mapping[SignalKind, Callable[[Sequence[Signal]], Awaitable[None]]]


class Signals:
    """The signals of one store, as one process sends and takes them up. `process` is its id (empty: it has none)."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        *,
        clock: Callable[[], datetime],
        process: str = "",
        listener: Listener | None = None,
    ) -> None:
        """Begin after what is there already; see `begin`. `listener` wakes `follow` (None: nothing does)."""
        self._writer, self._reader, self._clock = writer, reader, clock
        self._process, self._listener = process, listener
        self._woken = asyncio.Event()
        self._seen = Seen()

    def tell(self, kind: SignalKind, subjects: Iterable[object] = ("",), detail: str = "") -> None:
        """Send signals some time soon; nobody waits for it."""
        for subject in subjects:
            self._writer.post(signals.put, Signal(kind, str(subject), detail, self._clock()))

    async def begin(self) -> None:
        """Leave out what was signalled before now: it was read with the store itself."""
        self._seen = await self._reader.read(signals.seen_now)

    async def wishes(self) -> list[tuple[int, str]]:
        """Return the runs, with the reason, that somebody wanted cancelled while no service ran."""
        return await self._reader.read(signals.wishes)

    async def follow(self, handlers: Handlers) -> None:
        """Hand new signals to `handlers` by their kind, for ever. What this process told of runs itself is left out."""
        async with asyncio.TaskGroup() as tasks:
            if self._listener is not None:
                tasks.create_task(self._listener.run(self._woken.set), name="listener")
            await self._follow(handlers)

    async def _follow(self, handlers: Handlers) -> None:
        time = asyncio.get_running_loop().time
        pruned_at = time()
        while True:
            await self._rest()
            try:
                await self._look(handlers)
            except StoreError as error:
                logger.error("changes from elsewhere cannot be taken up: %s; tried again in %g s", error, AGAIN_S)
                await asyncio.sleep(AGAIN_S)
            if time() - pruned_at >= PRUNE_S:
                self._writer.post(signals.prune, self._clock())
                pruned_at = time()

    async def _rest(self) -> None:
        """Wait until something may have happened."""
        await asyncio.sleep(GAP_S)
        listening = self._listener is not None and self._listener.hears
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LISTENING_S if listening else LOOK_S):
                await self._woken.wait()
        self._woken.clear()

    async def _look(self, handlers: Handlers) -> None:
        found, seen = await self._reader.read(signals.after, self._seen)
        news = [each for each in found if not self._is_echo(each)]
        for kind, handle in handlers.items():
            if mine := [signal for signal in news if signal.kind is kind]:
                await handle(mine)
        self._seen = seen

    def _is_echo(self, signal: Signal) -> bool:
        return signal.kind is SignalKind.RUN and signal.detail != "" and signal.detail == self._process
