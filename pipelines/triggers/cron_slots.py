"""Stable slots: `H` in a cron field becomes a value of the schedule's own, so that many daily jobs spread over the day.

The value comes from SHA-256 of the schedule's id and the field's name: the same in every process and on every machine.
"""

from __future__ import annotations

import re
from hashlib import sha256

from pipelines.triggers.cron_fields import DAY, FieldKind, check_range, stepped, value_of

_SLOT = re.compile(
    r"[Hh](?:\((?P<low>[0-9]{1,2}|[A-Za-z]{3})-(?P<high>[0-9]{1,2}|[A-Za-z]{3})\))?(?:/(?P<step>[0-9]+))?"
)


def fill_slots(kind: FieldKind, text: str, schedule_id: str) -> str:
    """Return the field's text with each `H`, `H/s`, `H(a-b)`, `H(a-b)/s` replaced by numbers.

    Day of month `H` is within 1-28, so that it comes in every month.

    Raises:
        BadSchedule: a bound or a step is wrong.
    """
    if "H" not in text.upper():
        return text
    return ",".join(_fill(kind, item, schedule_id) for item in text.split(","))


def _fill(kind: FieldKind, item: str, schedule_id: str) -> str:
    found = _SLOT.fullmatch(item)
    if found is None:
        return item
    low, high = (1, 28) if kind is DAY else kind.whole
    if found["low"]:
        low, high = value_of(kind, found["low"], item), value_of(kind, found["high"], item)
        check_range(kind, low, high, item)
    step = stepped(kind, (low, high), found["step"], item).step
    number = _hash(schedule_id, kind.name)
    if not found["step"]:
        return str(low + number % (high - low + 1))
    return ",".join(str(value) for value in range(low + number % step, high + 1, step))


def _hash(schedule_id: str, field: str) -> int:
    seed = f"{schedule_id}\0{field}".encode("utf-8", "backslashreplace")
    return int.from_bytes(sha256(seed).digest()[:8], "big")
