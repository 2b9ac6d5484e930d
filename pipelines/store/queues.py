"""What waits in each queue, and who holds the runs that go on; only runs that are not over are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from pipelines.model import Lease, RunState
from pipelines.store import clock
from pipelines.store.schema import in_states, runs

_LENGTHS = (
    select(runs.c.queue, func.count().label("waiting"), func.min(runs.c.queued_at).label("since"))
    .where(in_states(RunState.QUEUED))
    .group_by(runs.c.queue)
)
_DUE_AGAIN = (
    select(runs.c.queue, func.count().label("waiting"), func.min(runs.c.not_before).label("since"))
    .where(in_states(RunState.WAITING_RETRY), runs.c.not_before <= bindparam("now", type_=runs.c.not_before.type))
    .group_by(runs.c.queue)
)
_HELD = (
    select(runs.c.id, runs.c.pipeline, runs.c.queue, runs.c.attempt, runs.c.owner, runs.c.lease_until)
    .where(in_states(RunState.RUNNING))
    .order_by(runs.c.id)
)


@dataclass(frozen=True, slots=True)
class Length:
    """How many runs of a queue wait for their start or are due for another attempt, the oldest `since` (UTC)."""

    queue: str
    waiting: int
    since: datetime


def lengths(conn: Connection) -> list[Length]:
    """Return the queues in which runs wait, by name."""
    found = {row.queue: Length(*row) for row in conn.execute(_LENGTHS)}
    for row in conn.execute(_DUE_AGAIN, {"now": clock.now(conn)}):
        there = found.get(row.queue, Length(row.queue, 0, row.since))
        found[row.queue] = Length(row.queue, there.waiting + row.waiting, min(there.since, row.since))
    return [found[name] for name in sorted(found)]


def held(conn: Connection) -> list[Lease]:
    """Return the runs that go on, oldest first."""
    now = clock.now(conn)
    return [
        Lease(*row, (row.lease_until - now).total_seconds() if row.lease_until is not None else None)
        for row in conn.execute(_HELD)
    ]
