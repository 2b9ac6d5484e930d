"""The clauses of a text for "when": `every 2 hours`, `on the 1st`, `at 9am`, `in 20 minutes`, in any order.

Each clause is a regular expression over the kinds of tokens, and puts what it says into a `Said`. Whether the clauses
make sense together is decided in `meaning`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from pipelines.errors import BadSchedule
from pipelines.phrases.tokens import (
    LAST,
    MONTH,
    NEXT,
    NUMBER,
    ON,
    ONE,
    ORDINAL,
    TIME,
    TO,
    UNIT,
    WEEKDAYS,
    YEAR,
    Token,
    hour_of,
)
from pipelines.wording import quoted

_CLAUSES = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("delay", r"I(?:[nNA]u|l)+"),
        ("rhythm", r"e(?:(?:[nNA]u|l)+|u)"),
        ("window", r"f[tn]-?[tn]"),
        ("iso_date", r"O?i"),
        ("date", r"O?(?:[no]M|M[no](?!u))N?"),
        ("nth_weekdays", r"O?(?:[oL]d)+"),
        ("month_days", r"O?(?:o(?:-o)?|Lu|un)+"),
        ("minutes", r"a?m+|aun+"),
        ("times", r"(?:a[tn]|t)(?:a?(?:t|n(?![Mu])))*"),
        ("weekdays", r"[OX]?(?:[dD](?:-[dD])?)+"),
        ("repeats", r"e(?=[dDMoLni])"),
        ("months", r"[IO]?M(?:-?M)*"),
        ("near_day", r"r"),
    )
)


@dataclass(slots=True)
class Said:
    """All that the clauses of one text say. Weekdays are 1 (Monday) to 7, times (hour, minute)."""

    delay: list[tuple[int, str]] = field(default_factory=list)
    period: list[tuple[int, str]] = field(default_factory=list)
    calendar: set[str] = field(default_factory=set)
    """Of day, week, month, year: those that it repeats with."""
    window: tuple[tuple[int, int], tuple[int, int]] | None = None
    date: tuple[int | None, int, int] | None = None
    near_day: int | None = None
    nth_weekdays: list[str] = field(default_factory=list)
    month_days: list[str] = field(default_factory=list)
    weekdays: set[int] = field(default_factory=set)
    once_on: str | None = None
    """The word before a single weekday that means it once: `on` or `next`."""
    months: set[int] = field(default_factory=set)
    minutes: list[int] = field(default_factory=list)
    times: list[tuple[int, int]] = field(default_factory=list)
    bare: list[int] = field(default_factory=list)
    """Numbers after `at` without a colon: hours, or minutes of an hourly schedule."""
    repeats: bool = False


def read(tokens: Sequence[Token]) -> Said:
    """Return what the tokens say.

    Raises:
        BadSchedule: a token makes no clause where it stands.
    """
    kinds = "".join(token.kind for token in tokens)
    said, place = Said(), 0
    while place < len(tokens):
        name, match = next(((name, match) for name, clause in _CLAUSES if (match := clause.match(kinds, place))), _NONE)
        if match is None:
            raise BadSchedule(f"{quoted(tokens[place].text)} makes no sense at that place")
        _READERS[name](said, tokens[place : match.end()])
        place = match.end()
    return said


_NONE: tuple[str, re.Match[str] | None] = ("", None)


def _parts(tokens: Iterable[Token]) -> list[tuple[int, str]]:
    """Return counts and units: of `1 hour 30 minutes`, of `1h30m`, and of `hour`, which counts once."""
    parts: list[tuple[int, str]] = []
    count = 1
    for token in tokens:
        if token.kind in (NUMBER, YEAR, ONE):
            count = token.value
        elif token.kind == UNIT:
            parts.append((count, token.value))
        elif isinstance(token.value, tuple):
            parts += token.value
    return parts


def _delay(said: Said, tokens: Sequence[Token]) -> None:
    said.delay += _parts(tokens[1:])


def _rhythm(said: Said, tokens: Sequence[Token]) -> None:
    parts = _parts(tokens[1:])
    count, unit = parts[0]
    said.repeats = True
    if len(parts) == 1 and count == 1 and unit in ("day", "week", "month", "year"):
        said.calendar.add(unit)
        return
    if said.period:
        raise BadSchedule("it names two rhythms; make two schedules")
    said.period = parts


def _window(said: Said, tokens: Sequence[Token]) -> None:
    start, end = (
        token.value if token.kind == TIME else (hour_of(token.value), 0) for token in tokens[1:] if token.kind != TO
    )
    said.window = (start, end)


def _iso_date(said: Said, tokens: Sequence[Token]) -> None:
    _set_date(said, tokens[-1].value)


def _date(said: Said, tokens: Sequence[Token]) -> None:
    values = {token.kind: token.value for token in tokens}
    day = values[NUMBER] if NUMBER in values else values[ORDINAL]
    _set_date(said, (values.get(YEAR), values[MONTH], day))


def _set_date(said: Said, date: tuple[int | None, int, int]) -> None:
    if said.date is not None:
        raise BadSchedule("it names two dates; make two schedules")
    said.date = date


def _near_day(said: Said, tokens: Sequence[Token]) -> None:
    said.near_day = tokens[0].value


def _nth_weekdays(said: Said, tokens: Sequence[Token]) -> None:
    words = [token for token in tokens if token.kind != ON]
    for nth, day in zip(words[::2], words[1::2], strict=True):
        number = day.value[0] % 7
        if nth.kind != LAST and not 1 <= nth.value <= 5:
            raise BadSchedule(f"no month has a {quoted(nth.text)} {day.text}; write 1st to 5th, or last")
        said.nth_weekdays.append(f"{number}L" if nth.kind == LAST else f"{number}#{nth.value}")


def _month_days(said: Said, tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.kind in (ORDINAL, NUMBER):
            if not 1 <= token.value <= 31:
                raise BadSchedule(f"{quoted(token.text)} is not a day of a month; write 1st to 31st")
            if said.month_days and said.month_days[-1].endswith("-"):
                said.month_days[-1] += str(token.value)
            else:
                said.month_days.append(str(token.value))
        elif token.kind == TO:
            said.month_days[-1] += "-"
        elif token.kind == LAST:
            said.month_days.append("L")
        elif token.kind == UNIT and token.value != "day":
            raise BadSchedule(f"{quoted(token.text)} makes no sense at that place")


def _minutes(said: Said, tokens: Sequence[Token]) -> None:
    if any(token.kind == UNIT and token.value != "minute" for token in tokens):
        raise BadSchedule("only minutes can be numbered, as in 'every hour at minute 15'")
    said.minutes += [token.value for token in tokens if isinstance(token.value, int)]


def _times(said: Said, tokens: Sequence[Token]) -> None:
    said.times += [token.value for token in tokens if token.kind == TIME]
    said.bare += [token.value for token in tokens if token.kind == NUMBER]


def _weekdays(said: Said, tokens: Sequence[Token]) -> None:
    first: int | None = None
    previous = 0
    for token in tokens:
        if token.kind == TO:
            first = previous
        elif token.kind not in (ON, NEXT):
            days = token.value if first is None else [(first - 1 + step) % 7 + 1 for step in range(8)]
            days = days if first is None else days[: days.index(token.value[-1], 1) + 1]
            said.weekdays.update(days)
            said.repeats = said.repeats or token.kind == WEEKDAYS or first is not None
            first, previous = None, token.value[0]
    if tokens[0].kind in (ON, NEXT):
        said.once_on = "next" if tokens[0].kind == NEXT else "on"


def _repeats(said: Said, _tokens: Sequence[Token]) -> None:
    said.repeats = True


def _months(said: Said, tokens: Sequence[Token]) -> None:
    first = previous = 0
    for token in tokens:
        if token.kind == TO:
            first = previous
        elif token.kind == MONTH:
            said.months.add(token.value)
            if first:
                said.months.update((first - 1 + step) % 12 + 1 for step in range((token.value - first) % 12))
            first, previous = 0, token.value


_READERS = MappingProxyType(
    {
        "delay": _delay,
        "rhythm": _rhythm,
        "window": _window,
        "iso_date": _iso_date,
        "date": _date,
        "nth_weekdays": _nth_weekdays,
        "month_days": _month_days,
        "minutes": _minutes,
        "times": _times,
        "weekdays": _weekdays,
        "repeats": _repeats,
        "months": _months,
        "near_day": _near_day,
    }
)
