"""What a text for "when" means: one schedule, or an error with what was not understood and a text that is.

Cron texts, ISO times and chat timestamps are recognised first; all else goes through `tokens` and `clauses`. What could
be meant in two ways is refused with both, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelines.errors import BadSchedule
from pipelines.fields import LONGEST_S
from pipelines.phrases.clauses import Said, read
from pipelines.phrases.repeating import clock_times, repeated_spec, rhythm_spec, yearly_spec
from pipelines.phrases.tokens import UNITS_S, tokens
from pipelines.schedule_definition import ScheduleDefinition
from pipelines.triggers import Trigger, check_zone
from pipelines.wording import quoted

LONGEST_TEXT = 200
"""Characters of a text that is read at all."""

_EXAMPLES = (
    "every weekday at 09:00",
    "every 30 minutes",
    "daily at 06:30",
    "every monday and thursday at 18:15",
    "every month on the 1st at 07:00",
    "tomorrow at 08:00",
    "in 20 minutes",
    "0 9 * * 1-5",
)
_CRON_FIELD = r"(?:[\d*?][\d*,/~?\-]*|[\d*]+[LW#]\S*|H(?:\([\d-]*\))?(?:/\d+)?)"
_CRON = re.compile(rf"@.*|.*\*.*|{_CRON_FIELD} {_CRON_FIELD}(?: (?![ap]\.?m).*)?", re.IGNORECASE | re.ASCII)
_STAMP = re.compile(r"<t:(-?\d{1,13})(?::[tTdDfFsSR])?>", re.ASCII)
_ISO = re.compile(
    r"(?:once )?(\d{4}-\d\d-\d\d)[t ](\d{1,2}:\d\d(?::\d\d)?) ?(z|[+-]\d\d:?\d\d)?", re.IGNORECASE | re.ASCII
)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Understood:
    """A text that was understood. `spec` is what a pipelines file would say, `zone` the one that it was read in."""

    spec: dict[str, Any]
    definition: ScheduleDefinition
    trigger: Trigger
    zone: str


def examples() -> tuple[str, ...]:
    """Return texts that are understood, the most useful first."""
    return _EXAMPLES


def understand(text: str, *, zone: str, now: datetime, schedule_id: str = "") -> Understood:
    """Return the schedule that a person's text means.

    Args:
        text: for instance `every weekday at 09:00`, `in 20 minutes`, `0 9 * * 1-5`.
        zone: the time zone that times of day are in.
        now: aware; what `tomorrow` and `in 20 minutes` are counted from.
        schedule_id: what the stable slots of cron's `H` are drawn from.

    Raises:
        BadSchedule: it is not understood, could mean two things, lies in the past, or the zone is unknown.
    """
    local_zone = check_zone(zone)
    spec = _spec(text, now.astimezone(local_zone))
    definition = ScheduleDefinition.model_validate(spec)
    trigger = definition.trigger(zone, schedule_id)
    if trigger.next_after(now) is None:
        raise BadSchedule(f"{quoted(text)} is in the past: {trigger.words.removeprefix('once, ')} in {zone}")
    return Understood(spec, definition, trigger, zone)


def _spec(text: str, local_now: datetime) -> dict[str, Any]:
    written = " ".join(text.replace("\0", " ").split())
    if len(written) > LONGEST_TEXT:
        raise BadSchedule(f"{len(written)} characters are too many; write for instance '{_EXAMPLES[0]}'")
    if not written:
        raise BadSchedule(f"nothing was written; write for instance '{_EXAMPLES[0]}'")
    if _CRON.fullmatch(written):
        return {"cron": written}
    if stamp := _STAMP.fullmatch(written):
        return _stamp_spec(int(stamp[1]))
    if iso := _ISO.fullmatch(written.replace(",", "")):
        day, time, offset = iso.groups()
        clock = time if time.count(":") == 2 else f"{time}:00"
        return {"at": f"{day}T{clock:0>8}{(offset or '').upper()}"}
    try:
        return _meaning(read(tokens(written.lower())), local_now)
    except BadSchedule as error:
        raise BadSchedule(f"{quoted(text)} is not understood: {_with_example(str(error), written)}") from None


def _with_example(reason: str, written: str) -> str:
    """Return the reason and, where it has no remedy, the example that shares the most words with what was written."""
    if "; write " in reason or "; add " in reason:
        return reason
    words = set(written.lower().split())
    closest = max(_EXAMPLES, key=lambda example: len(words & set(example.split())))
    return f"{reason}{'' if reason.endswith('?') else '.'} Write for instance {quoted(closest)}"


def _stamp_spec(seconds: int) -> dict[str, Any]:
    try:
        return {"at": datetime.fromtimestamp(seconds, UTC).isoformat()}
    except (OverflowError, ValueError, OSError):
        raise BadSchedule(f"the timestamp {seconds} is outside the calendar; write a nearer one") from None


def _meaning(said: Said, local_now: datetime) -> dict[str, Any]:
    """`local_now` is aware, in the schedule's zone."""
    once = said.date is not None or said.near_day is not None or (said.once_on is not None and not said.repeats)
    if said.delay:
        return _delay_spec(said, local_now)
    if said.period:
        if once:
            raise BadSchedule("it names one day and a rhythm; write only one of them")
        return rhythm_spec(said)
    if "year" in said.calendar or (said.repeats and said.date is not None and said.date[0] is None):
        return yearly_spec(said)
    if not once:
        return repeated_spec(said)
    if said.repeats:
        raise BadSchedule("it names one date and repeats; write only one of them")
    local = _once(said, local_now.replace(tzinfo=None))
    return {"at": local.isoformat()}


def _delay_spec(said: Said, local_now: datetime) -> dict[str, Any]:
    if said != Said(delay=said.delay):
        raise BadSchedule("a delay stands alone, as in 'in 20 minutes'")
    seconds = sum(count * UNITS_S.get(unit, LONGEST_S + 1) for count, unit in said.delay)
    if not 1 <= seconds <= LONGEST_S:
        raise BadSchedule("a delay is from one second to ten years, in weeks or shorter units")
    due = local_now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
    return {"at": due.astimezone(local_now.tzinfo).isoformat()}


def _once(said: Said, now: datetime) -> datetime:
    """Return the one wall time that is meant; `now` is the zone's wall time."""
    times = clock_times(said)
    if len(times) > 1 or len(said.weekdays) > 1:
        raise BadSchedule("it names several times without repeating; write 'every …', or make one schedule for each")
    if said.month_days or said.nth_weekdays or said.months or said.window or (said.date and said.weekdays):
        raise BadSchedule("it names more than one day; write for instance '5 jan 2027 08:00'")
    hour, minute = times[0]
    today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if said.date is not None:
        return _dated(said.date, today, now)
    if said.near_day is not None:
        return today + said.near_day * _ONE_DAY
    first = int(said.once_on == "next" or today <= now)
    days = (today + ahead * _ONE_DAY for ahead in range(first, first + 7))
    return next(day for day in days if day.isoweekday() in said.weekdays)


def _dated(date: tuple[int | None, int, int], today: datetime, now: datetime) -> datetime:
    """Return the time of day of `today` on the date; one without a year is the next that comes."""
    year, month, day = date
    for each in (year,) if year is not None else range(today.year, today.year + 9):
        try:
            local = today.replace(year=each, month=month, day=day)
        except ValueError:
            continue  # 29 February of most years, or a day that no year has
        if year is not None or local > now:
            return local
    raise BadSchedule(f"there is no day {day} in month {month}{f' of {year}' if year else ''}")
