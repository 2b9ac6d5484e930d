"""What to know about a schedule before it is made: its next instants, clock changes, doubles, and how often it runs.

What happens when the clocks change follows the rules of cron that `triggers` keeps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from pipelines.triggers import Trigger, check_zone
from pipelines.triggers.cron_calendar import CronCalendar
from pipelines.triggers.local_time import SKIPPED_DAY, first_change, wall

AHEAD = timedelta(days=400)
"""So far ahead clock changes are looked at: past the next two of each year."""

OFTEN = 24 * 12
"""Runs a day from which on it is pointed out: one every five minutes."""

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def next_fires(trigger: Trigger, now: datetime, count: int = 5) -> list[datetime]:
    """Return the next `count` instants after `now` (aware) at which the schedule is due, in UTC; fewer if it ends."""
    fires: list[datetime] = []
    instant = trigger.next_after(now)
    while instant is not None and len(fires) < count:
        fires.append(instant)
        instant = trigger.next_after(instant)
    return fires


def cautions(trigger: Trigger, now: datetime, zone: str, others: Iterable[Trigger] = ()) -> tuple[str, ...]:
    """Return what a person should know before making the schedule, one sentence each; empty when all is clear.

    `zone` is the one the schedule thinks in, `others` are those that the same pipeline has already. Of a schedule that
    runs in every hour, clock changes are not told: it just goes on.
    """
    return (*trigger.warnings, *_doubled(trigger, others), *_frequent(trigger, now), *_changes(trigger, now, zone))


def _doubled(trigger: Trigger, others: Iterable[Trigger]) -> Iterator[str]:
    if trigger in set(others):
        yield f"The pipeline already has a schedule for the same times ({trigger.words}); it would be due twice."


def _frequent(trigger: Trigger, now: datetime) -> Iterator[str]:
    first = trigger.next_after(now)
    if first is None or trigger.next_after(first) is None:
        return
    instants, older = trigger.instants(first - timedelta(microseconds=1), first + _DAY - timedelta(seconds=1), 1)
    a_day = len(instants) + older
    if a_day > OFTEN:
        yield f"It runs {a_day:,} times a day."


def _changes(trigger: Trigger, now: datetime, zone: str) -> Iterator[str]:
    calendar = _calendar(trigger)
    if calendar is None or len(calendar.hours) == 24:
        return
    local_zone = check_zone(zone)
    after = now.astimezone(UTC).replace(second=0, microsecond=0)
    until = after + AHEAD
    while (change := first_change(after, until, local_zone)) is not None:
        yield from _change(calendar, change, local_zone)
        after = change


def _change(calendar: CronCalendar, change: datetime, zone: tzinfo) -> Iterator[str]:
    before, resumed = wall(change - _MINUTE, zone) + _MINUTE, wall(change, zone)
    day = f"On {before.day} {before:%B %Y} the clocks go from {before:%H:%M} to {resumed:%H:%M}"
    first = calendar.next_wall(min(before, resumed) - _MINUTE)
    if first is None or first >= max(before, resumed):
        return
    if resumed < before:
        count = "twice" if calendar.wildcard else "once, the first time"
        yield f"{day}: {first:%H:%M} comes twice, and it runs {count}."
    elif calendar.wildcard or resumed - before >= SKIPPED_DAY:
        yield f"{day}: {first:%H:%M} does not exist, and it does not run then."
    else:
        yield f"{day}: {first:%H:%M} does not exist, and it runs at {resumed:%H:%M} instead."


def _calendar(trigger: Trigger) -> CronCalendar | None:
    """Return the wall times that a cron trigger's key names, or None for other triggers."""
    kind, *parts = trigger.key.split()
    if kind != "cron":
        return None
    minutes, hours, day, month, weekday, rule, *rest = parts
    return CronCalendar(
        _numbers(minutes, 60),
        _numbers(hours, 24),
        f"{day} {month} {weekday}",
        day_or="day-or" in rest,
        wildcard=rule == "wildcard",
    )


def _numbers(text: str, full: int) -> tuple[int, ...]:
    return tuple(range(full)) if text == "*" else tuple(map(int, text.split(",")))
