"""Events as they happen, for those who listen (Server-Sent Events): runs, jobs, and pipelines files that are taken up.

Each listener has a bounded queue. One that does not read is dropped; so is one who may listen no more. Nothing is kept
for those who come back: who connects again asks anew for what there is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEEP_ALIVE_S = 10.0
"""After so many quiet seconds a comment is sent, so that proxies keep the connection."""
CHECK_S = 10.0
"""So often, in seconds, it is looked whether somebody may still listen."""
WAITING = 500
"""So many events may wait for one listener."""
LISTENERS = 100
"""So many may listen at one time."""
STILL_HERE = b": still here\n\n"
RETRY = b"retry: 3000\n\n"
"""How soon a browser connects again, in milliseconds."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `pipeline` is whose it is (None: everybody's); `data` is JSON."""

    kind: str
    data: Mapping[str, Any]
    pipeline: str | None = None

    def encoded(self) -> bytes:
        """Return it as it goes over the line."""
        return f"event: {self.kind}\ndata: {json.dumps(self.data, ensure_ascii=True)}\n\n".encode()


@dataclass(eq=False, slots=True)
class Listener:
    """Somebody who listens to what `wants` lets through. None in the queue ends it."""

    wants: Callable[[Event], bool]
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(WAITING + 1))
    over: bool = False

    def end(self) -> None:
        """Let it end, once what waits is sent."""
        if not self.over:
            self.over = True
            if self.queue.full():
                self.queue.get_nowait()
            self.queue.put_nowait(None)


class Events:
    """All who listen."""

    def __init__(self, *, keep_alive_s: float = KEEP_ALIVE_S, check_s: float = CHECK_S) -> None:
        """Begin with nobody; after `keep_alive_s` quiet seconds a listener gets a comment."""
        self._keep_alive_s, self._check_s = keep_alive_s, check_s
        self._listeners: set[Listener] = set()
        self._closed = False

    @property
    def listening(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def full(self) -> bool:
        """True when nobody more may listen."""
        return self._closed or len(self._listeners) >= LISTENERS

    def open(self) -> None:
        """Let people listen again after `close`."""
        self._closed = False

    def tell(self, event: Event) -> None:
        """Tell all who want to know; quick, and never waits for anybody."""
        if not self._listeners:
            return
        encoded: bytes | None = None
        for listener in list(self._listeners):
            if listener.over or not listener.wants(event):
                continue
            if listener.queue.qsize() >= WAITING:
                self._drop(listener)
                continue
            encoded = encoded or event.encoded()
            listener.queue.put_nowait(encoded)

    def _drop(self, listener: Listener) -> None:
        listener.end()
        self._listeners.discard(listener)

    async def listen(
        self, wants: Callable[[Event], bool], allowed: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """Yield what happens from now on, as it goes over the line.

        It ends with `close`, when the listener is too slow, and soon after it is no more `allowed`.
        """
        listener, time = Listener(wants), asyncio.get_running_loop().time
        self._listeners.add(listener)
        checked = time()
        try:
            yield RETRY
            while not (self._closed and listener.queue.empty()):
                event = await self._next(listener)
                if time() - checked >= self._check_s:
                    checked = time()
                    if not await allowed():
                        return
                if event is None:
                    return
                yield event
        finally:
            self._listeners.discard(listener)

    async def _next(self, listener: Listener) -> bytes | None:
        """Return what the listener is sent next, None at its end."""
        try:
            async with asyncio.timeout(min(self._keep_alive_s, self._check_s)):
                return await listener.queue.get()
        except TimeoutError:
            return STILL_HERE

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for listener in list(self._listeners):
            self._drop(listener)
