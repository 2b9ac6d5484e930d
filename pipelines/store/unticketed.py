"""Which queues and ranks have runs that may go on and have no ticket.

Found one by one, in the order of the index of live runs. Asked for distinct ones, PostgreSQL went through all runs that
were ever recorded as soon as some thousands waited.
"""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, not_, select

from pipelines.model import RunState, utcnow
from pipelines.store.columns import any_of
from pipelines.store.places import FIRST_RANK
from pipelines.store.schema import in_states, runs

_NEXT = (
    select(runs.c.rank, runs.c.queue)
    .where(
        in_states(RunState.QUEUED),
        runs.c.ticket.is_(None),
        runs.c.rank >= bindparam("in_rank"),
        not_(and_(runs.c.rank == bindparam("in_rank"), any_of(runs.c.queue, "known"))),
    )
    .order_by(runs.c.rank, runs.c.id)
    .limit(1)
)
_AGAIN = (
    select(runs.c.rank, runs.c.queue)
    .where(in_states(RunState.WAITING_RETRY), runs.c.ticket.is_(None), runs.c.not_before <= bindparam("now"))
    .distinct()
)


def groups(conn: Connection) -> list[tuple[int, str]]:
    """Return the ranks and queues of runs that may go on and have no ticket, the first to go first."""
    found = {(row.rank, row.queue) for row in conn.execute(_AGAIN, {"now": utcnow()})}
    rank, known = FIRST_RANK, set[str]()
    while row := conn.execute(_NEXT, {"in_rank": rank, "known": known}).one_or_none():
        known = {*known, row.queue} if row.rank == rank else {row.queue}
        rank = row.rank
        found.add((rank, row.queue))
    return sorted(found)
