"""A schedule's start, end and jitter, over every kind of trigger, and through the timetable."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import triggers
from pipelines.catalog import ScheduleEntry
from pipelines.definition import ScheduleDefinition
from pipelines.errors import BadSchedule
from pipelines.jobs import Jobs
from pipelines.model import RunState, ScheduleRow
from pipelines.scheduled import Scheduled
from pipelines.terminal import jobs_table
from pipelines.timetable import Timetable
from pipelines.triggers import end_of, later, offset_of, start_of, within

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOON = datetime(2027, 6, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ALL = st.sampled_from(
    [
        triggers.cron("*/7 * * * *", "Europe/Stockholm"),
        triggers.cron("30 2 * * *", "Europe/Stockholm"),
        triggers.interval(timedelta(minutes=13), "UTC"),
        triggers.date("2027-06-20T15:30", "UTC"),
        triggers.daily("02:30", "America/New_York"),
        triggers.hourly(15, "Asia/Kolkata"),
    ]
)
MOMENTS = st.integers(0, 30 * 86_400).map(lambda seconds: datetime(2027, 6, 1, tzinfo=UTC) + timedelta(seconds=seconds))
OPEN = st.none() | MOMENTS


@given(trigger=ALL, start=OPEN, end=OPEN, after=MOMENTS, span=st.integers(-1_000, 100_000), limit=st.integers(0, 30))
def test_a_window_leaves_just_what_lies_within_it(trigger, start, end, after, span, limit):
    """For every kind of trigger, what is due is what would be due otherwise, from start to end inclusive."""
    if start is not None and end is not None and end < start:
        with pytest.raises(BadSchedule, match=r"^end: "):
            within(trigger, start, end)
        return
    until = after + timedelta(seconds=span)
    every = [
        each for each in trigger.walk(after, until) if (start is None or each >= start) and (end is None or each <= end)
    ]
    window = within(trigger, start, end)
    kept = every[len(every) - min(limit, len(every)) :]
    assert every == list(window.walk(after, until))
    assert (kept, len(every) - len(kept)) == window.instants(after, until, limit)


@given(trigger=ALL, start=MOMENTS, after=MOMENTS)
def test_start_and_end_are_inclusive(trigger, start, after):
    """An instant that is the very start, or the very end, is due."""
    instant = trigger.next_after(after)
    if instant is not None:
        window = within(trigger, instant, instant)
        assert instant == window.next_after(after)
        assert window.next_after(instant) is None


@given(trigger=ALL, by=st.integers(0, 86_400), after=MOMENTS)
def test_what_is_later_keeps_its_distance(trigger, by, after):
    """For every kind of trigger, jitter moves each instant by the same and loses none."""
    offset = timedelta(seconds=by)
    moved = list(later(trigger, offset).walk(after + offset, after + offset + DAY))
    assert [each + offset for each in trigger.walk(after, after + DAY)] == moved


@given(schedule_id=st.text(max_size=80), most_ms=st.integers(0, 86_400_000))
def test_an_offset_is_stable_and_less_than_the_jitter(schedule_id, most_ms):
    """The same id gives the same offset, whole milliseconds from 0 to below the jitter."""
    most = timedelta(milliseconds=most_ms)
    offset = offset_of(schedule_id, most)
    assert offset == offset_of(schedule_id, most)
    assert timedelta(0) <= offset < max(most, timedelta(microseconds=1))
    assert timedelta(0) == offset % timedelta(milliseconds=1)


def test_offsets_are_spread():
    """A hundred schedules with a jitter of a minute do not start in the same half of it; restarts do not move one."""
    offsets = [offset_of(f"prices-{number}", timedelta(minutes=1)) for number in range(100)]
    assert 30 < sum(offset < timedelta(seconds=30) for offset in offsets) < 70
    assert timedelta(seconds=19, milliseconds=733) == offset_of("prices", timedelta(seconds=30))


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2027-06-20", "2027-06-19T22:00:00+00:00", "2027-06-20T21:59:59.999999+00:00"),
        ("2027-06-20T15:30", "2027-06-20T13:30:00+00:00", "2027-06-20T13:30:00+00:00"),
        ("2027-06-20T15:30Z", "2027-06-20T15:30:00+00:00", "2027-06-20T15:30:00+00:00"),
        ("2027-03-28", "2027-03-27T23:00:00+00:00", "2027-03-28T21:59:59.999999+00:00"),
    ],
)
def test_dates_are_whole_days_of_the_zone(text, start, end):
    """A date starts at its midnight and ends with its last moment, however long the day; a time is that instant."""
    assert [start, end] == [start_of(text, STOCKHOLM).isoformat(), end_of(text, STOCKHOLM).isoformat()]


@given(text=st.text(max_size=30) | st.dates().map(str) | st.datetimes().map(str))
def test_reading_a_start_raises_nothing_but_bad_schedule(text):
    """Any text is an instant or a BadSchedule that names its key."""
    for key, read in (("start", start_of), ("end", end_of)):
        with suppress(BadSchedule):
            assert read(text, STOCKHOLM).tzinfo is UTC
            continue
        with pytest.raises(BadSchedule, match=f"^{key}: "):
            read(text, STOCKHOLM)


def test_a_window_without_any_instant_is_told():
    """A schedule that is never due between its start and its end comes with a warning."""
    definition = ScheduleDefinition.model_validate({"cron": "0 9 1 1 *", "start": "2027-02-01", "end": "2027-03-01"})
    assert "it never runs" in definition.trigger("UTC", "prices").warnings[0]


def test_words_tell_the_window():
    """People read from when until when a schedule holds, in its zone."""
    definition = ScheduleDefinition.model_validate({"daily": "09:00", "start": "2027-06-20T08:00", "end": "2027-08-31"})
    words = definition.trigger("Europe/Stockholm", "prices").words
    assert "every day at 09:00, from 2027-06-20 08:00 until the end of 2027-08-31" == words
    assert {"daily": "09:00", "start": "2027-06-20T08:00", "end": "2027-08-31"} == definition.spec()


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now):
        """Begin at `now`."""
        self.now = now

    def __call__(self):
        return self.now


class Notebook:
    """A writer that keeps what it is told and stores nothing."""

    def __init__(self):
        """Begin with nothing written."""
        self.dues = []

    async def call(self, _, dues):
        self.dues += dues
        return [None] * len(dues)


def entry(**spec):
    """A schedule of the pipeline prices."""
    definition = ScheduleDefinition.model_validate(spec)
    return ScheduleEntry("prices", "prices", definition, definition.trigger("UTC", "prices"), "UTC", {})


async def rung(clock, entry_, last):
    """What the timetable records of a schedule at the clock's time."""
    notebook = Notebook()
    timetable = Timetable(writer=notebook, queued=lambda _: None, ended=lambda _: None, clock=clock)
    timetable.put([Scheduled(entry=entry_, last=last, max_attempts=1, max_instances=1)])
    timetable.start()
    for _ in range(20):
        await asyncio.sleep(0)
    for key in list(timetable._groups):
        timetable._ring(key)
    await timetable.stop()
    return [(due.run.due_at, due.state) for due in notebook.dues]


