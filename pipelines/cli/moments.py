"""Times that people type: one moment (`tomorrow at 08:00`), a length of time (`2h`), the time zone of both."""

from __future__ import annotations

from datetime import datetime

from pipelines.errors import BadSchedule
from pipelines.phrases import understand


def moment(text: str, *, zone: str, now: datetime) -> datetime:
    """Return the one instant, UTC, that a text means, read in `zone`.

    Raises:
        BadSchedule: it is not understood, is past, or comes again and again.
    """
    meant = understand(text, zone=zone, now=now)
    at = meant.trigger.next_after(now) if meant.definition.at is not None else None
    if at is None:
        raise BadSchedule(f"'{text}' comes again and again; one moment is needed, such as 'tomorrow at 08:00'")
    return at


def after(text: str, *, zone: str, now: datetime) -> datetime:
    """Return the instant that is a length of time such as `2h` or `1 day` away.

    Raises:
        BadSchedule: it is not understood.
    """
    return moment(text if text.strip().casefold().startswith("in ") else f"in {text}", zone=zone, now=now)
