"""Schedules by elapsed time: every so many seconds, whatever the clocks of a zone do.

The instants are `anchor + k · period` for whole `k`, so restarts, replicas and downtime never shift them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines.errors import BadSchedule
from pipelines.triggers.local_time import as_utc, read_local
from pipelines.triggers.trigger import Trigger
from pipelines.triggers.words import interval_words
from pipelines.triggers.zones import check_zone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_LONGEST = timedelta(days=36525)


class IntervalTrigger(Trigger):
    """Due every `period`, counted from an anchor."""

    __slots__ = ("_period", "_phase")

    def __init__(self, period: timedelta, zone: ZoneInfo, anchor: datetime, warnings: tuple[str, ...] = ()) -> None:
        """`anchor` is aware; any of the instants names the same schedule."""
        self._period = period
        self._phase = _EPOCH + (anchor - _EPOCH) % period
        seconds = period // _SECOND
        super().__init__(f"interval {seconds}s {self._phase:%Y-%m-%dT%H:%M:%S.%fZ}", zone, warnings)

    @property
    def words(self) -> str:
        """`every 30 minutes`."""
        return interval_words(self._period)

    def next_after(self, after: datetime) -> datetime | None:
        """See `Trigger.next_after`; None only beyond the year 9999."""
        return self._at(self._count(after) + 1)

    def instants(self, after: datetime, until: datetime, limit: int) -> tuple[list[datetime], int]:
        """See `Trigger.instants`; costs as much as it returns, however long the span."""
        first, last = self._count(after) + 1, self._count(until)
        newest = max(first, last - max(0, limit) + 1)
        found = [self._phase + number * self._period for number in range(newest, last + 1)]
        return found, max(0, last + 1 - first) - len(found)

    def _count(self, until: datetime) -> int:
        return (as_utc(until) - self._phase) // self._period

    def _at(self, number: int) -> datetime | None:
        try:
            return self._phase + number * self._period
        except OverflowError:
            return None


def interval(period: timedelta, zone: str, *, anchor: datetime | None = None) -> Trigger:
    """Return the trigger that is due every `period` of elapsed time.

    Args:
        period: whole seconds, at least one, at most 100 years.
        zone: the zone that the schedule is shown in; it does not change the instants.
        anchor: one of the instants, of which all others are a whole number of periods away; naive means wall time in
            `zone`, None means 1970-01-01T00:00Z.

    Raises:
        BadSchedule: the period is not whole seconds in that range, the zone does not exist, or the anchor does not.
    """
    checked = check_zone(zone)
    _check_period(period)
    if anchor is None:
        return IntervalTrigger(period, checked, _EPOCH)
    if not isinstance(anchor, datetime):
        raise BadSchedule(f"interval: anchor {anchor!r} is not a date and time; write one such as 2027-06-20T15:30:00")
    try:
        start, warnings = (as_utc(anchor), ()) if anchor.utcoffset() is not None else read_local(anchor, checked)
    except OverflowError as error:
        raise BadSchedule(f"interval: anchor {anchor} is outside the calendar; write a nearer one") from error
    except BadSchedule as error:
        raise BadSchedule(f"interval: anchor {error}") from None
    return IntervalTrigger(period, checked, start, warnings)


def _check_period(period: timedelta) -> None:
    if not isinstance(period, timedelta):
        raise BadSchedule(
            f"interval: {period!r} is not a length of time; write it in weeks, days, hours, minutes, seconds"
        )
    if period < _SECOND:
        raise BadSchedule(f"interval: {period} is too short; write at least one second")
    if period % _SECOND:
        raise BadSchedule(f"interval: {period} is not whole seconds; write whole seconds, for instance seconds: 1")
    if period > _LONGEST:
        raise BadSchedule(f"interval: {period} is longer than 100 years; write a shorter one")
