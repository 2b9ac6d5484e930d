"""The time of a job, from an option of the command line to what the pipelines file would say."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.cli.moments import after
from pipelines.errors import BadSchedule
from pipelines.phrases import understand

UNITS = (("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1))


def spec(option: str, value: Any, *, zone: str, now: datetime) -> dict[str, Any]:
    """Return the schedule that an option with its value means, read in `zone`.

    Raises:
        BadSchedule: a text is not understood, or is no interval where one is needed.
    """
    match option:
        case "--cron":
            return {"cron": value}
        case "--at":
            return {"at": value}
        case "--when":
            return understand(value, zone=zone, now=now).spec
        case "--every":
            return {"interval": _interval(value, zone, now)}
    return {"interval": dict(value)}


def check_to_come(meant: Mapping[str, Any], *, zone: str, now: datetime) -> None:
    """Let a schedule pass that is due at least once from now on; one that cannot be read is told of elsewhere.

    Raises:
        BadSchedule: its one moment is past.
    """
    at = now
    with suppress(ValueError):
        at = datetime.fromisoformat(str(meant.get("at")))
    if (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))) < now:
        raise BadSchedule(f"--at: {at} is past; write a moment to come")


def _interval(text: str, zone: str, now: datetime) -> dict[str, int]:
    """Return a length of time such as `30m`, `every 6h` or `1 day` by its units."""
    now = now.replace(microsecond=0)
    length = text.strip().removeprefix("every ")
    try:
        seconds = round((after(length, zone=zone, now=now) - now).total_seconds())
    except BadSchedule as error:
        raise BadSchedule(f"--every: '{text}' is no interval such as 30m or '6 hours': {error}") from None
    parts = {}
    for unit, size in UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts[unit] = count
    return parts
