"""What to do about a try that failed: whether there is another, when, and who else has to wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from pipelines.channels import (
    Banned,
    DeliveryFault,
    Forbidden,
    Gone,
    Rejected,
    Slow,
    TooBig,
    Unauthorised,
    Unsure,
    Wait,
)
from pipelines.store.deliveries import Parcel

QUICK_S = 120.0
"""For so long after the first try of unknown outcome, waits double up to a minute; later up to `LONGEST_S`."""
LONGEST_S = 900.0
SLOW_S = 30.0
"""The shortest wait for a place that is written to too often; it grows with each try."""
BAN_S = 600.0
"""The shortest pause after a ban."""
PROBE_S = 3600.0
"""How often a place that forbids us, or is gone, is tried again."""
GIVE_UP_GONE = timedelta(hours=24)
"""How old a message must be to be given up where its place is gone."""

FLOOD = 50
FLOOD_AGE = timedelta(minutes=10)
"""When more than `FLOOD` messages wait for a target, the first for so long, they are told together."""
GATHERED = 1000
"""So many of them at most."""


class Scope(Enum):
    """Who waits: this target, all of its channel, or everybody."""

    TARGET = "target"
    CHANNEL = "channel"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Remedy:
    """What follows from a fault.

    Attributes:
        dead: The message is given up; the target goes on with the next.
        wait_s: Seconds before which the message is not tried again, not by the next service either.
        pause_s: Seconds for which `scope` is left alone by this service. A new one tries at once: it may be mended.
        closes: The channel is closed until somebody mends it.
        tell: It is written to the log, once until it works again.
    """

    dead: bool = False
    wait_s: float = 0.0
    pause_s: float = 0.0
    scope: Scope = Scope.TARGET
    closes: bool = False
    tell: bool = False


def remedy(parcel: Parcel, fault: DeliveryFault) -> Remedy:
    """Return what to do about what came in the way of a message."""
    if isinstance(fault, Wait):
        return _wait(parcel, fault)
    if isinstance(fault, Unsure):
        return Remedy(wait_s=backoff_s(parcel))
    if isinstance(fault, Unauthorised):
        return Remedy(closes=True, tell=True)
    if isinstance(fault, Rejected | TooBig) or (
        isinstance(fault, Gone) and parcel.at - parcel.created_at >= GIVE_UP_GONE
    ):
        return Remedy(dead=True)
    if isinstance(fault, Forbidden | Gone):
        return Remedy(pause_s=PROBE_S, tell=True)
    return Remedy(wait_s=backoff_s(parcel))


def backoff_s(parcel: Parcel) -> float:
    """Return the seconds until the next try: 1, 2, 4 … 60, and once a nonce may be forgotten, up to 15 minutes."""
    age_s = (parcel.at - parcel.first_tried_at).total_seconds()
    return float(min(2 ** min(parcel.attempts - 1, 20), 60.0 if age_s < QUICK_S else LONGEST_S))


def _wait(parcel: Parcel, fault: Wait) -> Remedy:
    if isinstance(fault, Banned):
        seconds = max(fault.after_s, BAN_S)
        return Remedy(wait_s=seconds, pause_s=seconds, scope=Scope.ALL, tell=True)
    least = min(SLOW_S * parcel.attempts, LONGEST_S) if isinstance(fault, Slow) else 0.0
    seconds = max(fault.after_s, least)
    return Remedy(wait_s=seconds, pause_s=seconds, scope=Scope.CHANNEL if fault.everywhere else Scope.TARGET)
