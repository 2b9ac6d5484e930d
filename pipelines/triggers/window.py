"""Schedules that hold from a start on, or until an end, both inclusive: any trigger, seen through that window."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines.errors import BadSchedule
from pipelines.triggers.local_time import as_utc, read_local, resolve, wall
from pipelines.triggers.trigger import Trigger

_EXAMPLE = "write ISO 8601, for instance 2027-06-20 or 2027-06-20T15:30:00"
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_LONG_AGO = datetime(1973, 1, 1, tzinfo=UTC)


class Window(Trigger):
    """Due when another trigger is, if that lies between a start and an end."""

    __slots__ = ("_end", "_start", "_trigger")

    def __init__(self, trigger: Trigger, start: datetime | None, end: datetime | None) -> None:
        """`start` and `end` are UTC and inclusive; None leaves that side open."""
        self._trigger, self._start, self._end = trigger, start, end
        since = f" from {start.isoformat()}" if start is not None else ""
        until = f" until {end.isoformat()}" if end is not None else ""
        super().__init__(f"{trigger.key}{since}{until}", trigger.zone, trigger.warnings)
        if self.next_after(_LONG_AGO) is None:
            why = "the schedule is never due between its start and its end; it never runs"
            super().__init__(self.key, trigger.zone, (*trigger.warnings, why))

    @property
    def words(self) -> str:
        """`every day at 09:00, from 2027-06-20 until 2027-08-31 23:59`, in the schedule's zone."""
        since = f" from {_show(self._start, self._zone)}" if self._start is not None else ""
        until = f" until {_show(self._end, self._zone)}" if self._end is not None else ""
        return f"{self._trigger.words},{since}{until}"

    def next_after(self, after: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        instant = self._trigger.next_after(self._since(as_utc(after)))
        return None if instant is None or (self._end is not None and instant > self._end) else instant

    def instants(self, after: datetime, until: datetime, limit: int) -> tuple[list[datetime], int]:
        """See `Trigger.instants`; costs as much as the other trigger does."""
        return self._trigger.instants(self._since(as_utc(after)), self._until(as_utc(until)), limit)

    def walk(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """See `Trigger.walk`."""
        return self._trigger.walk(self._since(as_utc(after)), self._until(as_utc(until)))

    def _since(self, after: datetime) -> datetime:
        return after if self._start is None else max(after, self._start - _TICK)

    def _until(self, until: datetime) -> datetime:
        return until if self._end is None else min(until, self._end)


def within(trigger: Trigger, start: datetime | None, end: datetime | None) -> Trigger:
    """Return the trigger restricted to what lies from `start` to `end` (UTC, inclusive; None: open).

    Raises:
        BadSchedule: the end lies before the start.
    """
    if start is not None and end is not None and end < start:
        shown = [_show(each, trigger.zone) for each in (end, start)]
        raise BadSchedule(f"end: {shown[0]} lies before the start, {shown[1]}; write a later end or an earlier start")
    return trigger if start is None and end is None else Window(trigger, start, end)


def start_of(text: str, zone: ZoneInfo) -> datetime:
    """Return the instant (UTC) at which a schedule starts: a time in `zone` or with its offset, or a date's beginning.

    Raises:
        BadSchedule: it cannot be read, or the clocks of the zone never show it.
    """
    return _instant("start", text, zone)


def end_of(text: str, zone: ZoneInfo) -> datetime:
    """Return the last instant (UTC) of a schedule: as `start_of`, but of a date it is the day's last moment.

    Raises:
        BadSchedule: it cannot be read, or the clocks of the zone never show it.
    """
    return _instant("end", text, zone, after=_DAY, back=_TICK)


def _instant(
    key: str, text: str, zone: ZoneInfo, *, after: timedelta = timedelta(0), back: timedelta = timedelta(0)
) -> datetime:
    """Read a time, or a date, of which it is the midnight `after` that, and so much `back`."""
    try:
        day = _date(text)
        instant = _midnight(day + after, zone) - back if day is not None else _time(text, zone)
        wall(instant, zone)
    except OverflowError as error:
        raise BadSchedule(f"{key}: {text} is outside the calendar; write a nearer date") from error
    except BadSchedule as error:
        raise BadSchedule(f"{key}: {error}") from None
    if not 2 <= instant.year <= 9998:
        raise BadSchedule(f"{key}: {text} is outside the calendar; write a nearer date")
    return instant


def _date(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001  # naive on purpose: wall time in the schedule's zone


def _midnight(local: datetime, zone: ZoneInfo) -> datetime:
    """Return when a day begins; where its midnight is left out, the first instant after it."""
    return resolve(local, zone) or local.replace(tzinfo=zone).astimezone(UTC)


def _time(text: str, zone: ZoneInfo) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise BadSchedule(f"{text!r} cannot be read as a date or time ({error}); {_EXAMPLE}") from None
    return as_utc(moment) if moment.utcoffset() is not None else read_local(moment, zone)[0]


def _show(instant: datetime, zone: ZoneInfo) -> str:
    local = wall(instant, zone)
    if not (local.hour or local.minute or local.second or local.microsecond):
        return f"{local:%Y-%m-%d}"
    if (local + _TICK).time() == datetime.min.time():
        return f"the end of {local:%Y-%m-%d}"
    return local.isoformat(" ", "seconds" if local.second or local.microsecond else "minutes")
