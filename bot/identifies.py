"""Counts how often the bot identified itself to Discord, over restarts.

Discord allows 1,000 IDENTIFYs a day and resets the token of who goes beyond (docs, Gateway, "Identifying"). A loop of
crashes must not get there, so the bot stops well before.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines import Notes

NOTE = "discord identifies"
AT_MOST = 800
DAY = timedelta(hours=24)


class TooManyIdentifies(Exception):
    """The day's number is used up; `until` says when the oldest of them no longer count (UTC)."""

    def __init__(self, until: datetime) -> None:
        """Name the instant."""
        super().__init__(f"identified {AT_MOST} times within 24 hours")
        self.until = until


class Identifies:
    """The count, by the hour, in the store."""

    def __init__(self, notes: Notes, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`clock` tells the time, UTC."""
        self._notes = notes
        self._clock = clock

    async def check(self) -> None:
        """Refuse to connect where one more would be too many; nothing is counted.

        Raises:
            TooManyIdentifies: it would.
        """
        self._refuse(await self._hours())

    async def count(self) -> None:
        """Count one.

        Raises:
            TooManyIdentifies: there were too many already; it is not counted.
        """
        hours = await self._hours()
        self._refuse(hours)
        hour = self._clock().replace(minute=0, second=0, microsecond=0).isoformat()
        await self._notes.put(NOTE, {**hours, hour: hours.get(hour, 0) + 1})

    async def _hours(self) -> dict[str, int]:
        """Return how many there were, by the beginning of each hour of the last day."""
        stored = await self._notes.get(NOTE)
        known: dict[str, Any] = stored if isinstance(stored, dict) else {}
        since = self._clock() - DAY
        return {hour: int(count) for hour, count in known.items() if datetime.fromisoformat(hour) > since}

    @staticmethod
    def _refuse(hours: dict[str, int]) -> None:
        if sum(hours.values()) >= AT_MOST:
            raise TooManyIdentifies(datetime.fromisoformat(min(hours)) + DAY)
