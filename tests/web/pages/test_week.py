"""The coming week: what is due stands on its day in the scheduler's zone, and thousands of schedules hold nobody up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pipelines import understand
from web.week import TRIGGERS, Timed, week

NOW = datetime(2026, 3, 25, 12, tzinfo=UTC)
STOCKHOLM = ZoneInfo("Europe/Stockholm")


def timed(text: str, offset: timedelta = timedelta(), pipeline: str = "p") -> Timed:
    """Return a schedule as people write it."""
    trigger = understand(text, zone="Europe/Stockholm", now=NOW).trigger
    return Timed(pipeline, trigger.words, trigger, offset)


async def test_what_is_due_stands_on_its_day():
    """Each instant is on its day by the scheduler's clock, over the change to summer time too."""
    found = await week([timed("every day at 09:00")], NOW, STOCKHOLM)
    assert ["Wed 25 Mar", "Thu 26 Mar", "Fri 27 Mar"] == [day.name for day in found.days[:3]]
    assert [[], *[["09:00"]] * 6] == [[due.clock for due in day.due] for day in found.days]
    assert [8, 8, 8, 7, 7, 7] == [day.due[0].at.hour for day in found.days[1:]]


async def test_what_is_due_often_is_told_in_words():
    """A schedule of every five minutes is one line, not two thousand."""
    found = await week([timed("every 5 minutes"), timed("every monday at 08:00")], NOW, STOCKHOLM)
    assert (["every 5 minutes"], 1) == ([each.words for each in found.often], sum(len(day.due) for day in found.days))


async def test_an_offset_moves_what_is_due():
    """A schedule that is shifted stands where it runs, over midnight if need be."""
    found = await week([timed("every day at 23:50", timedelta(minutes=20))], NOW, STOCKHOLM)
    assert [[], *[["00:10"]] * 6] == [[due.clock for due in day.due] for day in found.days]


async def test_the_same_time_is_worked_out_once():
    """Ten thousand schedules of one time are all there, and a day shows but so many."""
    found = await week([timed("every day at 09:00")] * 10_000, NOW, STOCKHOLM)
    assert (0, 30, 9_970) == (found.left_out, len(found.days[1].due), found.days[1].more)


async def test_too_many_are_left_out_and_said_so():
    """Of more different times than are worked out, the last are left out; others have their turn meanwhile."""
    many = [timed(f"every day at {n // 60 % 24:02d}:{n % 60:02d}") for n in range(TRIGGERS + 100)]
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    found = await week(many, NOW, STOCKHOLM)
    task.cancel()
    assert (100, TRIGGERS + 100, True) == (found.left_out, found.looked_at, turns >= TRIGGERS // 10)
