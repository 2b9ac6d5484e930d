"""One field of a cron expression: its text becomes an explicit list of numbers, or an error that says what to write.

The grammar is strict on purpose: what other programs read differently is refused rather than guessed. How fields work
together is in `cron_syntax`, stable slots (`H`) are in `cron_slots`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from pipelines.errors import BadSchedule

_NUMBER_OR_NAME = r"[0-9]{1,2}|[A-Za-z]{3}"
_ITEM = re.compile(rf"(?P<low>\*|{_NUMBER_OR_NAME})(?:-(?P<high>{_NUMBER_OR_NAME}))?(?:/(?P<step>[0-9]+))?")
_NTH = re.compile(rf"(?P<day>{_NUMBER_OR_NAME})#(?P<nth>[1-5])")
_LAST = re.compile(r"(?P<day>[0-9]|[A-Za-z]{3})[Ll]")
_SUNDAY = 7


@dataclass(frozen=True, slots=True, eq=False)
class FieldKind:
    """What one of the five fields may hold. `often` says how often a single value of it comes round."""

    name: str
    low: int
    high: int
    unit: str
    often: str
    names: tuple[str, ...] = ()

    @property
    def whole(self) -> tuple[int, int]:
        """The bounds that `*` stands for; Sunday counts once."""
        return self.low, min(self.high, 6) if self is WEEKDAY else self.high


MINUTE = FieldKind("minute", 0, 59, "minutes", "hourly")
HOUR = FieldKind("hour", 0, 23, "hours", "daily")
DAY = FieldKind("day of month", 1, 31, "days", "monthly")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MONTH = FieldKind("month", 1, 12, "months", "yearly", _MONTH_NAMES)
WEEKDAY = FieldKind("day of week", 0, 7, "days", "weekly", ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))
KINDS = (MINUTE, HOUR, DAY, MONTH, WEEKDAY)


@dataclass(frozen=True, slots=True)
class Field:
    """A field that was read.

    `values` are sorted, Sunday is 0. `marks` are what no number can say, as croniter writes it: `L`, `1#2`, `L5`.
    `star` is true when the text starts with `*`, `bare` when it is nothing else.
    """

    values: tuple[int, ...]
    marks: tuple[str, ...] = ()
    star: bool = False
    bare: bool = False


@lru_cache(maxsize=4096)
def parse_field(kind: FieldKind, text: str) -> Field:
    """Read the text of one field.

    Raises:
        BadSchedule: it breaks the grammar; the text names field, token, reason and a remedy.
    """
    values: set[int] = set()
    marks: set[str] = set()
    for item in text.split(","):
        mark = _mark(kind, item)
        if mark:
            marks.add(mark)
        else:
            values.update(_values(kind, item))
    if kind is WEEKDAY and marks and values:
        raise bad(kind, text, "'#' and 'L' cannot stand beside plain weekdays", "write two schedules")
    return Field(tuple(sorted(values)), tuple(sorted(marks)), text.startswith("*"), text == "*")


def bad(kind: FieldKind, token: str, reason: str, hint: str) -> BadSchedule:
    """Return the error for a token of a field."""
    return BadSchedule(f"{kind.name} '{token}': {reason}; {hint}")


def value_of(kind: FieldKind, word: str, token: str) -> int:
    """Return the number that a number or name stands for, within the field's bounds."""
    if word.isdigit():
        number = int(word)
        if kind.low <= number <= kind.high:
            return number
        raise bad(kind, token, f"{number} is not within {kind.low}-{kind.high}", _nearest_number(kind, number))
    if word.upper() in kind.names:
        return kind.names.index(word.upper()) + kind.low
    known = f"numbers {kind.low}-{kind.high}" + (f" or {', '.join(kind.names)}" if kind.names else "")
    raise bad(kind, token, f"'{word}' is not known here", f"write {known}")


def check_range(kind: FieldKind, low: int, high: int, token: str) -> None:
    """Refuse a range that runs backwards, with the list to write instead."""
    if low > high:
        first, last = kind.whole
        head, tail = (str(a) if a == b else f"{a}-{b}" for a, b in ((low, max(low, last)), (first, high)))
        raise bad(kind, token, f"the range runs backwards, from {low} to {high}", f"write '{head},{tail}'")


def stepped(kind: FieldKind, bounds: tuple[int, int], step: str | None, token: str) -> range:
    """Return the values from the first bound to the second by the step, which is checked."""
    values = range(bounds[0], bounds[1] + 1)
    count = min(len(values), 7) if kind is WEEKDAY else len(values)
    size = int(step[:9]) if step else 1
    if size < 1:
        raise bad(kind, token, "a step is at least 1", "write '*/1', or leave the step out")
    if size > count:
        raise _too_far(kind, bounds, size, token)
    if step and len(step) > 2:
        raise bad(kind, token, "a number has one or two digits", f"write '/{size}'")
    return values[::size]


