"""Intervals by elapsed time, dates, daily and hourly schedules, and what all triggers share."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import triggers
from pipelines.errors import BadSchedule
from pipelines.triggers import Trigger, cron, daily, hourly, interval

NOW = datetime(2026, 6, 1, 12, 0, 30, tzinfo=UTC)
MOMENTS = st.integers(-(10**9), 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds + 0.25, UTC))
LOCAL = datetime.fromisoformat  # without an offset: wall time
PERIODS = st.integers(1, 10**8).map(lambda seconds: timedelta(seconds=seconds))


@given(period=PERIODS, anchor=MOMENTS, after=MOMENTS)
def test_an_interval_keeps_its_phase_from_any_start(period, anchor, after):
    """However often a service restarts, instants are whole periods from the anchor, and the very next one."""
    instant = interval(period, "Europe/Stockholm", anchor=anchor).next_after(after)
    assert timedelta(0) == (instant - anchor) % period
    assert timedelta(0) < instant - after <= period


def test_a_daily_restart_does_not_starve_a_daily_interval():
    """A trigger built anew every hour still comes to the same instant."""
    builds = {
        interval(timedelta(days=1), "UTC").next_after(NOW.replace(hour=0) + hour * timedelta(hours=1))
        for hour in range(23)
    }
    assert {datetime(2026, 6, 2, tzinfo=UTC)} == builds


def test_an_interval_does_not_see_daylight_saving():
    """Twenty-four hours stay twenty-four hours over a night of twenty-five."""
    trigger = interval(timedelta(days=1), "Europe/Stockholm", anchor=LOCAL("2026-10-24T10:00"))
    instants, _ = trigger.instants(datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 10, 26, 12, tzinfo=UTC), 9)
    assert [datetime(2026, 10, day, 8, tzinfo=UTC) for day in (24, 25, 26)] == instants


@given(period=st.integers(1, 5000), after=MOMENTS, span=st.integers(-1000, 20_000), limit=st.integers(0, 20))
def test_instants_of_an_interval_are_the_newest_of_the_walk(period, after, span, limit):
    """The arithmetic gives what one step after the other gives."""
    trigger = interval(timedelta(seconds=period), "UTC")
    until = after + timedelta(seconds=span)
    every = list(trigger.walk(after, until))
    kept = every[len(every) - min(limit, len(every)) :]
    assert (kept, len(every) - len(kept)) == trigger.instants(after, until, limit)


def test_a_century_of_seconds_is_counted_at_once():
    """The cost of a long downtime is that of what is kept."""
    instants, older = interval(timedelta(seconds=1), "UTC").instants(NOW - timedelta(days=36500), NOW, 2)
    assert ([NOW - timedelta(seconds=1), NOW], 36500 * 86400 - 2) == (instants, older)


@pytest.mark.parametrize(
    ("period", "reason"),
    [
        (timedelta(0), "at least one second"),
        (timedelta(seconds=-5), "at least one second"),
        (timedelta(milliseconds=500), "at least one second"),
        (timedelta(seconds=1, milliseconds=500), "whole seconds"),
        (timedelta(days=40_000), "100 years"),
        (60, "length of time"),
        ("5m", "length of time"),
    ],
)
def test_an_interval_that_makes_no_sense_is_refused(period, reason):
    """Periods are whole seconds, from one second to a century."""
    with pytest.raises(BadSchedule, match=reason):
        interval(period, "UTC")


@pytest.mark.parametrize(
    ("anchor", "zone"),
    [
        ("2027-01-01", "UTC"),
        (date(2027, 1, 1), "UTC"),
        (LOCAL("9999-12-31T23:59"), "America/New_York"),
        (LOCAL("0001-01-01"), "Asia/Tokyo"),
        (LOCAL("2027-03-28T02:30"), "Europe/Stockholm"),
    ],
)
def test_an_anchor_must_be_a_moment(anchor, zone):
    """What is no date and time of the zone's calendar cannot anchor an interval."""
    with pytest.raises(BadSchedule, match="anchor"):
        interval(timedelta(hours=1), zone, anchor=anchor)


def test_any_instant_anchors_the_same_interval():
    """Anchors that are whole periods apart give equal triggers; others do not."""
    hour, day = timedelta(hours=1), timedelta(days=1)
    same = {interval(hour, "UTC", anchor=NOW), interval(hour, "UTC", anchor=NOW + 5 * day)}
    other = interval(hour, "UTC", anchor=NOW + timedelta(seconds=1))
    assert (1, False) == (len(same), other in same)


@pytest.mark.parametrize(
    ("at", "zone", "expected"),
    [
        ("2027-06-20T15:30:00", "Europe/Stockholm", "2027-06-20T13:30:00+00:00"),
        ("2027-06-20 15:30", "Europe/Stockholm", "2027-06-20T13:30:00+00:00"),
        ("2027-06-20", "Europe/Stockholm", "2027-06-19T22:00:00+00:00"),
        ("2027-06-20T15:30:00Z", "Europe/Stockholm", "2027-06-20T15:30:00+00:00"),
        ("2027-06-20T15:30:00-04:00", "Europe/Stockholm", "2027-06-20T19:30:00+00:00"),
        (LOCAL("2027-06-20T15:30"), "Europe/Stockholm", "2027-06-20T13:30:00+00:00"),
        (datetime(2027, 6, 20, tzinfo=timezone(timedelta(hours=2))), "UTC", "2027-06-19T22:00:00+00:00"),
        (date(2027, 6, 20), "UTC", "2027-06-20T00:00:00+00:00"),
        ("2001-01-01T00:00", "UTC", "2001-01-01T00:00:00+00:00"),
    ],
)
def test_a_date_is_read_in_the_schedules_zone_unless_it_names_its_own(at, zone, expected):
    """ISO 8601 in its usual spellings, past or future, comes down to one instant."""
    instant = triggers.date(at, zone).next_after(datetime(1999, 1, 1, tzinfo=UTC))
    assert expected == instant.isoformat()


