"""The instants of cron schedules, held against a walk over every minute of real time and against croniter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipelines.triggers import cron
from pipelines.triggers.cron_syntax import parse_cron
from pipelines.triggers.zones import check_zone

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

WINDOWS = [
    ("Europe/Stockholm", "2026-03-29"),
    ("Europe/Stockholm", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Africa/Casablanca", "2025-02-23"),
    ("Africa/Casablanca", "2025-04-06"),
    ("America/Vancouver", "2025-11-02"),
    ("America/Vancouver", "2026-03-08"),
    ("America/Havana", "2026-03-08"),
    ("Asia/Beirut", "2025-10-26"),
    ("Antarctica/Troll", "2026-03-29"),
    ("Antarctica/Troll", "2026-10-25"),
    ("Asia/Kathmandu", "1986-01-01"),
    ("Asia/Kathmandu", "2026-03-29"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("UTC", "2026-02-28"),
]


@dataclass(frozen=True)
class Fields:
    """An expression together with the values that its fields were built from."""

    text: str
    sets: tuple[frozenset[int], ...]

    @property
    def stars(self) -> list[bool]:
        return [field.startswith("*") for field in self.text.split()]

    def matches(self, local: datetime) -> bool:
        minutes, hours, days, months, weekdays = self.sets
        by_day, by_weekday = local.day in days, local.isoweekday() % 7 in weekdays
        both = self.stars[2] or self.stars[4]
        return (
            local.minute in minutes
            and local.hour in hours
            and local.month in months
            and (by_day and by_weekday if both else by_day or by_weekday)
        )


@st.composite
def field(draw, low: int, high: int, bias: int, *, week: bool = False):
    """One field's text and the set it stands for; ranges begin within `bias` values of the low end."""
    top = 7 if week else high

    def item():
        kind = draw(st.sampled_from(["n", "n", "a-b", "a-b/s", "a/s"]))
        first = draw(st.integers(low, min(top, low + bias)))
        last = top if kind == "a/s" else first if kind == "n" else draw(st.integers(first, top))
        step = draw(st.integers(1, min(last - first + 1, high - low + 1))) if kind.endswith("s") else 1
        text = {"n": f"{first}", "a-b": f"{first}-{last}", "a-b/s": f"{first}-{last}/{step}", "a/s": f"{first}/{step}"}
        values = range(first, last + 1, step)
        return text[kind], {value % 7 for value in values} if week else set(values)

    kind = draw(st.sampled_from(["*", "*", "*/s", "list", "list", "list"]))
    if kind == "*":
        return "*", set(range(low, high + 1))
    if kind == "*/s":
        step = draw(st.integers(1, high - low + 1))
        return f"*/{step}", set(range(low, high + 1, step))
    items = [item() for _ in range(draw(st.integers(1, 3)))]
    return ",".join(text for text, _ in items), set().union(*(values for _, values in items))


@st.composite
def expressions(draw):
    """A valid expression of plain fields, leaning to the hours in which clocks change."""
    minute, hour = draw(field(0, 59, 59)), draw(field(0, 23, 4))
    day, month = draw(st.one_of(st.just(("*", set(range(1, 32)))), field(1, 31, 30))), ("*", set(range(1, 13)))
    weekday = draw(st.one_of(st.just(("*", set(range(7)))), field(0, 6, 7, week=True)))
    parts = [minute, hour, day, month, weekday]
    return Fields(" ".join(text for text, _ in parts), tuple(frozenset(values) for _, values in parts))


