"""Cron schedules in a time zone, by the rules of Debian's cron for daylight saving.

A wildcard schedule (minute or hour starts with `*`) follows real time: it fires at every instant whose wall clock
matches, in both passes of a fold and never in a gap. A fixed one fires once for each matching wall minute: in a fold
at the first pass, in a gap at the first instant after it; a day that the zone skips is skipped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines.errors import BadSchedule
from pipelines.triggers.cron_calendar import CronCalendar
from pipelines.triggers.cron_syntax import parse_cron
from pipelines.triggers.local_time import MINUTE, as_utc, first_change, offset, resolve, wall
from pipelines.triggers.trigger import Trigger
from pipelines.triggers.words import cron_words
from pipelines.triggers.zones import check_zone

_DAY = timedelta(days=1)


class CronTrigger(Trigger):
    """Due when the clocks of a zone match a calendar. Whole minutes."""

    __slots__ = ("_calendar",)

    def __init__(self, calendar: CronCalendar, zone: ZoneInfo, warnings: tuple[str, ...] = ()) -> None:
        """Take a calendar and the zone whose clocks it is for."""
        self._calendar = calendar
        super().__init__(f"cron {calendar.key} {zone.key}", zone, warnings)

    @property
    def words(self) -> str:
        """`Monday to Friday at 09:00`."""
        calendar = self._calendar
        return cron_words(calendar.minutes, calendar.hours, calendar.days, calendar.day_or)

    def next_after(self, after: datetime) -> datetime | None:
        """See `Trigger.next_after`; exact from 1973 on, None beyond the year 9999."""
        try:
            start = as_utc(after).replace(second=0, microsecond=0)
            return self._wildcard(start) if self._calendar.wildcard else self._fixed(start)
        except OverflowError:
            return None

    def instants(self, after: datetime, until: datetime, limit: int) -> tuple[list[datetime], int]:
        """See `Trigger.instants`; looks back from `until` in growing spans, and counts the older ones by days."""
        begin, span = as_utc(until), _DAY
        first = as_utc(after)
        found: list[datetime] = []
        while begin > first and len(found) < limit:
            begin, end = begin - min(span, begin - first), begin
            found = [*self.walk(begin, end), *found]
            span *= 2
        older = max(0, len(found) - max(0, limit))
        return found[older:], older + self._count(first, begin)

    def _wildcard(self, after: datetime) -> datetime | None:
        local: datetime | None = wall(after, self._zone)
        while local is not None and (local := self._calendar.next_wall(local)) is not None:
            instant = (local - offset(after, self._zone)).replace(tzinfo=UTC)
            change = first_change(after, instant, self._zone)
            if change is None:
                return instant
            after, local = change, wall(change, self._zone) - MINUTE
        return None

    def _fixed(self, after: datetime) -> datetime | None:
        local: datetime | None = wall(after, self._zone)
        while local is not None and (local := self._calendar.next_wall(local)) is not None:
            instant = resolve(local, self._zone)
            if instant is not None and instant > after:
                return instant
        return None

    def _count(self, after: datetime, until: datetime) -> int:
        """Count the instants in (after, until]; days on which the offset stays cost one step each."""
        count = 0
        instant = self.next_after(after)
        while instant is not None and instant <= until:
            count += 1
            local = wall(instant, self._zone)
            midnight = instant + (_DAY - (local - local.replace(hour=0, minute=0)))
            if midnight <= until and first_change(instant, midnight, self._zone) is None:
                count += self._calendar.left_in_day(local)
                instant = midnight - MINUTE
            instant = self.next_after(instant)
        return count


def cron(expression: str, zone: str, *, schedule_id: str = "") -> Trigger:
    """Return the trigger of a cron expression: five fields, or a macro such as `@daily`.

    Args:
        expression: see the project's cron reference for the grammar.
        zone: the zone whose clocks the fields are about.
        schedule_id: what the stable slots of `H` are drawn from.

    Raises:
        BadSchedule: the expression or the zone cannot be read, or it would never fire.
    """
    calendar, warnings = parse_cron(expression, schedule_id)
    return CronTrigger(calendar, check_zone(zone), warnings)


def daily(at: str, zone: str) -> Trigger:
    """Return the trigger for one time of every day: `09:30`, on a 24-hour clock.

    Raises:
        BadSchedule: it is not a time of day, or the zone does not exist.
    """
    hour, colon, minute = at.strip().partition(":") if isinstance(at, str) else ("", "", "")
    if not (colon and _below(hour, 24) and len(minute) == 2 and _below(minute, 60)):
        raise BadSchedule(f"daily: {at!r} is not a time of day; write it in quotes, for instance {_quoted(at)}")
    return cron(f"{int(minute)} {int(hour)} * * *", zone)


def hourly(minute: int, zone: str) -> Trigger:
    """Return the trigger for one minute of every hour, 0 to 59.

    Raises:
        BadSchedule: it is not such a minute, or the zone does not exist.
    """
    if type(minute) is not int or not 0 <= minute < 60:
        raise BadSchedule(f"hourly: {minute!r} is not a minute of the hour; write a number from 0 to 59")
    return cron(f"{minute} * * * *", zone)


def _quoted(at: object) -> str:
    """Return the time that was meant: YAML reads an unquoted 10:30 as the number 630."""
    return f'"{at // 60:02}:{at % 60:02}"' if isinstance(at, int) and 0 <= at < 24 * 60 else '"09:30"'


def _below(digits: str, bound: int) -> bool:
    return digits.isascii() and digits.isdigit() and len(digits) <= 2 and int(digits) < bound
