"""What clauses say about a schedule that repeats, as a pipelines file would say it: cron, daily, hourly or interval.

A rhythm that divides the hour or the day starts at :00, as people expect of "every 30 minutes", and becomes cron; any
other is elapsed time and becomes an interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import Any

from pipelines.errors import BadSchedule
from pipelines.fields import LONGEST_S
from pipelines.phrases.clauses import Said
from pipelines.phrases.tokens import UNITS_S, hour_of, minute_of

HOUR_S, DAY_S = 3600, 86_400


def clock_times(said: Said) -> list[tuple[int, int]]:
    """Return the times of day that were said, as (hour, minute).

    Raises:
        BadSchedule: none was, or minutes without an hour.
    """
    if said.minutes:
        raise BadSchedule("a minute alone is for 'every hour'; write a time of day such as 09:15")
    times = [*said.times, *((hour_of(number), 0) for number in said.bare)]
    if not times:
        raise BadSchedule("the time of day is missing; add for instance 'at 09:00'")
    return sorted(set(times))


def rhythm_spec(said: Said) -> dict[str, Any]:
    """Return the schedule of `every 30 minutes`, and of days, hours and minutes that it keeps to.

    Raises:
        BadSchedule: it is no length of time, or cannot keep to them.
    """
    period_s = _period_s(said)
    _check_kinds(said)
    if "year" in said.calendar or ("month" in said.calendar and not (said.month_days or said.nth_weekdays)):
        raise BadSchedule("it names two rhythms; make two schedules")
    if said.times or (period_s >= DAY_S and (said.bare or said.minutes)):
        remedy = "'every 2 hours from 09:00 to 17:00'" if period_s < DAY_S else "'every monday and thursday at 09:00'"
        raise BadSchedule(f"a rhythm has no time of day; write for instance 'every day at 09:00' or {remedy}")
    minutes = sorted({*said.minutes, *(minute_of(number) for number in said.bare)})
    if period_s % HOUR_S == 0 and period_s < DAY_S and DAY_S % period_s == 0:
        return _hourly_spec(said, period_s // HOUR_S, minutes)
    within = minutes or said.window or _limited(said)
    if period_s % 60 == 0 and period_s < HOUR_S and HOUR_S % period_s == 0 and not minutes:
        step = period_s // 60
        return _cron("*" if step == 1 else f"*/{step}", _window_hours(said), said)
    if within:
        raise BadSchedule(
            "a rhythm that keeps to certain hours, minutes or days must divide the hour or the day, such as "
            "'every 15 minutes' or 'every 2 hours'; else write it alone"
        )
    return {"interval": _interval(period_s)}


def repeated_spec(said: Said) -> dict[str, Any]:
    """Return the schedule of certain days at certain times: `every monday and thursday at 18:15`.

    Raises:
        BadSchedule: day or time are missing, or need more than one schedule.
    """
    if said.window:
        raise BadSchedule("hours from … to … need a rhythm; write for instance 'every 2 hours from 09:00 to 17:00'")
    if "week" in said.calendar and not said.weekdays:
        raise BadSchedule("the day of the week is missing; write for instance 'every monday at 09:00'")
    if "month" in said.calendar and not (said.month_days or said.nth_weekdays or said.weekdays):
        raise BadSchedule("the day of the month is missing; write for instance 'every month on the 1st at 07:00'")
    times = clock_times(said)
    _check_days(said, times)
    if len(times) == 1 and not _limited(said):
        return {"daily": _clock(times[0])}
    return _cron(*_time_fields(times), said)


def yearly_spec(said: Said) -> dict[str, Any]:
    """Return the schedule of a day of the year: `every year on 5 january at 08:00`.

    Raises:
        BadSchedule: the day or the time is missing.
    """
    if said.date is not None and said.date[0] is not None:
        raise BadSchedule("it names a year and repeats; leave the year out, or the word that repeats")
    if said.calendar - {"year"} and said.date is not None:
        raise BadSchedule("a date comes once a year; write for instance 'every year on 5 january at 08:00'")
    if said.date is not None:
        _, month, day = said.date
        said.months.add(month)
        said.month_days.append(str(day))
    _check_kinds(said)
    if said.date is not None and len(said.months) + len(said.month_days) > 2:
        raise BadSchedule("it names more than one day of the year; make a schedule for each")
    if not said.months or not (said.month_days or said.nth_weekdays):
        raise BadSchedule("the day of the year is missing; write for instance 'every year on 5 january at 08:00'")
    return _cron(*_time_fields(clock_times(said)), said)


def _period_s(said: Said) -> int:
    if any(unit not in UNITS_S for _, unit in said.period):
        raise BadSchedule("months and years differ in length; write for instance 'every month on the 1st at 07:00'")
    period_s = sum(count * UNITS_S[unit] for count, unit in said.period)
    if not 1 <= period_s <= LONGEST_S:
        raise BadSchedule("a rhythm is from one second to ten years")
    return period_s


def _hourly_spec(said: Said, step: int, minutes: list[int]) -> dict[str, Any]:
    window = said.window
    if window is not None and not minutes:
        minutes = [window[0][1]]
    if window is None and step == 1 and len(minutes) <= 1 and not _limited(said):
        return {"hourly": minutes[0] if minutes else 0}
    hours = "*" if step == 1 else f"*/{step}"
    if window is not None:
        first, last = window[0][0], window[1][0]
        count = (last - first) % 24 - (window[1][1] < minutes[0])
        inside = sorted((first + hour) % 24 for hour in range(0, count + 1, step))
        hours = hours if inside == list(range(0, 24, step)) else _listed(inside)
    return _cron(_listed(minutes or [0]), hours, said)


def _window_hours(said: Said) -> str:
    """Return the hours from the first time to before the second; a second one such as 17:59 is the hour's end."""
    if said.window is None:
        return "*"
    (first, start), (last, end) = said.window
    if start or end not in (0, 59):
        raise BadSchedule("from … to … are full hours here; write for instance 'every 15 minutes from 9:00 to 17:00'")
    count = (last - first) % 24 + (end == 59)
    return "*" if count in (0, 24) else _listed(sorted((first + hour) % 24 for hour in range(count)))


