"""The wall-clock times that a cron expression matches, on a calendar without time zones.

croniter says on which days; the times within a day are a search in two sorted lists, because most schedules are for
every day and the search is fifty times faster. The two together give what croniter gives for the whole expression
(a test holds them against each other). What a wall time means in a zone is in `cron_trigger`.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from croniter import CroniterBadDateError, croniter

from pipelines.triggers.local_time import MINUTE

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CronCalendar:
    """A cron expression that was read.

    `minutes` and `hours` are sorted. `days` are the three day fields (day of month, month, day of week) as explicit
    lists or `*`, separated by spaces. `day_or`: a day matches when either day field does, otherwise when both do.
    `wildcard`: the schedule follows real time through daylight saving, instead of the wall clock.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: str
    day_or: bool
    wildcard: bool

    @property
    def canonical(self) -> str:
        """The five fields as explicit lists, `*` where all values match."""
        return f"{_listed(self.minutes, 60)} {_listed(self.hours, 24)} {self.days}"

    @property
    def key(self) -> str:
        """Text that is equal for expressions that match the same wall times and treat daylight saving alike."""
        rule = "wildcard" if self.wildcard else "fixed"
        return f"{self.canonical} {rule}{' day-or' if self.day_or else ''}"

    def next_wall(self, after: datetime) -> datetime | None:
        """Return the first matching minute after that of `after` (naive), or None when there is none any more.

        Raises:
            OverflowError: the search left the calendar.
        """
        today = after.date()
        day = first_day(self.days, self.day_or, today)
        if day == today:
            later = self._later(after.hour, after.minute)
            if later:
                return after.replace(hour=later[0], minute=later[1], second=0, microsecond=0)
            day = first_day(self.days, self.day_or, today + _DAY)
        return None if day is None else datetime.combine(day, dt.time(self.hours[0], self.minutes[0]))

    def left_in_day(self, after: datetime) -> int:
        """Return how many times of a matching day come after the time of `after`."""
        hour = bisect_left(self.hours, after.hour)
        inside = hour < len(self.hours) and self.hours[hour] == after.hour
        this_hour = len(self.minutes) - bisect_right(self.minutes, after.minute) if inside else 0
        return this_hour + (len(self.hours) - hour - inside) * len(self.minutes)

    def _later(self, hour: int, minute: int) -> tuple[int, int] | None:
        place = bisect_left(self.hours, hour)
        if place < len(self.hours) and self.hours[place] == hour:
            if minute < self.minutes[-1]:
                return hour, self.minutes[bisect_right(self.minutes, minute)]
            place += 1
        return (self.hours[place], self.minutes[0]) if place < len(self.hours) else None


def first_day(days: str, day_or: bool, start: dt.date) -> dt.date | None:
    """Return the first day at or after `start` that the three day fields match, or None.

    Raises:
        OverflowError: the search left the calendar.
    """
    return start if days == "* * *" else _first_day(days, day_or, start)


@lru_cache(maxsize=4096)
def _first_day(days: str, day_or: bool, start: dt.date) -> dt.date | None:
    """Ask croniter; a fresh one, because it is stateful. Schedules that share their days share the answer."""
    search = croniter(f"0 0 {days}", datetime.combine(start, dt.time.min) - MINUTE, day_or=day_or)
    try:
        return search.get_next(datetime).date()
    except CroniterBadDateError:
        return None
    except ValueError as error:  # what its date arithmetic raises beyond the year 9999
        raise OverflowError(str(error)) from error


def _listed(values: tuple[int, ...], full: int) -> str:
    return "*" if len(values) == full else ",".join(map(str, values))
