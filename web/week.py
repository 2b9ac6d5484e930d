"""The coming week: what is due when, worked out from triggers. Bounded: it takes breaths, and says what it left out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from heapq import nsmallest

from pipelines import Trigger

DAYS = 7
OFTEN = 4 * DAYS
"""What is due more often than this in a week is told in words alone."""
TRIGGERS = 250
"""So many different triggers are worked out at most."""
BREATH, LOOKED_AT = 10, 500
"""After so many triggers, and after so many schedules, others have their turn."""
PER_DAY, OFTEN_SHOWN = 30, 40


@dataclass(frozen=True, slots=True)
class Timed:
    """A schedule: `offset` comes on top of each of its trigger's instants."""

    pipeline: str
    words: str
    trigger: Trigger
    offset: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Due:
    """One instant at which a pipeline is due; `clock` is its time of day in the scheduler's zone."""

    at: datetime
    clock: str
    pipeline: str


@dataclass(slots=True)
class Day:
    """A day with what is due in it; `more` are not shown."""

    name: str
    due: list[Due] = field(default_factory=list)
    more: int = 0


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days from today on. `often` are schedules that are due too often to be listed."""

    days: Sequence[Day]
    often: Sequence[Timed]
    often_more: int
    looked_at: int
    left_out: int


async def week(schedules: Iterable[Timed], now: datetime, zone: tzinfo) -> Week:
    """Work out the week from `now` on; `schedules` that come first are the last to be left out."""
    today = now.astimezone(zone).date()
    end = datetime.combine(today + timedelta(days=DAYS), time(), zone)
    known: dict[tuple[str, timedelta], list[tuple[date, datetime, str]] | None] = {}
    found: dict[date, list[tuple[datetime, str, str]]] = {today + timedelta(days=place): [] for place in range(DAYS)}
    often: list[Timed] = []
    looked_at, left_out = 0, 0
    for looked_at, each in enumerate(schedules, start=1):
        if looked_at % LOOKED_AT == 0:
            await asyncio.sleep(0)
        key = (each.trigger.key, each.offset)
        if key not in known:
            if len(known) >= TRIGGERS:
                left_out += 1
                continue
            due = instants(each.trigger, now - each.offset, end - each.offset)
            known[key] = [_told(at + each.offset, zone) for at in due] if due is not None else None
            if len(known) % BREATH == 0:
                await asyncio.sleep(0)
        told = known[key]
        if told is None:
            often.append(each)
            continue
        for day, at, clock in told:
            found[day].append((at, each.pipeline, clock))
    days = [_day(day, due) for day, due in found.items()]
    return Week(days, often[:OFTEN_SHOWN], max(len(often) - OFTEN_SHOWN, 0), looked_at, left_out)


def instants(trigger: Trigger, after: datetime, end: datetime) -> list[datetime] | None:
    """Return when a trigger is due before `end`; None if that is too often to be listed."""
    found: list[datetime] = []
    while (at := trigger.next_after(after)) is not None and at < end:
        found.append(at)
        if len(found) > OFTEN:
            return None
        after = at
    return found


def _told(at: datetime, zone: tzinfo) -> tuple[date, datetime, str]:
    there = at.astimezone(zone)
    return there.date(), at, f"{there:%H:%M}"


def _day(day: date, due: list[tuple[datetime, str, str]]) -> Day:
    first = [Due(at, clock, pipeline) for at, pipeline, clock in nsmallest(PER_DAY, due)]
    return Day(f"{day:%a} {day.day} {day:%b}", first, max(len(due) - PER_DAY, 0))
