"""Time and ids as the fake sees them: a clock that a test may advance, and snowflakes made from it."""

from __future__ import annotations

import datetime as dt
import time

DISCORD_EPOCH_MS = 1_420_070_400_000
"""Milliseconds of 2015-01-01 UTC: snowflakes count from here."""


class Clock:
    """The fake's time: the machine's own plus what a test added.

    Args:
        running: False holds the time still at its start; only `advance` moves it.
    """

    def __init__(self, *, running: bool = True) -> None:
        self._held = None if running else time.time()
        self._added_s = 0.0

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return (time.time() if self._held is None else self._held) + self._added_s

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass at once."""
        self._added_s += seconds

    def iso(self) -> str:
        """Now, as Discord writes it."""
        return dt.datetime.fromtimestamp(self.now(), dt.UTC).isoformat()


class Snowflakes:
    """Ids that rise strictly and carry the clock's time, as Discord's do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """A new id, larger than every one before."""
        stamp = (int(self._clock.now() * 1000) - DISCORD_EPOCH_MS) << 22
        self._last = max(stamp, self._last + 1)
        return self._last
