"""Jitter: each schedule is handled a little later than it is due, by an offset of its own that never changes.

So schedules that share an instant do not start at once, and a restart moves none of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b

from pipelines.triggers.local_time import as_utc
from pipelines.triggers.trigger import Trigger

_STEP = timedelta(milliseconds=1)
_PARTS = 2**64


def offset_of(schedule_id: str, most: timedelta) -> timedelta:
    """Return how much later than due a schedule starts: whole milliseconds in [0, `most`), drawn from its id."""
    if not most:
        return most
    drawn = int.from_bytes(blake2b(schedule_id.encode(errors="surrogatepass"), digest_size=8).digest())
    return most // _STEP * drawn // _PARTS * _STEP


class Later(Trigger):
    """Another trigger's instants, each so much later."""

    __slots__ = ("_by", "_trigger")

    def __init__(self, trigger: Trigger, by: timedelta) -> None:
        """`by` is not negative."""
        self._trigger, self._by = trigger, by
        super().__init__(f"{trigger.key} + {by}", trigger.zone, trigger.warnings)

    @property
    def words(self) -> str:
        """The words of the other one: what people asked for."""
        return self._trigger.words

    def next_after(self, after: datetime) -> datetime | None:
        """See `Trigger.next_after`."""
        instant = self._trigger.next_after(as_utc(after) - self._by)
        return None if instant is None else instant + self._by


def later(trigger: Trigger, by: timedelta) -> Trigger:
    """Return the trigger moved by `by`, or itself where that is nothing."""
    return Later(trigger, by) if by else trigger
