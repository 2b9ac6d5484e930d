"""Schedules that are due once, at one date and time."""

from __future__ import annotations

import datetime as dt
from datetime import datetime
from zoneinfo import ZoneInfo

from pipelines.errors import BadSchedule
from pipelines.triggers.local_time import as_utc, read_local, wall
from pipelines.triggers.trigger import Trigger
from pipelines.triggers.words import date_words
from pipelines.triggers.zones import check_zone

_EXAMPLE = "write ISO 8601, for instance 2027-06-20T15:30:00"


class DateTrigger(Trigger):
    """Due once."""

    __slots__ = ("_at",)

    def __init__(self, at: datetime, zone: ZoneInfo, warnings: tuple[str, ...] = ()) -> None:
        """`at` is aware and UTC."""
        self._at = at
        super().__init__(f"date {at.isoformat()}", zone, warnings)

    @property
    def words(self) -> str:
        """`once, 2027-06-20 15:30`, in the schedule's zone."""
        return date_words(wall(self._at, self._zone))

    def next_after(self, after: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        return self._at if as_utc(after) < self._at else None


def date(at: str | datetime, zone: str) -> Trigger:
    """Return the trigger that is due once, at a moment that may be in the past.

    Args:
        at: ISO 8601 or a datetime; without an offset it is wall time in `zone`. A date alone means its midnight.
        zone: the schedule's time zone.

    Raises:
        BadSchedule: it cannot be read, or the clocks of the zone never show it, or the zone does not exist.
    """
    checked = check_zone(zone)
    moment = _read(at)
    try:
        instant, warnings = (as_utc(moment), ()) if moment.utcoffset() is not None else read_local(moment, checked)
        wall(instant, checked)
    except OverflowError as error:
        raise BadSchedule(f"at: {at} is outside the calendar; write a date between the years 2 and 9998") from error
    except BadSchedule as error:
        raise BadSchedule(f"at: {error}") from None
    return DateTrigger(instant, checked, warnings)


def _read(at: object) -> datetime:
    if isinstance(at, datetime):
        return at
    if isinstance(at, dt.date):  # YAML reads an unquoted date as one
        return datetime(at.year, at.month, at.day)  # noqa: DTZ001  # naive on purpose: wall time in the schedule's zone
    if not isinstance(at, str):
        raise BadSchedule(f"at: {at!r} is not a date and time; {_EXAMPLE}")
    try:
        return datetime.fromisoformat(at.strip())
    except ValueError as error:
        raise BadSchedule(f"at: {at!r} cannot be read as a date and time ({error}); {_EXAMPLE}") from None
