"""What every trigger can do: tell the instants at which a schedule is due.

Triggers are values: they hold no state of a run and do no I/O. They satisfy APScheduler's interface, whose own
triggers are not used because they disagree with cron about weekdays and start their intervals anew at each restart.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger

from pipelines.triggers.local_time import as_utc

_EPSILON = timedelta(microseconds=1)


class Trigger(BaseTrigger):  # type: ignore[misc]  # APScheduler ships no types, so its class is Any
    """When a schedule is due. Immutable; equal and hashed by `key`."""

    __slots__ = ("_key", "_warnings", "_zone")

    def __init__(self, key: str, zone: ZoneInfo, warnings: tuple[str, ...] = ()) -> None:
        """`key` is the canonical text of all that decides the instants; `zone` is the one the schedule thinks in."""
        self._key = key
        self._zone = zone
        self._warnings = warnings

    @property
    def key(self) -> str:
        """Canonical text of all that decides the instants: triggers with the same key fire at the same instants."""
        return self._key

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that the schedule thinks in."""
        return self._zone

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about this schedule, one sentence each; empty when all is clear."""
        return self._warnings

    @property
    @abstractmethod
    def words(self) -> str:
        """The schedule in words, on a 24-hour clock: `Monday to Friday at 09:00`."""

    @abstractmethod
    def next_after(self, after: datetime) -> datetime | None:
        """Return the first instant strictly after `after` (aware) at which the schedule is due, in UTC.

        None means never again.
        """

    def instants(self, after: datetime, until: datetime, limit: int) -> tuple[list[datetime], int]:
        """Return the newest `limit` instants in (after, until], oldest first, and how many older ones there are."""
        found = list(self.walk(as_utc(after), as_utc(until)))
        older = max(0, len(found) - max(0, limit))
        return found[older:], older

    def walk(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """Yield the instants in (after, until], oldest first."""
        instant = self.next_after(after)
        while instant is not None and instant <= until:
            yield instant
            instant = self.next_after(instant)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return APScheduler's next fire time: not before `now`, and strictly after the previous one."""
        start = as_utc(now) - _EPSILON
        return self.next_after(start if previous_fire_time is None else max(start, as_utc(previous_fire_time)))

    def __eq__(self, other: object) -> bool:
        return self._key == other.key if isinstance(other, Trigger) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key}>"

    def __str__(self) -> str:
        return self.words
