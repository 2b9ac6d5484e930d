"""Schedules in words, for people: `Monday to Friday at 09:00`, `every 30 minutes`. English, 24-hour clock.

The words for days are ours, because cron-descriptor does not know when both day fields must match. Times of day that
are more than a short list or a plain rhythm are left to cron-descriptor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from cron_descriptor import (  # type: ignore[import-untyped]  # it ships no types
    DescriptionTypeEnum,
    ExpressionDescriptor,
    Options,
)

_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_LISTED = 6
"""So many times of day are listed one by one; more become a rhythm."""


def interval_words(period: timedelta) -> str:
    """`every 30 minutes`; a period of one day is 24 hours, because it is not a day where the clocks change."""
    left = period // timedelta(seconds=1)
    if left == 86400:
        return "every 24 hours"
    if left in {size for size, _ in _UNITS}:
        return f"every {next(name for size, name in _UNITS if size == left)}"
    parts = []
    for size, name in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return f"every {' '.join(parts)}"


def date_words(local: datetime) -> str:
    """`once, 2027-06-20 15:30`; seconds only where there are some."""
    return f"once, {local:%Y-%m-%d %H:%M:%S}" if local.second else f"once, {local:%Y-%m-%d %H:%M}"


@lru_cache(maxsize=1024)
def cron_words(minutes: tuple[int, ...], hours: tuple[int, ...], days: str, day_or: bool) -> str:
    """`Monday to Friday at 09:00`; the arguments are those of a `CronCalendar`."""
    time, day = _time_words(minutes, hours), _day_words(days, day_or)
    if time.startswith("at "):
        return f"{day} {time}" if day else time if "past" in time else f"every day {time}"
    return f"{time}, {day}" if day else time


def _time_words(minutes: tuple[int, ...], hours: tuple[int, ...]) -> str:
    if len(hours) == 24:
        rhythm = _every_minutes(minutes)
        if rhythm:
            return rhythm
    few = len(hours) * len(minutes) <= _LISTED
    rhythm = _every_hours(minutes[0], hours) if len(minutes) == 1 and not few else None
    if rhythm:
        return rhythm
    if few or len(minutes) == 1:
        return "at " + _and([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes])
    return _library_words(minutes, hours)


def _every_minutes(minutes: tuple[int, ...]) -> str | None:
    if len(minutes) == 1:
        return f"every hour at minute {minutes[0]}" if minutes[0] else "every hour"
    step = _step(minutes)
    if step and not minutes[0] and step * len(minutes) == 60:
        return "every minute" if step == 1 else f"every {step} minutes"
    return f"every hour at minutes {_and([str(minute) for minute in minutes])}" if len(minutes) <= _LISTED else None


def _every_hours(minute: int, hours: tuple[int, ...]) -> str | None:
    step = _step(hours)
    if not step:
        return None
    rhythm = "every hour" if step == 1 else f"every {step} hours"
    if not minute and not hours[0] and step * len(hours) == 24:
        return rhythm
    return f"{rhythm} from {hours[0]:02}:{minute:02} to {hours[-1]:02}:{minute:02}"


def _library_words(minutes: tuple[int, ...], hours: tuple[int, ...]) -> str:
    expression = f"{_short(minutes, 60)} {_short(hours, 24)} * * *"
    options = Options(locale_code="en_US", use_24hour_time_format=True)
    text: str = ExpressionDescriptor(expression, options).get_description(DescriptionTypeEnum.TIMEOFDAY)
    return text[:1].lower() + text[1:].removesuffix(", every hour")


def _short(values: tuple[int, ...], full: int) -> str:
    """Return the shortest cron text for the values: `*`, `*/5`, `8-18/2`, `1-5,9`."""
    step = _step(values)
    if not step or len(values) < 3:
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in _runs(values))
    if not values[0] and step * len(values) == full:
        return "*" if step == 1 else f"*/{step}"
    return f"{values[0]}-{values[-1]}" + (f"/{step}" if step > 1 else "")


def _day_words(days: str, day_or: bool) -> str:
    """Return words for the three day fields, empty for every day."""
    day, month, weekday = days.split()
    months = _and(_spans(_numbers(month), lambda number: _MONTHS[number - 1])) if month != "*" else ""
    inside = months or "the month"
    in_months = f" in {months}" if months else ""
    if day == "*" and weekday == "*":
        return f"every day{in_months}" if months else ""
    if day == "*":
        return f"{_weekday_words(weekday, inside)}{'' if _marked(weekday) else in_months}"
    monthly = f"on {_month_day_words(day)} of {inside}"
    if weekday == "*":
        return monthly
    if day_or:
        return f"{monthly} and {_weekday_words(weekday, inside)}{in_months}"
    return f"{monthly} when it is a {_and(_weekday_names(weekday), 'or')}"


def _weekday_words(weekday: str, inside: str) -> str:
    if _marked(weekday):
        return f"on {_and([_marked_words(mark) for mark in weekday.split(',')])} of {inside}"
    names = _spans(_week(weekday), _WEEKDAYS.__getitem__)
    return f"every {names[0]}" if len(names) == 1 and " to " not in names[0] else _and(names)


def _weekday_names(weekday: str) -> list[str]:
    return [_WEEKDAYS[number] for number in _week(weekday)]


def _month_day_words(day: str) -> str:
    numbers = _numbers(day)
    step = _step(numbers)
    if step and step > 1 and len(numbers) > 3 and "L" not in day:
        return f"every {_ordinal(step)} day from the {_ordinal(numbers[0])} to the {_ordinal(numbers[-1])}"
    words = [f"the {span}" for span in _spans(numbers, _ordinal)]
    return _and(words + ["the last day"] * ("L" in day))


def _marked(weekday: str) -> bool:
    return "#" in weekday or "L" in weekday


def _marked_words(mark: str) -> str:
    if mark.startswith("L"):
        return f"the last {_WEEKDAYS[int(mark[1:])]}"
    day, _, nth = mark.partition("#")
    return f"the {_ordinal(int(nth))} {_WEEKDAYS[int(day)]}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.isdigit())


def _week(weekday: str) -> tuple[int, ...]:
    """Return the weekdays from Monday 1 to Sunday 7."""
    return tuple(sorted(number or 7 for number in _numbers(weekday)))


def _runs(values: Sequence[int]) -> list[tuple[int, int]]:
    """Return the values as ranges (first, last); fewer than three in a row stay single."""
    runs: list[tuple[int, int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value, value))
    pairs = [[(a, b)] if b - a != 1 else [(a, a), (b, b)] for a, b in runs]
    return [run for pair in pairs for run in pair]


def _spans(values: Sequence[int], name: Callable[[int], str]) -> list[str]:
    """Return the names of the values, three and more in a row as `first to last`."""
    return [name(a) if a == b else f"{name(a)} to {name(b)}" for a, b in _runs(values)]


def _step(values: Sequence[int]) -> int | None:
    """Return the distance between the values when there are several and it is always the same."""
    steps = {second - first for first, second in pairwise(values)}
    return steps.pop() if len(steps) == 1 else None


def _ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _and(words: Sequence[str], last: str = "and") -> str:
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