@lru_cache(maxsize=len(WINDOWS))
def minutes_of(zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """All minutes of real time in the six days about the day, each with what the zone's clocks show."""
    info: ZoneInfo = check_zone(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - 3 * DAY
    instants = [start + number * MINUTE for number in range(6 * 24 * 60)]
    return [(instant, instant.astimezone(info).replace(tzinfo=None)) for instant in instants]


def reference(fields: Fields, zone: str, day: str) -> list[datetime]:
    """The instants at which the schedule is due in the window, by looking at every minute of it."""
    minutes = minutes_of(zone, day)
    due = {instant for instant, local in minutes if fields.matches(local)}
    if fields.stars[0] or fields.stars[1]:
        return sorted(due)
    seen: set[datetime] = set()
    fixed: set[datetime] = set()
    for (_, before), (instant, local) in pairwise(minutes):
        gap = local - before - MINUTE
        if timedelta(0) < gap < 3 * HOUR and any(
            fields.matches(before + (number + 1) * MINUTE) for number in range(gap // MINUTE)
        ):
            fixed.add(instant)
        if instant in due and local not in seen:
            fixed.add(instant)
        seen.add(local)
    return sorted(fixed)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)
@given(fields=expressions(), window=st.sampled_from(WINDOWS), offset=st.integers(0, 5 * 24 * 3600 - 120))
def test_instants_are_those_of_a_walk_over_every_minute(fields, window, offset):
    """Near gaps, folds and skipped days, and from any start, the schedule is due exactly when the rules say."""
    zone, day = window
    due = reference(fields, zone, day)
    trigger = cron(fields.text, zone)
    # The first day is left out: what the clocks showed before the window decides about it too.
    start = minutes_of(zone, day)[0][0] + DAY
    end = minutes_of(zone, day)[-1][0]
    expected = [instant for instant in due if start < instant <= end]
    assert expected == list(trigger.walk(start, end))
    somewhere = start + timedelta(seconds=offset)
    after = trigger.next_after(somewhere)
    assert next((instant for instant in due if instant > somewhere), None) == (
        after if after and after <= end else None
    )
    assert (expected[-3:], len(expected[:-3])) == trigger.instants(start, end, 3)


SPECIAL = ["L *", "1,L *", "30,31,L 5", "L */2", "* 1#2", "* 5L", "* 0#5,3L", "* 1#1,1#3"]


@settings(max_examples=50, deadline=None)
@given(
    fields=expressions(),
    special=st.sampled_from([None, None, *(pair.split() for pair in SPECIAL)]),
    month=st.sampled_from(["*", "2", "*/3", "4,6,11"]),
    start=st.datetimes(datetime.fromisoformat("1999-01-01"), datetime.fromisoformat("2100-01-01")),
)
def test_the_calendar_agrees_with_croniter_on_the_whole_expression(fields, special, month, start):
    """Days by croniter and times by search give the same as croniter given all five explicit lists."""
    minute, hour, day, _, weekday = fields.text.split()
    if special:
        day, weekday = special
    day = day if day.startswith("*") else f"{day},28"
    calendar = parse_cron(f"{minute} {hour} {day} {month} {weekday}")[0]
    theirs = croniter(calendar.canonical, start, day_or=calendar.day_or)
    ours = start
    for _ in range(5):
        ours = calendar.next_wall(ours)
        assert theirs.get_next(datetime) == ours


@settings(max_examples=60, deadline=None)
@given(
    fields=expressions(),
    zone=st.sampled_from([zone for zone, _ in WINDOWS]),
    seconds=st.integers(4 * 366 * 86400, 130 * 366 * 86400),
)
def test_instants_rise_in_whole_minutes_of_utc(fields, zone, seconds):
    """Every next instant is aware UTC, a whole minute, and strictly later than the one before."""
    after = datetime.fromtimestamp(seconds, UTC)
    trigger = cron(fields.text, zone)
    previous = after
    for instant in islice(trigger.walk(after, after + 4000 * DAY), 4):
        assert (UTC, 0, 0) == (instant.tzinfo, instant.second, instant.microsecond)
        assert instant > previous
        previous = instant


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(expression: str, zone: str, after: str, count: int) -> list[str]:
    instants = islice(cron(expression, zone).walk(utc(after), datetime.max.replace(tzinfo=UTC)), count)
    return [f"{instant:%Y-%m-%dT%H:%M}" for instant in instants]


def test_monday_to_friday_is_one_to_five():
    """`1-5` fires on the five working days and not at the weekend."""
    days = [datetime.fromisoformat(text).strftime("%a") for text in due("0 9 * * 1-5", "UTC", "2026-06-06T00:00", 6)]
    assert ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"] == days


@pytest.mark.parametrize("sunday", ["0", "7", "SUN"])
def test_sunday_is_zero_and_seven(sunday):
    """All spellings of Sunday fire on Sundays."""
    assert ["2026-06-07T09:00", "2026-06-14T09:00"] == due(f"0 9 * * {sunday}", "UTC", "2026-06-01T00:00", 2)


def test_friday_to_sunday_wraps_to_the_weeks_end():
    """`FRI-SUN` is Friday, Saturday and Sunday."""
    expected = ["2026-06-05T09:00", "2026-06-06T09:00", "2026-06-07T09:00", "2026-06-12T09:00"]
    assert expected == due("0 9 * * FRI-SUN", "UTC", "2026-06-01T00:00", 4)


def test_the_thirteenth_and_fridays_are_either():
    """Two restricted day fields fire when one of them matches."""
    expected = ["2026-02-13T00:00", "2026-02-20T00:00", "2026-02-27T00:00", "2026-03-06T00:00", "2026-03-13T00:00"]
    assert expected == due("0 0 13 * 5", "UTC", "2026-02-10T00:00", 5)


def test_a_star_step_makes_both_day_fields_count():
    """`*/2` beside Monday means Mondays on odd days."""
    assert ["2026-06-01T00:00", "2026-06-15T00:00"] == due("0 0 */2 * 1", "UTC", "2026-05-31T00:00", 2)


def test_the_leap_day_is_waited_for():
    """29 February comes every four years, but not in 2100."""
    assert ["2096-02-29T12:00", "2104-02-29T12:00"] == due("0 12 29 2 *", "UTC", "2093-01-01T00:00", 2)


def test_a_leap_day_on_a_sunday_is_found_forty_years_ahead():
    """The longest wait of the calendar that a schedule can ask for."""
    assert ["2088-02-29T00:00", "2128-02-29T00:00"] == due("0 0 29 2 */7", "UTC", "2085-01-01T00:00", 2)


def test_the_year_ends_in_the_schedules_zone():
    """The last minute of the year in Stockholm is 22:59 UTC."""
    expected = ["2026-12-31T22:59", "2027-12-31T22:59"]
    assert expected == due("59 23 31 12 *", "Europe/Stockholm", "2026-06-01T00:00", 2)


def test_the_last_day_follows_the_month():
    """`L` is the 28th, 29th, 30th or 31st as the month has it."""
    assert ["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"] == [
        text[:10] for text in due("0 0 L * *", "UTC", "2028-01-01T00:00", 4)
    ]


def test_the_nth_and_the_last_weekday_are_found():
    """The second Monday and the last Friday of each month."""
    expected = ["2026-06-08", "2026-06-26", "2026-07-13", "2026-07-31"]
    assert expected == [text[:10] for text in due("0 0 * * 1#2,5L", "UTC", "2026-06-01T00:00", 4)]


def test_a_fixed_time_in_a_gap_fires_once_right_after_it():
    """02:10, 02:30 and 03:00 of a spring night in Stockholm are one instant, 03:00."""
    expected = ["2026-03-29T01:00", "2026-03-29T01:10", "2026-03-29T01:30", "2026-03-30T00:00"]
    assert expected == due("0,10,30 2,3 * * *", "Europe/Stockholm", "2026-03-28T12:00", 4)


def test_a_fixed_time_in_a_fold_fires_in_the_first_pass_only():
    """02:30 of an autumn night in Stockholm comes twice on the clock and once for the schedule."""
    expected = ["2026-10-25T00:30", "2026-10-26T01:30"]
    assert expected == due("30 2 * * *", "Europe/Stockholm", "2026-10-24T12:00", 2)


def test_a_wildcard_schedule_fires_in_both_passes():
    """Every half hour stays every half hour of real time through a fold."""
    expected = ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30", "2026-10-25T02:00"]
    assert expected == due("*/30 * * * *", "Europe/Stockholm", "2026-10-24T23:30", 5)


def test_a_wildcard_schedule_never_fires_for_a_gap():
    """Any minute of hour 2 does not come on the night that has no such hour."""
    assert ["2026-03-30T00:00"] == due("* 2 * * *", "Europe/Stockholm", "2026-03-28T01:59", 1)


def test_a_skipped_day_is_skipped():
    """Samoa had no 30 December 2011: nothing fires for it, late or early."""
    assert ["2011-12-29T19:00", "2011-12-30T19:00"] == due("0 9 * * *", "Pacific/Apia", "2011-12-29T00:00", 2)


def test_the_calendars_end_is_never_again():
    """Beyond the year 9999 there is no next instant, and no error."""
    assert cron("0 0 29 2 *", "UTC").next_after(utc("9998-01-01T00:00")) is None


def test_naive_times_are_refused():
    """A time without a zone is a mistake of the caller's."""
    with pytest.raises(ValueError, match="no time zone"):
        cron("* * * * *", "UTC").next_after(datetime.fromisoformat("2026-01-01"))


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("*/30 * * * *", "Europe/Stockholm"),
        ("0,30 1-3 * * *", "America/New_York"),
        ("15 0,12 * * 1-5", "Asia/Beirut"),
        ("20 2 1 * *", "Africa/Casablanca"),
        ("0 9 * * *", "Pacific/Apia"),
    ],
)
@pytest.mark.parametrize("limit", [0, 1, 7, 100_000])
def test_older_instants_are_counted_exactly(expression, zone, limit):
    """Over a year with both changes of the clocks, the count of days agrees with one step per instant."""
    trigger = cron(expression, zone)
    after, until = utc("2011-05-03T10:07"), utc("2012-05-03T10:13")
    every = list(trigger.walk(after, until))
    kept = every[len(every) - min(limit, len(every)) :]
    assert (kept, len(every) - len(kept)) == trigger.instants(after, until, limit)


def test_nothing_is_due_in_an_empty_or_backward_span():
    """The span is open at its start; one that runs backwards holds nothing."""
    trigger = cron("0 9 * * *", "UTC")
    nine = utc("2026-06-01T09:00")
    assert [([], 0), ([], 0), ([nine], 0)] == [
        trigger.instants(nine, nine, 5),
        trigger.instants(nine, nine - DAY, 5),
        trigger.instants(nine - MINUTE, nine, 5),
    ]
