"""The grammar of cron expressions: what is read, what is refused, and what the refusal says."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import BadSchedule
from pipelines.triggers.cron_syntax import parse_cron
from pipelines.triggers.cron_trigger import cron

FULL_HOUR = tuple(range(60))


def canonical(expression: str, schedule_id: str = "") -> str:
    return parse_cron(expression, schedule_id)[0].canonical


def day_or(expression: str) -> bool:
    return parse_cron(expression)[0].day_or


def wildcard(expression: str) -> bool:
    return parse_cron(expression)[0].wildcard


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * 1-5", "0 9 * * 1,2,3,4,5"),
        ("0 9 * * 0", "0 9 * * 0"),
        ("0 9 * * 7", "0 9 * * 0"),
        ("0 9 * * sun", "0 9 * * 0"),
        ("0 9 * * 5-7", "0 9 * * 0,5,6"),
        ("0 9 * * FRI-SUN", "0 9 * * 0,5,6"),
        ("0 9 * * Mon,wED-fri", "0 9 * * 1,3,4,5"),
        ("0 9 * * 0-7", "0 9 * * *"),
        ("0 9 * * */7", "0 9 * * 0"),
        ("0 9 * * SUN-SUN", "0 9 * * 0"),
        ("0 9 * JAN,jun-Aug *", "0 9 * 1,6,7,8 *"),
        ("0 9 * 1-12 *", "0 9 * * *"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        ("50/5 * * * *", "50,55 * * * *"),
        ("59/1 * * * *", "59 * * * *"),
        ("7-7 * * * *", "7 * * * *"),
        ("7-7/1 * * * *", "7 * * * *"),
        ("0-59 0-23 * * *", "* * * * *"),
        ("*/1 * * * *", "* * * * *"),
        ("*/25 * * * *", "0,25,50 * * * *"),
        ("10-30/10,5 * * * *", "5,10,20,30 * * * *"),
        ("05 09 01 02 *", "5 9 1 2 *"),
        ("0\t9 \t *  *\t*", "0 9 * * *"),
        ("  0 9 * * *  ", "0 9 * * *"),
        ("0 0 L * *", "0 0 L * *"),
        ("0 0 l,15,1 * *", "0 0 1,15,L * *"),
        ("0 0 31,L * *", "0 0 L * *"),
        ("0 0 1-30,L * *", "0 0 * * *"),
        ("0 0 * * 1#2", "0 0 * * 1#2"),
        ("0 0 * * MON#1,7#5", "0 0 * * 0#5,1#1"),
        ("0 0 * * 5L", "0 0 * * L5"),
        ("0 0 * * 7l,fril", "0 0 * * L0,L5"),
        ("0 0 30,31 2,4 *", "0 0 30 2,4 *"),
        ("0 0 1-29 2 *", "0 0 * 2 *"),
    ],
)
def test_expressions_become_explicit_lists(expression, expected):
    """Ranges, steps, names, Sunday as 0 and 7, `L`, `#` and blanks all come down to lists of numbers."""
    assert expected == canonical(expression)


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@DAILY", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ],
)
def test_macros_are_read_in_any_case(macro, expected):
    """Each macro stands for its five fields."""
    assert expected == canonical(macro)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* 9 * * *", True),
        ("0 * * * *", True),
        ("*/5 9 * * *", True),
        ("*/1 */1 * * *", True),
        ("0 9 * * *", False),
        ("0-59 0-23 * * *", False),
        ("5,* 9 * * *", False),
        ("0 9 */2 * *", False),
    ],
)
def test_a_star_at_the_start_of_minute_or_hour_makes_a_wildcard_schedule(expression, expected):
    """Only the text decides between real time and wall clock, and only that of the first two fields."""
    assert expected == wildcard(expression)


@pytest.mark.parametrize(
    ("expression", "days", "either"),
    [
        ("0 0 13 * 5", "13 * 5", True),
        ("0 0 13 * *", "13 * *", False),
        ("0 0 * * 5", "* * 5", False),
        ("0 0 */15 * 5", "1,16,31 * 5", False),
        ("0 0 13 * */5", "13 * 0,5", False),
        ("0 0 13,*/15 * 5", "1,13,16,31 * 5", True),
        ("0 0 1-31 * 5", "* * *", False),
        ("0 0 13 * 0-6", "* * *", False),
        ("0 0 31 2 1", "* 2 1", False),
    ],
)
def test_both_day_fields_must_match_when_one_starts_with_a_star_and_else_either(expression, days, either):
    """The rule of the two day fields is Debian's; a field that every day matches is written `*`."""
    assert (days, either) == (parse_cron(expression)[0].days, day_or(expression))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("@every 5m", ["'@every'", "interval"]),
        ("@reboot", ["'@reboot'", "start-up"]),
        ("@weekley", ["did you mean '@weekly'"]),
        ("@nope", ["@hourly"]),
        ("* * * *", ["4 fields", "expected 5", "day of week"]),
        ("", ["0 fields"]),
        ("0 * * * * *", ["6 fields", "seconds", "interval"]),
        ("0 0 9 * * 1 2027", ["7 fields", "seconds and years", "interval"]),
        ("0 0 ? * 1", ["day of month '?'", "Quartz", "'*'"]),
        ("0 0 15W * *", ["day of month '15W'", "nearest weekday", "MON-FRI"]),
        ("0 0 LW * *", ["day of month 'LW'", "nearest weekday"]),
        ("0 0 L-3 * *", ["day of month 'L-3'", "'L'"]),
        ("0 0 * * L", ["day of week 'L'", "'5L'", "'SAT'"]),
        ("0 0 * * 1#6", ["day of week '1#6'", "'#5'"]),
        ("0 0 1#2 * *", ["day of month '1#2'", "day of week"]),
        ("0 0 * * 1#2,3", ["day of week '1#2,3'", "two schedules"]),
        ("0 0 13 * 5L", ["day of week 'L5'", "'*' as day of month"]),
        ("0 0 */2 * 1#1", ["'*' as day of month"]),
        ("R * * * *", ["minute 'R'", "'H'"]),
        ("0~30 * * * *", ["minute '0~30'", "'H(0-29)'"]),
        ("H(3 * * * *", ["minute 'H(3'", "H(a-b)"]),
        ("H(30-3) * * * *", ["minute 'H(30-3)'", "backwards"]),
        ("H(0-60) * * * *", ["minute 'H(0-60)'", "0-59"]),
        ("H/61 * * * *", ["minute 'H/61'", "hourly"]),
        ("*/90 * * * *", ["minute '*/90'", "fires hourly, not every 90 minutes", "interval"]),
        ("*/120 * * * *", ["minute '*/120'", "not every 120 minutes"]),
        ("0 */48 * * *", ["hour '*/48'", "fires daily, not every 48 hours", "interval"]),
        ("0 0 */40 * *", ["day of month '*/40'", "not every 40 days"]),
        ("0 0 * * */8", ["day of week '*/8'", "weekly"]),
        ("1-5/6 * * * *", ["minute '1-5/6'", "'1'"]),
        ("*/0 * * * *", ["minute '*/0'", "at least 1"]),
        ("*/005 * * * *", ["minute '*/005'", "one or two digits"]),
        ("*/ * * * *", ["minute '*/'", "step"]),
        ("*/a * * * *", ["minute '*/a'", "step"]),
        ("*-5 * * * *", ["minute '*-5'", "whole range"]),
        ("60 * * * *", ["minute '60'", "0-59", "minute 0"]),
        ("0 24 * * *", ["hour '24'", "0-23", "midnight is hour 0"]),
        ("0 0 0 * *", ["day of month '0'", "1-31"]),
        ("0 0 32 * *", ["day of month '32'", "1-31"]),
        ("0 0 * 0 *", ["month '0'", "1-12"]),
        ("0 0 * * 8", ["day of week '8'", "0-7"]),
        ("-1 * * * *", ["minute '-1'", "negative"]),
        ("001 * * * *", ["minute '001'", "one or two digits"]),
        ("1,,2 * * * *", ["minute ''", "extra comma"]),
        ("1.5 * * * *", ["minute '1.5'", "range"]),
        ("0 22-5 * * *", ["hour '22-5'", "backwards", "'22-23,0-5'"]),
        ("0 0 * * 5-0", ["day of week '5-0'", "'5-6,0'"]),
        ("0 0 * * SAT-MON", ["day of week 'SAT-MON'", "'6,0-1'"]),
        ("0 0 * * MONDAY", ["day of week 'MONDAY'", "three letters"]),
        ("0 0 * * FOO", ["day of week 'FOO'", "'FOO'", "MON"]),
        ("0 0 * MON *", ["month 'MON'", "JAN"]),
        ("MON * * * *", ["minute 'MON'", "0-59"]),
        ("0 0 31 2 *", ["day of month '31'", "never fire", "'L'"]),
        ("0 0 30,31 2 *", ["day of month '30,31'", "never fire"]),
        ("0 0 31 4,6 */2", ["day of month '31'", "never fire"]),
        ("0 9 * * *\n", ["'\\n'", "one line"]),
        ("0\u00a09 * * *", ["'\\xa0'", "ASCII"]),
        ("\u0661 9 * * *", ["ASCII"]),
        ("0" * 257, ["257 characters", "256"]),
    ],
)
def test_a_refusal_names_the_place_the_reason_and_the_remedy(expression, words):
    """Whatever cron cannot say is refused with what to write instead."""
    with pytest.raises(BadSchedule) as caught:
        cron(expression, "UTC")
    missing = [word for word in ["cron ", *words] if word not in str(caught.value)]
    assert [] == missing, str(caught.value)


