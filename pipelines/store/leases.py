"""Who holds a run, and until when: renewing leases, giving runs back, and taking up those whose holder died.

A lease ends by the database's clock. Only the attempt that runs now can be renewed, given back or taken up, so that of
two who act at the same time one finds nothing. Claiming is in `runs`, the ends of attempts in `ends`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, bindparam, or_, select, update

from pipelines.model import RunState
from pipelines.store import clock, ends
from pipelines.store.columns import any_of
from pipelines.store.ends import Fate
from pipelines.store.rows import AnyRow
from pipelines.store.schema import in_states, runs

DIED = "the service died under it"
"""The reason of an attempt whose process or machine ended, or was cut off, while it was running."""


@dataclass(frozen=True, slots=True)
class Renew:
    """A wish to hold a run for `ttl` from now on, as the holder of its attempt."""

    run_id: int
    attempt: int
    ttl: timedelta


@dataclass(frozen=True, slots=True)
class Kept:
    """A lease that is held; `cancel_wish` is why somebody wants the run cancelled (None: nobody does).

    Not `renewed`, its end is as it was: another transaction changes the run just now.
    """

    cancel_wish: str | None = None
    renewed: bool = True


@dataclass(frozen=True, slots=True)
class Sweep:
    """A look for runs whose holder is gone, at `at` (UTC, for the record).

    Gone is who did not renew its lease, who is named in `dead`, and, for one who has the store for itself
    (`exclusive`), everybody.
    """

    at: datetime
    exclusive: bool = False
    dead: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Swept:
    """A run that was taken up: queued for its next attempt, or over. `owner` is who held it."""

    run_id: int
    pipeline: str
    state: RunState
    owner: str | None


@dataclass(frozen=True, slots=True)
class HandBack:
    """A wish of an attempt's holder to give its run to others, at `at`, for a `reason`.

    Not `begun`, no stage of that attempt was: even what is to run at most once may go to others.
    """

    run_id: int
    attempt: int
    at: datetime
    reason: str
    begun: bool = True


_HELD = select(runs.c.id, runs.c.attempt, runs.c.cancel_wish).where(
    any_of(runs.c.id, "ids"), in_states(RunState.RUNNING)
)
_FREE = select(runs.c.id).where(any_of(runs.c.id, "ids")).order_by(runs.c.id).with_for_update(skip_locked=True)
_RENEW = (
    update(runs).where(any_of(runs.c.id, "ids")).values(lease_until=bindparam("until", type_=runs.c.lease_until.type))
)
_OF_GONE = (
    runs.c.id,
    runs.c.attempt,
    runs.c.max_attempts,
    runs.c.pipeline,
    runs.c.at_most_once,
    runs.c.cancel_wish,
    runs.c.owner,
)
_RUNNING = select(*_OF_GONE).where(in_states(RunState.RUNNING)).order_by(runs.c.id).with_for_update(skip_locked=True)
_GONE = _RUNNING.where(
    or_(
        runs.c.lease_until.is_(None),
        runs.c.lease_until < bindparam("now", type_=runs.c.lease_until.type),
        any_of(runs.c.owner, "dead"),
    )
)
_MINE = select(*_OF_GONE).where(any_of(runs.c.id, "ids"), in_states(RunState.RUNNING)).order_by(runs.c.id)
_ONE_MORE = update(runs).where(any_of(runs.c.id, "ids")).values(max_attempts=runs.c.max_attempts + 1)


def renew(conn: Connection, wishes: Sequence[Renew]) -> list[Kept | None]:
    """Renew leases; None for one that is lost: the run went on without its holder, or is over.

    Nobody is waited for. A run that another transaction has locked is read as it was before, and not renewed.
    """
    asked = {"ids": [wish.run_id for wish in wishes]}
    free = set(conn.execute(_FREE, asked).scalars())
    held = {row.id: row for row in conn.execute(_HELD, asked)}
    mine = [held.get(wish.run_id) for wish in wishes]
    kept = [
        Kept(row.cancel_wish, row.id in free) if row is not None and row.attempt == wish.attempt else None
        for wish, row in zip(wishes, mine, strict=True)
    ]
    now = clock.now(conn)
    for ttl in {wish.ttl for wish in wishes}:
        pairs = zip(wishes, kept, strict=True)
        ids = [wish.run_id for wish, each in pairs if each is not None and each.renewed and wish.ttl == ttl]
        if ids:
            conn.execute(_RENEW, {"ids": ids, "until": now + ttl})
    return kept


def renew_lists(conn: Connection, lists: Sequence[Sequence[Renew]]) -> list[list[Kept | None]]:
    """Do as `renew` for several callers' lists at once."""
    kept = iter(renew(conn, [wish for each in lists for wish in each]))
    return [list(islice(kept, len(each))) for each in lists]


def sweep(conn: Connection, looks: Sequence[Sweep]) -> list[list[Swept]]:
    """Take up runs whose holder is gone: their attempt has crashed, and they are queued again if one is left.

    One that is to run at most once, or has no attempt left, is over as crashed; one that was to be cancelled, as
    cancelled.
    """
    return [_sweep(conn, look) for look in looks]


def _sweep(conn: Connection, look: Sweep) -> list[Swept]:
    asked = {} if look.exclusive else {"now": clock.now(conn), "dead": sorted(look.dead)}
    gone = conn.execute(_RUNNING if look.exclusive else _GONE, asked).all()
    if not gone:
        return []
    ends.end_attempts(conn, [(row.id, row.attempt) for row in gone], state=RunState.CRASHED, reason=DIED, at=look.at)
    fates = [_fate(row, look.at) for row in gone]
    ends.put(conn, fates)
    return [Swept(row.id, row.pipeline, fate.state, row.owner) for row, fate in zip(gone, fates, strict=True)]


def _fate(row: AnyRow, at: datetime) -> Fate:
    if row.cancel_wish is not None:
        return Fate(row.id, row.pipeline, RunState.CANCELLED, row.cancel_wish, at)
    if row.attempt >= row.max_attempts or row.at_most_once:
        return Fate(row.id, row.pipeline, RunState.CRASHED, DIED, at)
    return Fate(row.id, row.pipeline, RunState.QUEUED)


def hand_back(conn: Connection, wishes: Sequence[HandBack]) -> list[RunState | None]:
    """Give runs back; returns what they are now, None for one that was no longer its holder's.

    They are queued again, and the attempt that was cut short does not count. One that was to be cancelled is, and so is
    one that has begun and is to run at most once.
    """
    return [_hand_back(conn, wish) for wish in wishes]


def _hand_back(conn: Connection, wish: HandBack) -> RunState | None:
    row = conn.execute(_MINE.with_for_update(), {"ids": [wish.run_id]}).one_or_none()
    if row is None or row.attempt != wish.attempt:
        return None
    ends.end_attempts(conn, [(row.id, row.attempt)], state=RunState.CANCELLED, reason=wish.reason, at=wish.at)
    if (row.at_most_once and wish.begun) or row.cancel_wish is not None:
        fate = Fate(row.id, row.pipeline, RunState.CANCELLED, row.cancel_wish or wish.reason, wish.at)
    else:
        conn.execute(_ONE_MORE, {"ids": [row.id]})
        fate = Fate(row.id, row.pipeline, RunState.QUEUED)
    ends.put(conn, [fate])
    return fate.state
