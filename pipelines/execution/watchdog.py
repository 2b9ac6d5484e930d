"""Ends a worker process whose lease is over: whoever renews it may be frozen or gone, and a stage may block.

The thread that hears of renewals is the one that watches. Where a stage's C code let no other thread have its turn for
longer than the lease, the renewals of that time are thus read before anything is concluded.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from pipelines import elapsed

LOOK_S = 1.0
"""At least so often, in seconds, the time is read: a wait may sleep with the machine."""


class Watchdog:
    """Calls `bite` once the time it was given is over, from the thread that waits for news by `wait`."""

    def __init__(self, bite: Callable[[], None], clock: Callable[[], float] = elapsed.now_s) -> None:
        """Watch nothing yet; `clock` counts seconds."""
        self._bite, self._clock = bite, clock
        self._until_s: float | None = None

    def set(self, until_s: float | None) -> None:
        """Bite at `until_s` (by the clock), or (None) not at all; it counts from the next look at the time."""
        self._until_s = until_s

    @property
    def over(self) -> bool:
        """True once the time is over, whether it has bitten or is about to."""
        return self._until_s is not None and self._until_s <= self._clock()

    def wait(self, news: socket.socket) -> None:
        """Return when there is something to read, its end too; bite when there is nothing, and the time is over."""
        poll = select.poll()
        poll.register(news, select.POLLIN)
        while True:
            # First the time, then the look: whatever came before the time was over is seen, however long this thread
            # has to wait for its turn in between.
            left_s = None if (until_s := self._until_s) is None else max(until_s - self._clock(), 0.0)
            if poll.poll(1000 * min(LOOK_S, LOOK_S if left_s is None else left_s)):
                return
            if left_s == 0.0 and self._until_s == until_s:
                self._bite()
                return