def test_a_date_is_due_once():
    """At its instant and never after."""
    trigger = triggers.date("2027-06-20T15:30", "UTC")
    at = datetime(2027, 6, 20, 15, 30, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert [at, None] == [trigger.next_after(at - second), trigger.next_after(at)]
    assert ([at], 0) == trigger.instants(at - second, at + second, 5)


def test_a_date_in_a_gap_is_refused_with_the_gap():
    """A time that the clocks never show cannot be meant; the error says where they jump."""
    with pytest.raises(BadSchedule, match=r"2027-03-28 02:30 does not exist .* 2027-03-28 02:00 .* 2027-03-28 03:00"):
        triggers.date("2027-03-28T02:30", "Europe/Stockholm")


def test_a_date_in_a_fold_is_the_first_pass_with_a_warning():
    """A time that comes twice is taken the first time; the warning has the text for the second."""
    trigger = triggers.date("2027-10-31T02:30", "Europe/Stockholm")
    assert datetime(2027, 10, 31, 0, 30, tzinfo=UTC) == trigger.next_after(NOW)
    assert "2027-10-31T02:30:00+01:00" in trigger.warnings[0]


@pytest.mark.parametrize("at", ["soon", "", 5, None, "2027-13-01", "2027-06-20T25:00", "0001-01-01T00:00+14:00"])
def test_what_is_no_date_is_refused(at):
    """Anything else is a BadSchedule that starts with the key's name."""
    with pytest.raises(BadSchedule, match=r"^at: "):
        triggers.date(at, "UTC")


@given(st.text(max_size=30))
def test_reading_a_date_raises_nothing_but_bad_schedule(text):
    """Any text is a date or a BadSchedule."""
    with suppress(BadSchedule):
        assert triggers.date(text, "Europe/Stockholm").words


def test_daily_and_hourly_are_cron():
    """They are spellings of cron expressions, equal to them."""
    zone = "Europe/Stockholm"
    assert [cron("30 9 * * *", zone), cron("15 * * * *", zone)] == [daily("09:30", zone), hourly(15, zone)]


@pytest.mark.parametrize("at", ["9:3", "24:00", "09:60", "0930", "", "09:30:00", "-1:30", "٠٩:٣٠", None, 9.5])
def test_what_is_no_time_of_day_is_refused(at):
    """Hour and minute on a 24-hour clock, nothing else."""
    with pytest.raises(BadSchedule, match="time of day"):
        daily(at, "UTC")


def test_a_time_that_yaml_read_as_a_number_is_explained():
    """Unquoted 10:30 arrives as 630; the error says what to write."""
    with pytest.raises(BadSchedule, match='"10:30"'):
        daily(630, "UTC")


@pytest.mark.parametrize("minute", [-1, 60, "5", None, True, 1.0])
def test_what_is_no_minute_is_refused(minute):
    """A whole number from 0 to 59."""
    with pytest.raises(BadSchedule, match="minute of the hour"):
        hourly(minute, "UTC")


ALL = [
    cron("*/5 * * * *", "Europe/Stockholm"),
    interval(timedelta(minutes=5), "Europe/Stockholm"),
    triggers.date("2027-06-20T15:30", "Europe/Stockholm"),
]


@pytest.mark.parametrize("trigger", ALL, ids=lambda trigger: type(trigger).__name__)
def test_apschedulers_contract_is_kept(trigger: Trigger):
    """A fire time is not before now and strictly after the previous one, also when the clock steps back."""
    first = trigger.get_next_fire_time(None, NOW)
    again = trigger.get_next_fire_time(first, first)
    assert [first, first, again, again] == [
        trigger.next_after(NOW),
        trigger.get_next_fire_time(None, first),
        trigger.next_after(first),
        trigger.get_next_fire_time(first, NOW - timedelta(days=1)),
    ]


@pytest.mark.parametrize("trigger", ALL, ids=lambda trigger: type(trigger).__name__)
def test_triggers_cannot_be_changed_from_outside(trigger: Trigger):
    """They are shared, so they are values."""
    for name in ("key", "zone", "words", "warnings", "anything"):
        with pytest.raises(AttributeError):
            setattr(trigger, name, None)


def test_triggers_are_equal_when_they_fire_at_the_same_instants():
    """Spelling does not matter, zone and kind of daylight saving do."""
    zone = "Europe/Stockholm"
    same = {cron(text, zone) for text in ("0 9 * * 1-5", "00 9 * * MON-FRI", "0 9 * 1-12 1,2,3,4,5", "0 9 */1 * 1-5")}
    different = {cron("0 9 * * 1-5", "Europe/Berlin"), cron("0-59 0-23 * * *", zone), cron("* * * * *", zone), *same}
    assert (1, 4) == (len(same), len(different))
    assert cron("0 9 * * *", zone) != "0 9 * * *"


def test_the_zone_of_an_interval_or_date_does_not_change_its_instants():
    """Elapsed time and a fixed instant are the same everywhere."""
    assert interval(timedelta(hours=1), "UTC") == interval(timedelta(hours=1), "Asia/Tokyo")
    assert triggers.date("2027-06-20T15:00", "UTC") == triggers.date("2027-06-20T17:00", "Europe/Stockholm")
