"""Is the service well? Readings of itself, a verdict on them, and the task that looks every now and then.

The verdict is pure. What is read (by `vitals`) is what stops others from noticing a service that is alive but useless:
an event loop that is held, a store that refuses, due runs that nobody starts, messages that do not arrive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from time import perf_counter
from typing import Any

logger = logging.getLogger(__name__)

LAG_S = 0.25
"""From here on the event loop is held too long, in seconds: others wait for an answer."""
BEHIND = 5_000
"""So many writes waiting mean that the store does not keep up."""
STUCK = timedelta(minutes=5)
"""A due run that has waited so long while nothing runs is one that nobody starts."""
LONG = timedelta(minutes=15)
"""So long a due run may wait for its turn, and a message for its delivery."""
LEADERLESS = timedelta(minutes=1)
"""So long the schedulers of a store may be without a leader: the next takes over within a lease."""
TICK_S = 120.0
"""So long, in seconds, the timetable may stand still: it moves every half minute."""
PROBES = 5
ILL = ("waiting", "disabled")
"""A face whose state begins with one of these words does not serve anybody."""


class Status(StrEnum):
    """How the service is: well, well enough to go on, or of no use."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Health:
    """Readings of the service at `at` (UTC; None: times are not judged).

    `loop_lag_s` is the worst of a few short waits, in seconds beyond what was asked for; `waiting_writes` and
    `dropped_lines` are of the store's writer, the latter since the start. `running` counts runs that go on, `retrying`
    those between attempts, `queued` those that are due but not started, the oldest `queued_since`; `slots` is how many
    may run at one time. `tick_age_s` is how long ago the timetable looked at the clock (None: it is not in use).
    Where several processes share the store, `running` and `slots` are of all together. `workers` is how many of them
    execute runs (None: the service executes its own); `unserved` says how many runs wait in queues that none of them
    serves; `leaderless_since` is since when no scheduler leads (None: one does), `divided_since` since when two do.
    `unsent` messages wait for delivery, the oldest `unsent_since`; `dead` ones were refused for good. `refused` says
    why the store cannot be used, `outdated` why the newest pipelines file is not in force. `faces` says of
    each face, by name, where it stands, such as `ready`.
    """

    loop_lag_s: float
    waiting_writes: int
    dropped_lines: int
    running: int
    queued: int
    slots: int
    at: datetime | None = None
    retrying: int = 0
    queued_since: datetime | None = None
    tick_age_s: float | None = None
    unsent: int = 0
    unsent_since: datetime | None = None
    dead: int = 0
    workers: int | None = None
    unserved: Mapping[str, int] = field(default_factory=dict)
    leaderless_since: datetime | None = None
    divided_since: datetime | None = None
    refused: str | None = None
    outdated: str | None = None
    faces: Mapping[str, str] = field(default_factory=dict)

    @property
    def faults(self) -> tuple[str, ...]:
        """Why it is down, in words; nothing when it is not."""
        found = []
        if self.refused is not None:
            found.append(f"the store cannot be used: {self.refused}")
        if self.tick_age_s is not None and self.tick_age_s > TICK_S:
            found.append(f"nothing becomes due: the timetable has stood still for {self.tick_age_s:.0f} s")
        if self._stuck:
            found.append(f"{self._due()}, and nobody starts them")
        return tuple(found)

    @property
    def complaints(self) -> tuple[str, ...]:
        """What is wrong, in words, the gravest first; nothing when all is well."""
        found = [*self.faults, *self._of_machines()]
        if self.loop_lag_s > LAG_S:
            found.append(f"the event loop was held for {self.loop_lag_s:.2f} s; let stages run in processes")
        if self.waiting_writes > BEHIND:
            found.append(f"the store does not keep up: {self.waiting_writes} writes are waiting")
        if self.dropped_lines:
            found.append(f"{self.dropped_lines} batches of log lines were dropped, as the store did not keep up")
        if not self._stuck and self._older(self.queued_since, LONG):
            found.append(f"{self._due()} for their turn; {self._help()} may help")
        if self._older(self.unsent_since, LONG):
            found.append(f"{self.unsent} messages wait for delivery, the oldest since {_clock(self.unsent_since)}")
        if self.dead:
            found.append(f"{self.dead} messages were refused for good")
        if self.outdated is not None:
            found.append(f"the pipelines file was changed and is refused: {self.outdated.splitlines()[0]}")
        found += [f"{name}: {state}" for name, state in self.faces.items() if state.startswith(ILL)]
        return tuple(found)

    @property
    def status(self) -> Status:
        """The verdict on the readings."""
        if self.faults:
            return Status.DOWN
        return Status.DEGRADED if self.complaints else Status.OK

    @property
    def _stuck(self) -> bool:
        """Whether due runs wait although nothing goes on that they might wait for."""
        if self.workers is not None or self.unserved:
            return False  # this service would not start them either way: it is as well as before
        return not self.running and not self.retrying and self._older(self.queued_since, STUCK)

    def _of_machines(self) -> Iterator[str]:
        if self.workers == 0:
            yield "no worker takes part: nothing is executed until 'pipecall worker' runs somewhere"
        elif self.unserved:
            for queue, count in self.unserved.items():
                yield f"nobody serves queue {queue}, in which {count} wait: start 'pipecall worker' for it"
        if self._older(self.leaderless_since, LEADERLESS):
            yield f"no scheduler leads since {_clock(self.leaderless_since)}: chat and messages wait for one that does"
        if self._older(self.divided_since, LEADERLESS):
            since = _clock(self.divided_since)
            yield f"two schedulers lead since {since}: chat answers twice; give all the same SCHEDULER_LOCK"

    def _help(self) -> str:
        return "more max_parallel_jobs" if self.workers is None else "more workers, or more max_parallel_jobs,"

    def _older(self, since: datetime | None, than: timedelta) -> bool:
        return since is not None and self.at is not None and self.at - since > than

    def _due(self) -> str:
        return f"{self.queued} due runs wait, the oldest since {_clock(self.queued_since)}"

    def as_json(self) -> Mapping[str, Any]:
        """Return verdict and readings as JSON: instants as ISO texts in UTC, seconds in keys that end in `_s`."""
        readings = {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(self).items()
        }
        return {
            "status": self.status.value,
            "complaints": list(self.complaints),
            **readings,
            "faces": dict(self.faces),
            "unserved": dict(self.unserved),
        }

    def __str__(self) -> str:
        """One line for the log."""
        lag = f"loop lag {self.loop_lag_s * 1000:.0f} ms"
        counts = f"{self.running} of {self.slots} running, {self.queued} queued, {lag}"
        counts += f", {self.unsent} messages waiting" if self.unsent else ""
        return "; ".join((f"health: {self.status}, {counts}", *self.complaints))


def _clock(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else "?"


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
    levels = {Status.OK: logging.INFO, Status.DEGRADED: logging.WARNING, Status.DOWN: logging.ERROR}
    while True:
        await asyncio.sleep(interval.total_seconds())
        health = await read()
        logger.log(levels[health.status], "%s", health)