@pytest.mark.parametrize("expression", [None, 5, 1.5, ["* * * * *"], b"* * * * *"])
def test_what_is_not_text_is_refused_too(expression):
    """YAML may hand over anything; it ends as the same kind of error."""
    with pytest.raises(BadSchedule, match="not text"):
        cron(expression, "UTC")


def test_exactly_256_characters_are_still_read():
    """The limit itself is allowed."""
    expression = "0 9 * * *".ljust(256)
    assert "0 9 * * *" == canonical(expression)


@pytest.mark.parametrize(
    ("expression", "warned"),
    [
        ("0 0 */2 * 1", True),
        ("0 0 1 * */2", True),
        ("0 0 */2 * */3", True),
        ("0 0 */2 * *", False),
        ("0 0 * * */2", False),
        ("0 0 13 * 5", False),
    ],
)
def test_a_step_star_beside_the_other_day_field_is_warned_about(expression, warned):
    """Programs disagree on it, so the user is told what it means here."""
    assert warned == bool(cron(expression, "UTC").warnings)


def test_a_slot_is_stable_and_of_the_schedules_own():
    """The same id gives the same slots in every process; minute and hour are drawn apart."""
    assert ["43 21 * * *", "43 21 * * *"] == [canonical("H H * * *", "x"), canonical("h h * * *", "x")]
    assert canonical("H H * * *", "x") != canonical("H H * * *", "y")