def _values(kind: FieldKind, item: str) -> set[int]:
    found = _ITEM.fullmatch(item)
    if found is None or (found["low"] == "*" and found["high"]):
        raise _unreadable(kind, item)
    values = stepped(kind, _bounds(kind, found, item), found["step"], item)
    return {value % _SUNDAY for value in values} if kind is WEEKDAY else set(values)


def _bounds(kind: FieldKind, found: re.Match[str], item: str) -> tuple[int, int]:
    if found["low"] == "*":
        return kind.whole
    low = value_of(kind, found["low"], item)
    if found["high"] is None:
        return low, kind.high if found["step"] else low
    high = value_of(kind, found["high"], item)
    if kind is WEEKDAY and low > 0 and found["high"].upper() == "SUN":  # FRI-SUN: a week that ends on Sunday
        high = _SUNDAY
    check_range(kind, low, high, item)
    return low, high


def _mark(kind: FieldKind, item: str) -> str | None:
    if kind is DAY and item in {"L", "l"}:
        return "L"
    if kind is not WEEKDAY:
        return None
    if nth := _NTH.fullmatch(item):
        return f"{value_of(kind, nth['day'], item) % _SUNDAY}#{nth['nth']}"
    if last := _LAST.fullmatch(item):
        return f"L{value_of(kind, last['day'], item) % _SUNDAY}"
    return None


def _nearest_number(kind: FieldKind, number: int) -> str:
    if kind is HOUR and number == 24:
        return "midnight is hour 0"
    if kind is MINUTE and number == 60:
        return "the full hour is minute 0"
    return f"write a number within {kind.low}-{kind.high}"


def _too_far(kind: FieldKind, bounds: tuple[int, int], size: int, token: str) -> BadSchedule:
    if bounds == kind.whole:
        remedy = f"use interval, with {kind.unit}: {size}" if kind in (MINUTE, HOUR, DAY) else "write one value"
        return bad(kind, token, f"fires {kind.often}, not every {size} {kind.unit}", remedy)
    low, high = bounds
    hint = f"write '{low}' for the one value, or a smaller step"
    return bad(kind, token, f"a step of {size} from {low} leads past {high} at once", hint)


def _unreadable(kind: FieldKind, item: str) -> BadSchedule:
    reason, hint = next(
        ((reason, hint) for test, reason, hint in _foreign(kind) if test.search(item)),
        (f"not a value, a range a-b, or a step a-b/s of {kind.name}", f"write for instance '{kind.low}' or '*'"),
    )
    return bad(kind, item, reason, hint)


@lru_cache(maxsize=len(KINDS))
def _foreign(kind: FieldKind) -> tuple[tuple[re.Pattern[str], str, str], ...]:
    """Return what other programs allow and cron does not: how to tell it, why it is refused, what to write."""
    names = f"names have three letters: {', '.join(kind.names)}" if kind.names else f"{kind.name} has no names"
    table = (
        (r"^$", "an item of the list is empty", "take the extra comma out"),
        (r"\?", "'?' belongs to Quartz, cron has no such sign", "write '*'"),
        (r"(?i)^L-?\d+$", "days before the last day cannot be named", "write 'L' for the last day, or a number"),
        (r"(?i)^(L?W|W\d+|\d+W)$", "'W' (nearest weekday) is not known", "write a day, or MON-FRI as day of week"),
        (r"(?i)^L$", "'L' alone is a day of month", "write '5L' for the last Friday, or 'SAT' for Saturdays"),
        (
            r"#",
            "'#' picks one weekday of the month",
            "write it as day of week, '1#2' for the second Monday, up to '#5'",
        ),
        (r"(?i)^R(\(|/|$)", "'R' (random) would move at each start", "write 'H' for a stable slot of its own"),
        (r"~", "'~' (random) would move at each start", "write 'H', for instance 'H(0-29)', for a stable slot"),
        (r"(?i)^H", "a slot is H, H/s, H(a-b) or H(a-b)/s", "write for instance 'H' or 'H(0-29)'"),
        (r"^[0-9]{3,}$", "a number has one or two digits", f"write a number within {kind.low}-{kind.high}"),
        (r"^-[0-9]", "there are no negative numbers", f"write a number within {kind.low}-{kind.high}"),
        (r"^\*-|-\*", "'*' is already the whole range", "write '*', or a range a-b"),
        (r"/(?![0-9])", "the step after '/' is not a number", "write for instance '*/2'"),
        (r"^[A-Za-z]+", "that word is not known here", names),
    )
    return tuple((re.compile(pattern), reason, hint) for pattern, reason, hint in table)
