"""What people type for "when": what is understood, what is refused and how, what is pointed out beforehand."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines import triggers
from pipelines.errors import BadSchedule
from pipelines.phrases import cautions, examples, next_fires, understand

ZONE = "Europe/Stockholm"
NOW = datetime(2026, 11, 21, 12, 30, 15, 250_000, tzinfo=UTC)
"""A Saturday, 13:30:15 in Stockholm."""


def read(text, now=NOW):
    return understand(text, zone=ZONE, now=now)


@pytest.mark.parametrize(
    ("texts", "spec"),
    [
        (["0 9 * * 1-5", " 0  9 * * 1-5 "], {"cron": "0 9 * * 1-5"}),
        (["@daily"], {"cron": "@daily"}),
        (["0,30 6 1 1 *"], {"cron": "0,30 6 1 1 *"}),
        (["5 4 3 2 1"], {"cron": "5 4 3 2 1"}),
        (["every 30 minutes", "Every 30 MIN", "every 30m", "every half hour"], {"cron": "*/30 * * * *"}),
        (["every minute", "every 1 minute"], {"cron": "* * * * *"}),
        (["every 2 hours", "every two hours", "every 120 minutes", "every 2h"], {"cron": "0 */2 * * *"}),
        (["every 2 hours at :15"], {"cron": "15 */2 * * *"}),
        (["every hour", "hourly", "every 60 minutes", "once an hour"], {"hourly": 0}),
        (["hourly at 15", "every hour at :15", "every hour at minute 15", "at :15 every hour"], {"hourly": 15}),
        (["every hour at minutes 5 and 35"], {"cron": "5,35 * * * *"}),
        (["every 45 minutes"], {"interval": {"minutes": 45}}),
        (["every 90 minutes", "every 1h30m", "every 1 hour and 30 minutes"], {"interval": {"hours": 1, "minutes": 30}}),
        (["every 10 seconds"], {"interval": {"seconds": 10}}),
        (["every 2 weeks"], {"interval": {"days": 14}}),
        (["every 24 hours"], {"interval": {"days": 1}}),
        (["every day at 06:30", "daily at 6:30", "6.30 am daily", "once a day at 06:30", "at 6:30, every day"],
         {"daily": "06:30"}),
        (["every day at noon", "daily 12pm"], {"daily": "12:00"}),
        (["every day at midnight", "daily at 12am"], {"daily": "00:00"}),
        (["9:30 pm every day", "daily at 9:30 p.m.", "daily 21:30"], {"daily": "21:30"}),
        (["every day at 9, 12 and 15"], {"cron": "0 9,12,15 * * *"}),
        (["every weekday at 09:00", "weekdays at 9", "Mon-Fri 9am", "monday to friday at 9"], {"cron": "0 9 * * 1-5"}),
        (["every monday and thursday at 18:15", "mondays, thursdays 18:15"], {"cron": "15 18 * * 1,4"}),
        (["every friday at 9", "fridays at 9", "every week on friday at 9"], {"cron": "0 9 * * 5"}),
        (["weekends at 10", "every weekend at 10"], {"cron": "0 10 * * 6,7"}),
        (["every month on the 1st at 07:00", "monthly on the first at 7", "on the 1st of every month at 7"],
         {"cron": "0 7 1 * *"}),
        (["on the 1st and 15th of the month at 7"], {"cron": "0 7 1,15 * *"}),
        (["on the last day of the month at 23:30"], {"cron": "30 23 L * *"}),
        (["first monday of the month at 9"], {"cron": "0 9 * * 1#1"}),
        (["on the last friday of every month at 5pm"], {"cron": "0 17 * * 5L"}),
        (["every second sunday of the month at 9"], {"cron": "0 9 * * 0#2"}),
        (["every day in june to august at 9"], {"cron": "0 9 * 6-8 *"}),
        (["every year on 5 jan at 8", "every 5th of january at 8"], {"cron": "0 8 5 1 *"}),
        (["every hour from 9 to 17 on weekdays"], {"cron": "0 9-17 * * 1-5"}),
        (["every 2 hours from 22:00 to 06:00"], {"cron": "0 0,2,4,6,22 * * *"}),
        (["every 15 minutes between 9 and 17"], {"cron": "*/15 9-16 * * *"}),
        (["in 20 minutes", "in 20m"], {"at": "2026-11-21T13:50:15+01:00"}),
        (["in 1h30m", "in 1 hour and 30 minutes"], {"at": "2026-11-21T15:00:15+01:00"}),
        (["in an hour"], {"at": "2026-11-21T14:30:15+01:00"}),
        (["tomorrow at 08:00", "8am tomorrow", "2026-11-22 08:00", "22 nov 8am"], {"at": "2026-11-22T08:00:00"}),
        (["today at 17:00", "on saturday at 17", "this saturday 5pm"], {"at": "2026-11-21T17:00:00"}),
        (["on friday at 9", "next friday at 9"], {"at": "2026-11-27T09:00:00"}),
        (["next saturday at 17", "on 28 november at 17"], {"at": "2026-11-28T17:00:00"}),
        (["2027-01-05 08:00", "2027-01-05T08:00", "5 jan 2027 08:00", "Jan 5, 2027 at 8", "2027-01-05 at 8am",
          "5th of January 2027, 8:00", "once, 2027-01-05 08:00"], {"at": "2027-01-05T08:00:00"}),
        (["2027-01-05T08:00:30Z"], {"at": "2027-01-05T08:00:30Z"}),
        (["29 feb at 9"], {"at": "2028-02-29T09:00:00"}),
        (["<t:1800000000:R>", "<t:1800000000>"], {"at": "2027-01-15T08:00:00+00:00"}),
    ],
)  # fmt: skip
def test_what_is_understood(texts, spec):
    """Each way to say it becomes what a pipelines file would say."""
    assert [spec] * len(texts) == [read(text).spec for text in texts]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "nothing was written; write for instance"),
        ("evry day at 9", "did you mean 'every'? Write for instance"),
        ("every fryday at 9", "did you mean 'friday'?"),
        ("blah", "'blah' is not a word for a time. Write for instance"),
        ("friday at 9", "write 'every friday at 09:00', or 'on friday at 09:00' for once"),
        ("on the 1st at 9", "'every month on the 1st at 09:00'"),
        ("9am", "write 'every day at 09:00', or 'tomorrow at 09:00'"),
        ("every friday", "the time of day is missing"),
        ("tomorrow", "the time of day is missing"),
        ("every month", "the day of the month is missing"),
        ("every week at 9", "the day of the week is missing"),
        ("every year at 9", "the day of the year is missing"),
        ("every day at 24:00", "midnight is 00:00"),
        ("every day at 9:75", "75 is not a minute"),
        ("every day at 13pm", "'13pm' is not a time of day"),
        ("every day at 9:00 and 12:30", "make one schedule for each time"),
        ("every 2 days at 9", "a rhythm has no time of day"),
        ("every 45 minutes on weekdays", "must divide the hour or the day"),
        ("every 2 months", "months and years differ in length"),
        ("every 0 minutes", "from one second to ten years"),
        ("every 999999999 weeks", "from one second to ten years"),
        ("every hour every 2 hours", "it names two rhythms"),
        ("on monday and thursday at 9", "several times without repeating"),
        ("every monday on the 1st at 9", "do not go together"),
        ("every month on the 6th monday at 9", "write 1st to 5th"),
        ("every month on the 32nd at 9", "write 1st to 31st"),
        ("every day at 9 on 5 jan 2027", "it names one date and repeats"),
        ("every year on 5 jan 2027 at 9", "it names a year and repeats"),
        ("tomorrow at 9 every hour", "write only one of them"),
        ("2027-02-30 at 9", "there is no day 30 in month 2 of 2027"),
        ("31 june at 9", "there is no day 31 in month 6"),
        ("in 5 months", "a delay is from one second to ten years"),
        ("hourly every month", "it names two rhythms"),
        ("8:00 december", "write 'every day at 08:00'"),
        ("weekdays at 9 a", "'a' makes no sense at that place"),
        ("every year on 5 july and every tuesday at 9", "do not go together"),
        ("every hour on mondays and on the 1st", "do not go together"),
        ("every week on 5 july at 9", "a date comes once a year"),
        ("every 5 july in june at 9", "more than one day of the year"),
        ("in 20 minutes at 9", "a delay stands alone"),
        ("today at 9", "is in the past: 2026-11-21 09:00 in Europe/Stockholm"),
        ("2020-01-01 10:00", "is in the past: 2020-01-01 10:00"),
        ("<t:1700000000:R>", "is in the past: 2023-11-14 23:13:20"),
        ("<t:9999999999999>", "outside the calendar"),
        ("0 9 * *", "4 fields, expected 5"),
        ("0 0 31 2 *", "would never fire"),
        ("every 31 april at 9", "would never fire"),
        ("2027-03-28 02:30", "does not exist in Europe/Stockholm"),
        ("9 " * 200, "characters are too many"),
        ("at 9 at", "'at' makes no sense at that place"),
    ],
)
def test_what_is_refused(text, told):
    """What is not understood, could mean two things, or lies in the past is told with a remedy."""
    with pytest.raises(BadSchedule) as caught:
        read(text)
    assert told in str(caught.value)


def test_an_unknown_zone_is_refused():
    """The zone must be known."""
    with pytest.raises(BadSchedule, match="Europe/Stockholm"):
        understand("daily at 9", zone="Europe/Stokholm", now=NOW)


def test_the_result_is_ready_to_use():
    """Definition, trigger and zone belong to the spec."""
    known = read("every weekday at 09:00")
    assert ("0 9 * * 1-5", "Monday to Friday at 09:00", ZONE) == (
        known.definition.cron,
        known.trigger.words,
        known.zone,
    )


def test_slots_of_their_own():
    """Cron's H draws its slot from the schedule's id."""
    first, second = (
        understand("H H * * *", zone=ZONE, now=NOW, schedule_id=name).trigger for name in ("prices", "news")
    )
    assert first != second


def test_examples_are_understood():
    """What is offered for an empty text can be taken."""
    assert [] == [text for text in examples() if not next_fires(read(text).trigger, NOW)]


WORDS = """
every each daily hourly at on next in from to and the of last 1st 15th 32nd first monday friday weekdays weekends jan
may february 5 9 30 2027 0 99 9am 13:30 25:00 :15 noon midnight day days hour minutes month week year today tomorrow
1h30m 2027-01-05 - , * @daily <t:1800000000:R> once a second
"""


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join)))
@example("in 99999h 1d")
@example("every １ minutes")
@example("0000-00-00 at 9")
@example("2027-01-05 99:99")
@example("\ud800\0")
def test_any_text_is_understood_or_refused(text):
    """Whatever is typed has a next instant or is a BadSchedule, and takes less than a key stroke."""
    begun = time.thread_time()
    try:
        known = read(text)
    except BadSchedule:
        known = None
    assert time.thread_time() - begun < 0.5
    assert known is None or known.trigger.next_after(NOW) > NOW


MINUTES, HOURS, EVERY = st.integers(0, 59), st.integers(0, 23), st.just("*")
WEEK = st.sampled_from(["*", "1-5", "6"])
CRONS = st.one_of(
    st.tuples(
        MINUTES, HOURS, EVERY, st.sampled_from(["*", "6", "1,6-8"]), st.sampled_from(["*", "0", "6,0", "1#2", "5L"])
    ),
    st.tuples(MINUTES, HOURS, st.sampled_from(["*", "1", "1,15", "L", "1-7"]), EVERY, EVERY),
    st.tuples(st.just(0), st.sampled_from(["6,18", "9-17", "0-23"]), EVERY, EVERY, WEEK),
    st.tuples(st.sampled_from(["*", "*/5", "*/15"]), st.sampled_from(["*", "9-17", "9", "0-5"]), EVERY, EVERY, WEEK),
    st.tuples(MINUTES, st.sampled_from(["*", "*/2", "*/3"]), EVERY, EVERY, WEEK),
)


@settings(deadline=None, max_examples=80)
@given(CRONS)
def test_the_words_of_a_schedule_are_understood(fields):
    """What a schedule is called can be typed to make it again: at the same wall times."""
    trigger = triggers.cron(" ".join(map(str, fields)), ZONE)
    start = datetime(2027, 1, 1, tzinfo=UTC)
    assert next_fires(trigger, start, 40) == next_fires(read(trigger.words).trigger, start, 40), trigger.words


def test_parsing_is_fast():
    """A text is read in far less than five milliseconds, so that each key stroke may ask."""
    begun = time.thread_time()
    for number in range(100):
        read(f"every monday and thursday at 18:{number % 60:02}")
    assert time.thread_time() - begun < 0.5


# ------------------------------------------------------------------ outlook


def told(text, others=()):
    known = read(text)
    return cautions(known.trigger, NOW, ZONE, [read(other).trigger for other in others])


def test_next_fires():
    """The next instants are in UTC; a schedule for once has one."""
    assert [datetime(2026, 11, 22, 7, tzinfo=UTC)] == next_fires(read("tomorrow at 08:00").trigger, NOW)
    expected = [datetime(2026, 11, 22, 7, tzinfo=UTC) + timedelta(days=day) for day in range(3)]
    assert expected == next_fires(read("daily at 8").trigger, NOW, 3)


@pytest.mark.parametrize("text", ["daily at 09:00", "every 45 minutes", "every 30 minutes", "in 20 minutes", "hourly"])
def test_nothing_to_tell(text):
    """A schedule without surprises has no cautions; one that runs every hour goes on through clock changes."""
    assert () == told(text)


def test_a_gap():
    """A fixed time that the clocks skip is told with its date: it runs right after the gap."""
    sentence = "On 28 March 2027 the clocks go from 02:00 to 03:00: 02:30 does not exist, and it runs at 03:00 instead."
    assert sentence in told("daily at 02:30")
    assert (sentence,) == told("every sunday at 02:30")[:1]
    assert () == told("every monday at 02:30")


def test_a_gap_in_a_rhythm():
    """A rhythm leaves out what the clocks skip."""
    sentence = "On 28 March 2027 the clocks go from 02:00 to 03:00: 02:00 does not exist, and it does not run then."
    assert sentence in told("every 2 hours")


def test_a_fold():
    """A time that comes twice is told with its date: a fixed one runs once, a rhythm twice."""
    start = "On 31 October 2027 the clocks go from 03:00 to 02:00: "
    assert f"{start}02:30 comes twice, and it runs once, the first time." in told("daily at 02:30")
    assert f"{start}02:00 comes twice, and it runs twice." in told("every 2 hours")


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 59),
    st.integers(0, 23),
    st.sampled_from(["*", "0", "1-5"]),
    st.sampled_from([ZONE, "Australia/Lord_Howe"]),
)
def test_what_is_told_of_clock_changes_is_true(minute, hour, days, zone):
    """A fixed schedule is told of a gap exactly when one of its instants shows another time on the clock."""
    known = understand(f"{minute} {hour} * * {days}", zone=zone, now=NOW)
    shown = [each.astimezone(known.trigger.zone) for each in known.trigger.walk(NOW, NOW + timedelta(days=400))]
    moved = {(each.day, f"{each:%B %Y}") for each in shown if (each.minute, each.hour) != (minute, hour)}
    sentences = [each for each in cautions(known.trigger, NOW, zone) if "instead" in each]
    assert moved == {(int(each.split()[1]), " ".join(each.split()[2:4])) for each in sentences}


def test_doubles():
    """The same times said in another way are told."""
    assert "already has a schedule for the same times (every day at 09:00)" in told("daily at 9", ["0 9 * * *"])[0]
    assert () == told("daily at 9", ["0 10 * * *"])


def test_often():
    """More than a run every five minutes is told as runs a day; once is never often."""
    assert () == told("9999-12-31 at 9")
    assert ("It runs 1,440 times a day.",) == told("every minute")
    assert ("It runs 86,400 times a day.",) == told("every second")
    assert () == told("every 5 minutes")


def test_the_triggers_own_warnings_are_told():
    """What the trigger itself warns of comes first."""
    assert "comes twice in Europe/Stockholm" in told("2027-10-31 02:30")[0]
