"""The words of a text for "when" as tokens: numbers, units, weekdays, times of day; clauses are not looked for here.

Each kind of token is one letter, so that clauses can be found by regular expressions over the letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pipelines.errors import BadSchedule, nearest
from pipelines.wording import quoted

EVERY, AT, ON, NEXT, IN, FROM, TO = "e", "a", "O", "X", "I", "f", "-"
NUMBER, YEAR, ONE, ORDINAL, LAST, UNIT, LENGTH = "n", "N", "A", "o", "L", "u", "l"
TIME, MINUTE, WEEKDAY, WEEKDAYS, MONTH, DATE, NEAR_DAY = "t", "m", "d", "D", "M", "i", "r"

UNITS_S = MappingProxyType({"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800})
"""Seconds of the units that are a length of time; months and years are not."""

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT_DAYS = (("mon",), ("tue", "tues"), ("wed", "weds"), ("thu", "thur", "thurs"), ("fri",), ("sat",), ("sun",))
_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_ABBREVIATED = MappingProxyType(
    {"second": ("s", "sec", "secs"), "minute": ("m", "min", "mins"), "hour": ("h", "hr", "hrs"), "day": ("d",)}
    | {"week": ("w",), "month": (), "year": ()}
)
_FILLER = frozenset({"the", "of", "and", "once", "past", "oclock", "o'clock"})
_REWRITTEN = (
    (r"\bonce (?:an?|per|every|each)\b", "every"),
    (r"\b(?:of|in) (?:the|each|every|a) month\b", " every month"),
    (r"\b(?:half an?|half)[ -]hour\b", "30 minutes"),
    (r"\b(?:a )?quarter (?:of an )?hour\b", "15 minutes"),
    (r"\bdaily\b", "every day"),
    (r"\bhourly\b", "every hour"),
    (r"\bweekly\b", "every week"),
    (r"\bmonthly\b", "every month"),
    (r"\b(?:yearly|annually)\b", "every year"),
    (r"\bsecond (?=(?:mon|tue|wed|thu|fri|sat|sun))", "2nd "),
)
_UNIT = r"(?:weeks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|[smhdw])"
_TOKEN = re.compile(
    rf"""
      (?P<date> \d{{4}}-\d{{1,2}}-\d{{1,2}} (?!\d) )
    | (?P<time> \d{{1,2}}[:.]\d{{2}} (?![\d:]) (?:\s?[ap]\.?m\b\.?)? | \d{{1,2}}\s?[ap]\.?m\b\.? )
    | (?P<minute> :\d{{2}} (?![\d:]) )
    | (?P<ordinal> \d{{1,2}}(?:st|nd|rd|th)\b )
    | (?P<length> (?:\d{{1,9}}{_UNIT})+ (?![a-z\d]) )
    | (?P<number> \d{{1,9}} (?!\d) )
    | (?P<word> [a-z][a-z']* )
    | (?P<to> [-–—] )
    | (?P<skip> [\s,;.&]+ )
    | (?P<odd> . )
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word that is known: its kind (one letter), what was written, and what it stands for."""

    kind: str
    text: str
    value: Any = None


def _words() -> Iterator[tuple[str, tuple[str, Any]]]:
    for kind, words in (
        (EVERY, ("every", "each")),
        (AT, ("at",)),
        (ON, ("on", "this")),
        (NEXT, ("next",)),
        (IN, ("in",)),
        (FROM, ("from", "between")),
        (TO, ("to", "until", "till", "through")),
        (LAST, ("last",)),
    ):
        yield from ((word, (kind, None)) for word in words)
    for unit, short in _ABBREVIATED.items():
        yield from ((word, (UNIT, unit)) for word in (unit, f"{unit}s", *short))
    for number, (day, shorts) in enumerate(zip(_DAYS, _SHORT_DAYS, strict=True), 1):
        yield from ((word, (WEEKDAY, (number,))) for word in (day, *shorts))
        yield f"{day}s", (WEEKDAYS, (number,))
    for word in ("weekday", "weekdays", "workday", "workdays"):
        yield word, (WEEKDAYS, (1, 2, 3, 4, 5))
    yield from ((word, (WEEKDAYS, (6, 7))) for word in ("weekend", "weekends"))
    for number, month in enumerate(_MONTHS, 1):
        yield from ((word, (MONTH, number)) for word in (month, month[:3], *(("sept",) * (number == 9))))
    yield from ((word, (NUMBER, number)) for number, word in enumerate(_NUMBERS, 1))
    yield from ((word, (ONE, 1)) for word in ("a", "an"))
    yield from ((word, (NUMBER, number)) for word, number in (("fifteen", 15), ("twenty", 20), ("thirty", 30)))
    yield from ((word, (ORDINAL, number)) for number, word in ((1, "first"), (3, "third"), (4, "fourth"), (5, "fifth")))
    yield from ((word, (TIME, (12, 0))) for word in ("noon", "midday"))
    yield "midnight", (TIME, (0, 0))
    yield from (("today", (NEAR_DAY, 0)), ("tomorrow", (NEAR_DAY, 1)))


_WORDS = MappingProxyType(dict(_words()))
_KNOWN = (
    *(word for word, (kind, _) in _WORDS.items() if len(word) > 2 and kind != NUMBER),
    "daily",
    "hourly",
    "weekly",
    "monthly",
    "yearly",
)


def tokens(text: str) -> list[Token]:
    """Return the tokens of a text in lower case, filler words left out.

    Raises:
        BadSchedule: a word is not known, with the nearest that is; or a number stands for no such time or day.
    """
    for pattern, instead in _REWRITTEN:
        text = re.sub(pattern, instead, text)
    found = []
    for match in _TOKEN.finditer(text):
        kind, word = match.lastgroup or "", match.group()
        if kind != "skip" and word not in _FILLER:
            found.append(_token(kind, word))
    return found


def _token(kind: str, text: str) -> Token:
    return _LEXED[kind](text) if kind in _LEXED else _word(text)


def _word(text: str) -> Token:
    if text in _WORDS:
        return Token(_WORDS[text][0], text, _WORDS[text][1])
    close = nearest(text, _KNOWN) if len(text) > 2 else None
    raise BadSchedule(f"{quoted(text)} is not a word for a time" + (f"; did you mean '{close}'?" if close else ""))


def _length(text: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(count), _WORDS[unit][1]) for count, unit in re.findall(rf"(\d+)({_UNIT})", text, re.ASCII))


def _time(text: str) -> tuple[int, int]:
    digits = re.findall(r"\d+", text)
    hour, minute = int(digits[0]), minute_of(int(digits[1])) if len(digits) > 1 else 0
    if "a" not in text and "p" not in text:
        return hour_of(hour), minute
    if not 1 <= hour <= 12:
        raise BadSchedule(f"{quoted(text)} is not a time of day; write '9am', or '21:00' on a 24-hour clock")
    return hour % 12 + (12 if "p" in text else 0), minute


def _date(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("-")))


def hour_of(number: int) -> int:
    """Return the number if it is an hour of the day.

    Raises:
        BadSchedule: it is none.
    """
    if 0 <= number < 24:
        return number
    hint = "midnight is 00:00" if number == 24 else "hours are 0 to 23"
    raise BadSchedule(f"{number} is not an hour of the day; {hint}")


def minute_of(number: int) -> int:
    """Return the number if it is a minute of the hour.

    Raises:
        BadSchedule: it is none.
    """
    if 0 <= number < 60:
        return number
    raise BadSchedule(f"{number} is not a minute; minutes are 0 to 59")


_LEXED: Mapping[str, Callable[[str], Token]] = MappingProxyType(
    {
        "time": lambda text: Token(TIME, text, _time(text)),
        "minute": lambda text: Token(MINUTE, text, minute_of(int(text[1:]))),
        "ordinal": lambda text: Token(ORDINAL, text, int(text[:-2])),
        "length": lambda text: Token(LENGTH, text, _length(text)),
        "number": lambda text: Token(YEAR if len(text) == 4 else NUMBER, text, int(text)),
        "date": lambda text: Token(DATE, text, _date(text)),
        "to": lambda text: Token(TO, text),
    }
)