def _time_fields(times: list[tuple[int, int]]) -> tuple[str, str]:
    hours, minutes = (sorted(set(part)) for part in zip(*times, strict=True))
    if times != list(product(hours, minutes)):
        raise BadSchedule("one schedule has the same minutes in each of its hours; make one schedule for each time")
    return _listed(minutes), _listed(hours)


def _check_days(said: Said, times: list[tuple[int, int]]) -> None:
    at = _clock(times[0])
    _check_kinds(said)
    if (said.month_days or said.nth_weekdays) and not ("month" in said.calendar or said.months or said.repeats):
        raise BadSchedule(
            f"it is not clear whether it repeats; write 'every month on the 1st at {at}' or name the date"
        )
    if said.nth_weekdays and not ("month" in said.calendar or said.months):
        raise BadSchedule(f"the month is missing; write for instance 'on the first monday of the month at {at}'")
    if said.weekdays and not said.repeats and len(said.weekdays) == 1:
        raise BadSchedule(
            f"it is not clear whether it repeats; write 'every friday at {at}', or 'on friday at {at}' for once"
        )
    if not (said.weekdays or said.month_days or said.nth_weekdays or said.repeats):
        raise BadSchedule(f"the day is missing; write 'every day at {at}', or 'tomorrow at {at}' for once")


def _check_kinds(said: Said) -> None:
    if sum(map(bool, (said.weekdays, said.nth_weekdays, said.month_days))) > 1:
        raise BadSchedule("days of the week and of the month do not go together; make a schedule for each")


def _limited(said: Said) -> bool:
    """Tell whether there are days on which it does not run."""
    return bool(said.weekdays or said.nth_weekdays or said.month_days or said.months)


def _cron(minute: str, hour: str, said: Said) -> dict[str, Any]:
    weekdays = ",".join(said.nth_weekdays) or (_listed(sorted(said.weekdays)) if len(said.weekdays) % 7 else "*")
    months = _listed(sorted(said.months)) if len(said.months) % 12 else "*"
    return {"cron": f"{minute} {hour} {','.join(said.month_days) or '*'} {months} {weekdays}"}


def _interval(period_s: int) -> dict[str, int]:
    parts = {}
    for unit in ("hour", "minute", "second") if period_s % DAY_S else ("day",):
        count, period_s = divmod(period_s, UNITS_S[unit])
        if count:
            parts[f"{unit}s"] = count
    return parts


def _clock(time: tuple[int, int]) -> str:
    return f"{time[0]:02}:{time[1]:02}"


def _listed(values: Iterable[int]) -> str:
    """Return a cron list: three and more in a row become a range."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)
