"""Cron expressions: the text of five fields becomes a calendar, or an error that says what to write instead.

The rules are those of Debian's cron, read strictly. Fields by themselves are in `cron_fields`.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from pipelines.errors import BadSchedule, nearest
from pipelines.triggers.cron_calendar import CronCalendar
from pipelines.triggers.cron_fields import DAY, KINDS, WEEKDAY, Field, bad, parse_field
from pipelines.triggers.cron_slots import fill_slots

MACROS = MappingProxyType(
    {
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
        "@monthly": "0 0 1 * *",
        "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@hourly": "0 * * * *",
    }
)
_LONGEST_TEXT = 256
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FIELDS = "minute, hour, day of month, month, day of week"


def parse_cron(expression: str, schedule_id: str = "") -> tuple[CronCalendar, tuple[str, ...]]:
    """Read a cron expression; return its calendar and warnings for people.

    Args:
        expression: five fields, or a macro such as `@daily`.
        schedule_id: what the stable slots of `H` are drawn from.

    Raises:
        BadSchedule: it breaks the grammar or can never fire.
    """
    try:
        fields = tuple(
            parse_field(kind, fill_slots(kind, text, schedule_id))
            for kind, text in zip(KINDS, _split(expression), strict=True)
        )
        return _calendar(fields), _warnings(fields[2], fields[4])
    except BadSchedule as error:
        raise BadSchedule(f"cron {expression!r:.80}: {error}") from None


def _split(expression: str) -> list[str]:
    if not isinstance(expression, str):
        raise BadSchedule("it is not text; write the five fields in quotes")
    if len(expression) > _LONGEST_TEXT:
        raise BadSchedule(f"{len(expression)} characters, more than {_LONGEST_TEXT}; write several schedules")
    odd = next((character for character in expression if not (" " <= character <= "~" or character == "\t")), None)
    if odd is not None:
        raise BadSchedule(
            f"the character {odd!a} has no meaning in cron; write ASCII on one line, spaces between fields"
        )
    text = expression.strip(" \t")
    if text.startswith("@"):
        text = _macro(text)
    words = re.split(r"[ \t]+", text) if text else []
    if len(words) != len(KINDS):
        raise BadSchedule(f"{len(words)} fields, expected 5 ({_FIELDS}); {_count_hint(len(words))}")
    return words


def _macro(text: str) -> str:
    word = text.split(maxsplit=1)[0].lower()
    if text.lower() in MACROS:
        return MACROS[text.lower()]
    if word == "@every":
        raise BadSchedule("'@every' is not cron; use interval, for instance interval: {minutes: 5}")
    if word == "@reboot":
        raise BadSchedule("'@reboot' is not a time; leave the schedule out, then the pipeline runs once at start-up")
    known = nearest(word, list(MACROS))
    raise BadSchedule(
        f"'{text}' is not known; " + (f"did you mean '{known}'?" if known else f"write {', '.join(MACROS)}")
    )


def _count_hint(count: int) -> str:
    if count == 6:
        return "there is no field for seconds (or years): use interval for seconds, or leave the sixth field out"
    if count == 7:
        return "there are no fields for seconds and years: use interval for seconds, at for one date"
    return "write for instance '30 9 * * 1-5' for 09:30, Monday to Friday"


def _calendar(fields: tuple[Field, ...]) -> CronCalendar:
    minute, hour, day, month, weekday = fields
    if weekday.marks and not day.bare:
        hint = "write '*' as day of month"
        raise bad(WEEKDAY, ",".join(weekday.marks), "'#' and 'L' need every day of month to choose from", hint)
    days, day_or = _days(day, month, weekday)
    return CronCalendar(minute.values, hour.values, days, day_or=day_or, wildcard=minute.star or hour.star)


def _days(day: Field, month: Field, weekday: Field) -> tuple[str, bool]:
    """Return the three day fields in canonical form, and whether one of the two day fields is enough.

    A day field that all days match says nothing beside another that must match too, and everything beside one that
    need not: so both cases become `*`. Days that none of the months has are left out.
    """
    longest = max(_LONGEST_MONTH[number - 1] for number in month.values)
    days = [str(number) for number in day.values if number <= longest and not (number == longest and day.marks)]
    days += day.marks
    either = not (day.star or weekday.star)
    if not days and not either:
        reason = f"month {_text(month)} has no such day, so it would never fire"
        raise bad(DAY, ",".join(map(str, day.values)), reason, "write a day within the month, or 'L' for its last")
    every_day, every_weekday = len(days) == longest, len(weekday.values) == 7
    if either and (every_day or every_weekday):
        return f"* {_text(month)} *", False
    first = "*" if every_day or not days else ",".join(days)
    last = "*" if every_weekday else ",".join([*map(str, weekday.values), *weekday.marks])
    return f"{first} {_text(month)} {last}", either and first != "*"


def _text(month: Field) -> str:
    return "*" if len(month.values) == 12 else ",".join(map(str, month.values))


def _warnings(day: Field, weekday: Field) -> tuple[str, ...]:
    for one, other, name, kind in ((day, weekday, "day of month", WEEKDAY), (weekday, day, "day of week", DAY)):
        if one.star and not one.bare and not other.bare:
            text = (
                f"{name} starts with '*' beside a {kind.name}: here, as in Debian's cron, both must match, but other "
                f"programs fire when either does. Write the {name} as a list of numbers to mean either"
            )
            return (text,)
    return ()
