"""Is the service well? Readings of itself, a verdict on them, and the task that looks every now and then.

The verdict is pure. What is read here is what stops others from noticing a service that is alive but useless: an event
loop that is held, a writer that falls behind, due runs that nobody starts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter

logger = logging.getLogger(__name__)

LAG_S = 0.25
"""From here on the event loop is held too long, in seconds: others wait for an answer."""
BEHIND = 5_000
"""So many writes waiting mean that the store does not keep up."""
PROBES = 5


@dataclass(frozen=True, slots=True)
class Health:
    """Readings of the service.

    `loop_lag_s` is the worst of a few short waits, in seconds beyond what was asked for; `waiting_writes` and
    `dropped_lines` are of the store's writer, the latter since the start; `running` and `queued` count runs, `slots`
    those that may run at one time.
    """

    loop_lag_s: float
    waiting_writes: int
    dropped_lines: int
    running: int
    queued: int
    slots: int

    @property
    def complaints(self) -> tuple[str, ...]:
        """What is wrong, in words; nothing when all is well."""
        found = []
        if self.loop_lag_s > LAG_S:
            found.append(f"the event loop was held for {self.loop_lag_s:.2f} s; let stages run in processes")
        if self.waiting_writes > BEHIND:
            found.append(f"the store does not keep up: {self.waiting_writes} writes are waiting")
        if self.dropped_lines:
            found.append(f"{self.dropped_lines} batches of log lines were dropped, as the store did not keep up")
        return tuple(found)

    @property
    def status(self) -> str:
        """`ok` or `degraded`."""
        return "degraded" if self.complaints else "ok"

    def __str__(self) -> str:
        """One line for the log."""
        lag = f"loop lag {self.loop_lag_s * 1000:.0f} ms"
        counts = f"{self.running} of {self.slots} running, {self.queued} queued, {lag}"
        return "; ".join((f"health: {self.status}, {counts}", *self.complaints))


async def loop_lag_s(wait_s: float = 0.005) -> float:
    """Return the worst of a few waits of `wait_s` seconds, in seconds beyond that."""
    worst = 0.0
    for _ in range(PROBES):
        began = perf_counter()
        await asyncio.sleep(wait_s)
        worst = max(worst, perf_counter() - began - wait_s)
    return worst


async def watch(read: Callable[[], Awaitable[Health]], interval: timedelta) -> None:
    """Log the service's health every `interval`, for ever: a warning when it is degraded, else for the record."""
    while True:
        await asyncio.sleep(interval.total_seconds())
        health = await read()
        logger.log(logging.WARNING if health.complaints else logging.INFO, "%s", health)
