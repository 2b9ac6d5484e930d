"""The calendar at its worst, by a clock that is set by hand: each instant is recorded once, whatever clocks do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pipelines.triggers import cron
from tests.by_hand import Clock, by_hand
from tests.project import Project

ZONES = ("Europe/Stockholm", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Antarctica/Troll")
"""Changes of an hour in both hemispheres' ways, of half an hour, at midnight, and of two hours."""
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOON = datetime(2027, 3, 1, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def shop(project: Project, monkeypatch):
    """A project whose scheduler starts no worker processes: nothing is run here."""
    monkeypatch.setattr("pipelines.execution.process.WARM", 0)
    project.plugin("mine", "def one(_):\n    yield 1\n")
    return project


def write(project: Project, **schedules: str) -> None:
    """Write a pipeline for each schedule."""
    entries = (f"  {name}: {{schedule: {schedule}, chain: [mine.one]}}\n" for name, schedule in schedules.items())
    project.write("scheduler: {timezone: UTC}\npipelines:\n" + "".join(entries))


# ------------------------------------------------------------ daylight saving


def changes(zone: str) -> list[datetime]:
    """The instants in 2027 at which the clocks of a zone are changed, to the minute."""
    tz, start = ZoneInfo(zone), datetime(2027, 1, 1, tzinfo=UTC)
    days = [start + number * DAY for number in range(365)]
    found = []
    for day in (each for each in days if _offset(each, tz) != _offset(each + DAY, tz)):
        minutes = (day + number * MINUTE for number in range(1, 1441))
        found.append(next(each for each in minutes if _offset(each, tz) != _offset(day, tz)))
    return found


def _offset(instant: datetime, tz: ZoneInfo) -> timedelta | None:
    return instant.astimezone(tz).utcoffset()


def wall(instant: datetime, zone: str) -> datetime:
    """What the clocks of a zone show."""
    return instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def doubtful(change: datetime, zone: str) -> datetime:
    """A time in the middle of what the clocks leave out, or show twice."""
    before, after = wall(change - MINUTE, zone) + MINUTE, wall(change, zone)
    return (min(before, after) + abs(after - before) / 2).replace(second=0)


def minutes(after: datetime, until: datetime) -> Iterator[datetime]:
    """Each full minute in (after, until]."""
    instant = after.replace(second=0) + MINUTE
    while instant <= until:
        yield instant
        instant += MINUTE


def daily_by_counting(hour: int, minute: int, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """When a daily time comes: the first minute that shows it, or, on a day that leaves it out, the first later one."""
    found: dict[object, datetime] = {}
    for instant in minutes(after - DAY, until):
        shown = wall(instant, zone)
        if (shown.hour, shown.minute) >= (hour, minute):
            found.setdefault(shown.date(), instant)
    first_day = wall(after - DAY, zone).date()
    return [instant for day, instant in found.items() if day != first_day and after < instant <= until]


@pytest.mark.parametrize("season", [0, 1])
@pytest.mark.parametrize("zone", ZONES)
async def test_a_change_of_the_clocks(shop, zone, season):
    """Over a change, a daily time inside it comes once a day, half hours and an interval go by real time."""
    change = changes(zone)[season]
    at = doubtful(change, zone)
    start, end = change - 26 * HOUR, change + 26 * HOUR
    write(
        shop,
        daily=f"{{cron: '{at.minute} {at.hour} * * *', timezone: {zone}}}",
        half_hours=f"{{cron: '*/30 * * * *', timezone: {zone}}}",
        elapsed="{interval: {minutes: 20}}",
    )
    clock = Clock(start)
    async with by_hand(shop, clock) as here:
        while clock.now < end:
            await here.to(clock.now + 10 * MINUTE)
        ran = {name: here.ledger(name) for name in ("daily", "half_hours", "elapsed")}
    assert {"run", "skipped"} >= {outcome for each in ran.values() for _, outcome in each}
    every = list(minutes(start, end))
    assert daily_by_counting(at.hour, at.minute, zone, start, end) == [instant for instant, _ in ran["daily"]]
    assert [each for each in every if wall(each, zone).minute % 30 == 0] == [each for each, _ in ran["half_hours"]]
    assert [each for each in every if each.minute % 20 == 0] == [each for each, _ in ran["elapsed"]]


@pytest.mark.parametrize("season", [0, 1])
@pytest.mark.parametrize("zone", ZONES)
async def test_a_change_while_the_service_is_down(shop, zone, season):
    """A service that was down over a change records the very instants that it would have met."""
    change = changes(zone)[season]
    at = doubtful(change, zone)
    start, end = change - 26 * HOUR, change + 26 * HOUR
    write(shop, daily=f"{{cron: '{at.minute} {at.hour} * * *', timezone: {zone}, misfire: {{grace: 3d, policy: all}}}}")
    clock = Clock(start)
    async with by_hand(shop, clock):
        pass
    clock.now = end
    async with by_hand(shop, clock) as here:
        expected = [(each, "run") for each in daily_by_counting(at.hour, at.minute, zone, start, end)]
        assert expected == here.ledger("daily")
    assert len(expected) >= 2


# ------------------------------------------------------------ calendar


async def test_the_leap_day(shop):
    """A job of 29 February comes in 2028 and not in 2027; a daily one comes on that day as on any other."""
    write(shop, leap="{cron: '0 12 29 2 *'}", daily="{daily: '12:00'}")
    clock = Clock(datetime(2027, 2, 27, 13, tzinfo=UTC))
    async with by_hand(shop, clock) as here:
        for day in (28, 29, 30):
            await here.to(datetime(2027, 2, 1, 13, tzinfo=UTC) + (day - 1) * DAY)
        assert ([], ["02-28", "03-01", "03-02"]) == (here.due("leap"), [f"{each:%m-%d}" for each in here.due("daily")])
        await here.to(datetime(2028, 2, 28, 13, tzinfo=UTC))
        for day in (29, 30):
            await here.to(datetime(2028, 2, 1, 13, tzinfo=UTC) + (day - 1) * DAY)
        assert [datetime(2028, 2, 29, 12, tzinfo=UTC)] == here.due("leap")
        assert ["02-28", "02-29", "03-01"] == [f"{each:%m-%d}" for each in here.due("daily")[-3:]]


def test_a_century_without_a_leap_day():
    """After 29 February 2096 the next one is in 2104: 2100 has none."""
    leap = cron("0 0 29 2 *", "UTC")
    assert datetime(2104, 2, 29, tzinfo=UTC) == leap.next_after(datetime(2096, 2, 29, tzinfo=UTC))


@pytest.mark.parametrize(("zone", "hours"), [("Pacific/Kiritimati", -14), ("UTC", 0), ("Pacific/Pago_Pago", 11)])
async def test_the_end_of_the_year(shop, zone, hours):
    """The last minute of a year and the first of the next come once each, when the zone's own year ends."""
    write(
        shop,
        last=f"{{cron: '59 23 31 12 *', timezone: {zone}}}",
        first=f"{{cron: '@yearly', timezone: {zone}}}",
    )
    midnight = datetime(2028, 1, 1, tzinfo=UTC) + hours * HOUR
    clock = Clock(midnight - 2 * DAY)
    async with by_hand(shop, clock) as here:
        while clock.now < midnight + 2 * DAY:
            await here.to(clock.now + HOUR / 2)
        assert ([midnight - MINUTE], [midnight]) == (here.due("last"), here.due("first"))


# ------------------------------------------------------------ sleep, and clocks that are set


@pytest.mark.parametrize(("policy", "runs"), [("latest", 1), ("all", 5), ("none", 0)])
async def test_a_machine_asleep_for_a_week(shop, policy, runs):
    """A laptop lid closed for a week: what the policy says of the last hours runs, each other instant says why not."""
    write(shop, hourly=f"{{hourly: 0, misfire: {{grace: 5h, policy: {policy}}}}}")
    clock = Clock(NOON)
    async with by_hand(shop, clock) as here:
        await here.to(NOON + 7 * DAY - HOUR / 2)
        ledger = here.ledger("hourly")
    assert [NOON.replace(second=0) + number * HOUR for number in range(1, 168)] == [instant for instant, _ in ledger]
    assert ["missed"] * (167 - runs) + ["run"] * runs == [outcome for _, outcome in ledger]


async def test_a_week_of_minutes_ends_in_one_run(shop):
    """Asleep for a week, a job of each minute runs once; 999 more are recorded, and the rest is in a reason."""
    write(shop, often="{cron: '* * * * *'}")
    async with by_hand(shop, Clock(NOON)) as here:
        await here.to(NOON + 7 * DAY)
        outcomes = [outcome for _, outcome in here.ledger("often")]
        assert ["missed"] * 999 + ["run"] == outcomes
        assert "the service did not run when it was due, like 9080 before it" == here.reasons("often")[0]


async def test_a_date_that_was_slept_over(shop):
    """What was to run once, at an instant that was slept over by a week, is recorded as missed and never runs."""
    write(shop, once="{at: '2027-03-02T08:00:00'}")
    async with by_hand(shop, Clock(NOON)) as here:
        for days in (7, 8, 400):
            await here.to(NOON + days * DAY)
            assert [(datetime(2027, 3, 2, 8, tzinfo=UTC), "missed")] == here.ledger("once")


async def test_a_clock_set_back_repeats_nothing(shop):
    """Set back by a day, a job waits until the clock has caught up: no instant comes twice, and none is left out."""
    write(shop, hourly="{hourly: 0}")
    async with by_hand(shop, Clock(NOON)) as here:
        await here.to(NOON + HOUR)
        for number in range(27):
            await here.to(NOON + HOUR - DAY + number * HOUR)
        assert [NOON.replace(second=0) + number * HOUR for number in (1, 2, 3)] == here.due("hourly")
        assert "missed" not in {outcome for _, outcome in here.ledger("hourly")}


async def test_a_restart_after_the_clock_was_set_back(shop):
    """A service that starts with its clock behind what it has recorded repeats nothing."""
    write(shop, hourly="{hourly: 0}")
    clock = Clock(NOON)
    async with by_hand(shop, clock) as here:
        await here.to(NOON + 3 * HOUR)
        before = here.ledger("hourly")
    clock.now = NOON
    async with by_hand(shop, clock) as here:
        await here.to(NOON + 2 * HOUR)
        assert before == here.ledger("hourly")
        await here.to(NOON + 4 * HOUR)
        assert before == here.ledger("hourly")[:-1]
        assert NOON.replace(second=0) + 4 * HOUR == here.due("hourly")[-1]


async def test_a_pause_that_ended_while_asleep(shop):
    """A job that was paused until Wednesday and slept over goes on with its next instant; nothing is made up for."""
    write(shop, hourly="{hourly: 0}")

    async def plainly(fn, arg):
        return await here.scheduler.writer.call(fn, arg)

    async with by_hand(shop, Clock(NOON)) as here:
        await here.scheduler.jobs.pause("hourly", plainly, until=NOON + 3 * DAY, reason="holidays")
        await here.to(NOON + 7 * DAY)
        assert [] == here.ledger("hourly")
        await here.to(NOON + 7 * DAY + HOUR)
        assert [(NOON.replace(second=0) + 7 * DAY + HOUR, "run")] == here.ledger("hourly")