def test_slots_reach_the_whole_day():
    """Ten thousand daily schedules spread over nearly all 1,440 minutes of the day."""
    slots = {canonical("H H * * *", str(number)) for number in range(10_000)}
    assert len(slots) > 1_400


def test_slots_stay_within_their_ranges():
    """Bare `H` keeps to the field, day of month to 1-28; `H(a-b)` to its bounds; steps keep their distance."""
    calendars = [parse_cron("H(10-19)/5 H H H H", str(number))[0] for number in range(500)]
    fields = [set(values) for values in zip(*(calendar.days.split() for calendar in calendars), strict=True)]
    assert {(start, start + 5) for start in range(10, 15)} == {calendar.minutes for calendar in calendars}
    assert [{str(n) for n in span} for span in (range(1, 29), range(1, 13), range(7))] == fields


def test_a_stepped_slot_covers_the_field():
    """`H/15` is four minutes, fifteen apart, from a start of the schedule's own."""
    starts = {parse_cron("H/15 * * * *", str(number))[0].minutes for number in range(300)}
    assert {(start, start + 15, start + 30, start + 45) for start in range(15)} == starts


TOKENS = st.lists(
    st.one_of(
        st.sampled_from([*"*,-/LlHhWR?#~@() \t\n", "MON", "sun", "FRI-SUN", "JAN", "H(", "*/", "5L", "1#2", "@daily"]),
        st.integers(-1, 120).map(str),
        st.text(string.printable, max_size=2),
    ),
    max_size=12,
).map("".join)


@given(st.one_of(st.text(max_size=300), st.lists(TOKENS, min_size=4, max_size=7).map(" ".join)))
def test_reading_raises_nothing_but_bad_schedule(text):
    """Any text is either a schedule whose canonical form reads the same again, or a BadSchedule."""
    try:
        calendar, _ = parse_cron(text, "id")
    except BadSchedule:
        return
    assert calendar.minutes
    assert calendar.hours
    assert len(calendar.canonical.split()) == 5