async def test_an_occurrence_waits_for_its_offset_and_keeps_its_instant():
    """Until the offset is over nothing is due; then the row has the nominal instant, and it is on time."""
    jittery = entry(hourly=0, jitter="30s", misfire={"grace": 0, "policy": "none"})
    offset = jittery.offset
    early = await rung(Clock(NOON + offset - timedelta(milliseconds=1)), jittery, NOON - timedelta(minutes=1))
    assert [] == early
    due = await rung(Clock(NOON + offset), jittery, NOON - timedelta(minutes=1))
    assert [(NOON, RunState.QUEUED)] == due
    assert [] == await rung(Clock(NOON + offset), jittery, NOON)


def test_the_clockwork_rings_when_the_offset_is_over():
    """The alarm of a schedule with jitter is set for its next instant and its offset, if any."""
    for jitter in (0, "30s"):
        one = entry(hourly=0, jitter=jitter)
        timetable = Timetable(writer=Notebook(), queued=lambda _: None, ended=lambda _: None, clock=Clock(NOON))
        timetable.put([Scheduled(entry=one, last=NOON - timedelta(hours=1), max_attempts=1, max_instances=1)])
        (job,) = timetable._apscheduler.get_jobs()
        assert NOON + one.offset == job.next_run_time
        assert NOON + one.offset + timedelta(hours=1) == job.trigger.get_next_fire_time(job.next_run_time, NOON)


def jobs_at(now, entry_):
    """The jobs of a service at `now`, with this one."""
    jobs = Jobs(None, None, None, None, clock=Clock(now))
    jobs.entries[entry_.id] = entry_
    return jobs


def row_of(entry_):
    """The row of a schedule."""
    return ScheduleRow("prices", "prices", entry_.definition.spec(), "UTC", entry_.trigger.words, last_due_at=None)


def test_the_next_run_that_is_shown_is_the_real_one():
    """The next run of a schedule with jitter is its instant and its offset, also while an instant waits for that."""
    jittery = entry(hourly=0, jitter="30s")
    hour = timedelta(hours=1)
    row = row_of(jittery)
    assert NOON + hour + jittery.offset == jobs_at(NOON + timedelta(minutes=1), jittery).with_next_due(row).next_due_at
    handled = ScheduleRow("prices", "prices", row.spec, "UTC", row.words, last_due_at=NOON - hour)
    waiting = jobs_at(NOON + timedelta(seconds=1), jittery).with_next_due(handled)
    assert NOON + jittery.offset == waiting.next_due_at


def test_a_schedule_whose_end_has_passed_shows_ended(project):
    """The table of jobs says that it has ended instead of a next run."""
    over = entry(daily="09:00", end="2027-06-01")
    row = jobs_at(NOON, over).with_next_due(row_of(over))
    assert row.ended
    project.plugin("mine", "def one(_):\n    yield 1\n")
    project.write("pipelines: {prices: {schedule: '@daily', chain: [mine.one]}}")
    table = jobs_table(project.catalog(project.settings()), [row], NOON)
    assert "ended" == next(iter(table.columns[3].cells))
    assert not jobs_at(NOON - timedelta(days=30), over).with_next_due(row_of(over)).ended
