"""Reads who takes part in a store, with its queues and leases, all at one time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Connection

from pipelines.model import DEFAULT_QUEUE, Machines, Queue
from pipelines.store import clock, processes, queues


def read(
    conn: Connection,
    within: timedelta,
    names: Iterable[str] = (),
    *,
    by_workers: bool = False,
    limit: int | None = None,
) -> Machines:
    """Read who takes part. `names` are queues to tell of even where nothing waits in them."""
    at = clock.now(conn)
    known, leases = tuple(processes.all_of(conn)), tuple(queues.held(conn))
    lengths = {each.queue: each for each in queues.lengths(conn)}
    running = Counter(each.queue for each in leases)
    alive = [each for each in known if each.silent_s <= within.total_seconds()]
    named = {DEFAULT_QUEUE, *names, *lengths, *running, *(name for each in alive for name in each.queues or ())}

    def queue(name: str) -> Queue:
        servers = tuple(each.id for each in alive if each.serves(name))
        if (length := lengths.get(name)) is None:
            return Queue(name, running=running[name], servers=servers)
        lag_s = max((at - length.since).total_seconds(), 0.0)
        return Queue(name, length.waiting, length.since, lag_s, running[name], servers)

    return Machines(
        at=at,
        within=within,
        processes=known,
        queues=tuple(map(queue, sorted(named))),
        leases=leases,
        versions=processes.versions(conn, within) if lengths else {},
        by_workers=by_workers,
        limit=limit,
    )
