"""From instants to wall clocks and back, across the gaps and folds that daylight saving makes.

Instants are aware and UTC, wall times are naive. Two aware datetimes of the same zone are never compared, because
Python ignores the fold when it does. Which zones there are is the business of `zones`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from pipelines.errors import BadSchedule

MINUTE = timedelta(minutes=1)
SKIPPED_DAY = timedelta(hours=3)
"""A gap at least this long is a day that a zone left out, not daylight saving."""

_PROBE = timedelta(days=6)
"""No zone has changed its offset twice within six days since 1973 (the closest pair is seven days less an hour)."""


def as_utc(moment: datetime) -> datetime:
    """Return the same instant in UTC.

    Raises:
        ValueError: the datetime is naive.
    """
    if moment.tzinfo is UTC:
        return moment
    if moment.utcoffset() is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; pass an aware datetime")
    return moment.astimezone(UTC)


def wall(instant: datetime, zone: tzinfo) -> datetime:
    """Return what the clocks of the zone show at the instant."""
    return instant.astimezone(zone).replace(tzinfo=None)


def offset(instant: datetime, zone: tzinfo) -> timedelta:
    """Return how far the clocks of the zone are ahead of UTC at the instant."""
    ahead = instant.astimezone(zone).utcoffset()
    return ahead if ahead is not None else timedelta(0)


def first_change(after: datetime, until: datetime, zone: tzinfo) -> datetime | None:
    """Return the first instant in (after, until] at which the zone's offset changes, or None.

    Both must be whole minutes; so is the result, because all offsets have been whole minutes since 1973.
    """
    before = offset(after, zone)
    low = after
    while low < until:
        high = min(low + _PROBE, until)
        if offset(high, zone) != before:
            return _bisect(low, high, zone)
        low = high
    return None


def first_pass(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the instant at which the clocks first show `local`, or None where a gap leaves it out."""
    instant = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return instant if wall(instant, zone) == local else None


def resolve(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the instant of a wall time: in a fold the first pass, in a gap the first instant after it.

    None where the gap is a skipped day.
    """
    instant = first_pass(local, zone)
    if instant is not None:
        return instant
    low, high = _around_gap(local, zone)
    return None if high - low >= SKIPPED_DAY else first_change(low, high, zone)


def read_local(local: datetime, zone: ZoneInfo) -> tuple[datetime, tuple[str, ...]]:
    """Return the instant that a person means by a wall time, and warnings about it.

    Raises:
        BadSchedule: the clocks of the zone never show that time.
    """
    instant = first_pass(local, zone)
    if instant is None:
        raise BadSchedule(_gap_text(local, zone))
    second = local.replace(tzinfo=zone, fold=1)
    if second.astimezone(UTC) == instant:
        return instant, ()
    text = (
        f"{_show(local)} comes twice in {zone.key} because the clocks are set back; the first is meant. "
        f"For the second write {second.isoformat()}"
    )
    return instant, (text,)


def _bisect(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    before = offset(low, zone)
    while high - low > MINUTE:
        middle = low + (high - low) // MINUTE // 2 * MINUTE
        if offset(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


def _around_gap(local: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return an instant before and one after the gap that `local` lies in; they are the gap's length apart."""
    aware = local.replace(tzinfo=zone)
    after, before = (aware.replace(fold=fold).utcoffset() or timedelta(0) for fold in (1, 0))
    return (local - after).replace(tzinfo=UTC), (local - before).replace(tzinfo=UTC)


def _gap_text(local: datetime, zone: ZoneInfo) -> str:
    low, high = _around_gap(local.replace(second=0, microsecond=0), zone)
    change = first_change(low, high, zone) or high
    resumed = wall(change, zone)
    skipped_from = resumed - (high - low)
    return (
        f"{_show(local)} does not exist in {zone.key}: the clocks go from {_show(skipped_from)} straight to "
        f"{_show(resumed)}; write a time outside that gap, or one with its offset from UTC"
    )


def _show(local: datetime) -> str:
    return local.isoformat(" ", "auto" if local.microsecond else "seconds" if local.second else "minutes")
