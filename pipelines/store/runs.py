"""Runs on their way: asked for, and claimed by a worker.

How due instants become runs is in `occurrences`, how runs end in `ends`, and reading them in `history`.

A claim takes the first run for which there is room (`places`), so that none at its limit ever holds up the others.
Whoever claims has a lease: until it ends, by the database's clock, and is not renewed (`leases`), the run is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, null, select, text, update

from pipelines.model import NewRun, Run, RunState, utcnow
from pipelines.store import bulk, clock, counts, sharing
from pipelines.store.columns import any_of
from pipelines.store.places import Candidate, Room
from pipelines.store.rows import of_new_run, to_run
from pipelines.store.schema import attempts, in_states, runs

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(7306002, hashtext(current_schema()))")
_SERIAL = text("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'runs'), 0)")
_NEXT_IDS = text("SELECT nextval(pg_get_serial_sequence('runs', 'id')) FROM generate_series(1, :n)")
_INSERT = insert(runs)
_INSERT_ATTEMPTS = insert(attempts)
_NEXT_WAKE = select(func.min(runs.c.not_before)).where(in_states(RunState.WAITING_RETRY))


LEASE = timedelta(seconds=30)
"""So long a lease is where nothing else is said."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's wish for work: up to `limit` runs that may start at `now`, for `owner`; only those in `only`, if any.

    `owner` names the process. `only` None means any run. `pools` says how many runs may be at work in each pool, over
    all pipelines, `in_all` how many whatever they are, on all machines (None: no limit). The lease is for `lease`.
    `queues` are those that it serves (None: all). `versions` gives the version of a pipeline that it has: runs that
    need another are left to others (None: it takes them all).
    """

    limit: int
    owner: str
    now: datetime
    only: frozenset[int] | None = None
    pools: Mapping[str, int] = field(default_factory=dict)
    lease: timedelta = LEASE
    versions: Callable[[str], str | None] | None = None
    queues: frozenset[str] | None = None
    in_all: int | None = None

    def accepts(self, row: Candidate) -> bool:
        """Tell whether it may have a run, room apart."""
        if self.queues is not None and row.queue not in self.queues:
            return False
        return self.versions is None or row.version in (None, self.versions(row.pipeline))


def insert_runs(conn: Connection, news: Sequence[NewRun]) -> list[Run]:
    """Queue runs, as of now."""
    now = utcnow()
    made = [queued(new, run_id, now) for new, run_id in zip(news, reserve_ids(conn, len(news)), strict=True)]
    store(conn, news, made)
    return made


def insert_lists(conn: Connection, lists: Sequence[Sequence[NewRun]]) -> list[list[Run]]:
    """Do as `insert_runs` for several callers' lists at once."""
    made = iter(insert_runs(conn, [new for each in lists for new in each]))
    return [list(islice(made, len(each))) for each in lists]


def reserve_ids(conn: Connection, n: int) -> Sequence[int]:
    """Return `n` ids for runs that are about to be inserted in this transaction, in ascending order."""
    if conn.dialect.name == "postgresql":
        return sorted(conn.execute(_NEXT_IDS, {"n": n}).scalars())
    last: int = conn.execute(_SERIAL).scalar_one()
    return range(last + 1, last + n + 1)


def queued(new: NewRun, run_id: int, now: datetime) -> Run:
    """Return the run that `new` becomes under this id."""
    return Run(
        id=run_id,
        pipeline=new.pipeline,
        state=RunState.QUEUED,
        started_by=new.started_by,
        queued_at=now,
        schedule_id=new.schedule_id,
        actor=new.actor,
        params=dict(new.params),
        due_at=new.due_at,
        max_attempts=new.max_attempts,
        pool=new.pool,
        lane=new.lane,
        queue=new.queue,
        priority=new.priority,
    )


def store(conn: Connection, news: Sequence[NewRun], made: Sequence[Run]) -> None:
    """Insert runs under the ids reserved for them; those that are over already are counted as well.

    On a shared store the others are told, and those who wait are handed to who executes them, in this transaction.
    """
    rows = [
        {
            **of_new_run(new),
            "id": run.id,
            "state": run.state.value,
            "reason": run.reason,
            "queued_at": run.queued_at,
            "ended_at": run.ended_at,
            "version": sharing.version(conn, run.pipeline),
        }
        for new, run in zip(news, made, strict=True)
    ]
    bulk.execute(conn, _INSERT, rows)
    counts.count(conn, [counts.Ended(run.pipeline, run.state, run.ended_at) for run in made if run.ended_at])
    sharing.hand_over(conn, [run for run in made if run.state is RunState.QUEUED])
    sharing.tell(conn, [run.id for run in made])


_START = (
    update(runs)
    .where(any_of(runs.c.id, "ids"), in_states(RunState.QUEUED, RunState.WAITING_RETRY))
    .values(
        state=RunState.RUNNING.value,
        attempt=runs.c.attempt + 1,
        owner=bindparam("by"),
        lease_until=bindparam("until", type_=runs.c.lease_until.type),
        started_at=func.coalesce(runs.c.started_at, bindparam("now", type_=runs.c.started_at.type)),
        not_before=null(),
    )
    .returning(*runs.c)
)


def take_turn(conn: Connection) -> None:
    """Let others who claim be done first: two who count at once would break a limit.

    A transaction in which there is a claim calls it before all else. Whoever waited here with rows of its own, such as
    those of a run's end, would be waited for by one who claimed before it ends runs of the same pipelines.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(_ONE_AT_A_TIME)


def claim(conn: Connection, claims: Sequence[Claim]) -> list[list[Run]]:
    """Start runs: queued ones, and those whose wait for the next attempt is over, as far as there is room.

    Each comes back as it now stands: running, with the number of the attempt that is the claimer's to finish.
    """
    take_turn(conn)
    limits = [wish.in_all for wish in claims if wish.in_all is not None]
    pools = {name: limit for wish in claims for name, limit in wish.pools.items()}
    room = Room(conn, pools, min(limits, default=None))
    now = max((wish.now for wish in claims), default=utcnow())
    limit = sum(wish.limit for wish in claims if wish.only is None)
    asked = {"now": now, "page": max(20, 2 * limit)}
    free: dict[Any, Iterator[int]] = {}
    chosen: list[list[int]] = []
    for wish in claims:
        mine = {"only": wish.only} if wish.only is not None else {}
        found = room.first_to_start({**asked, **mine}, wish.accepts)
        if not mine:  # the next of the same kind goes on where this one stopped
            found = free.setdefault((wish.queues, wish.versions), found)
        chosen.append(list(islice(found, max(0, wish.limit))))
    started: dict[int, Run] = {}
    for owner, lease in dict.fromkeys((wish.owner, wish.lease) for wish in claims):
        pairs = zip(claims, chosen, strict=True)
        ids = [each for wish, found in pairs if (wish.owner, wish.lease) == (owner, lease) for each in found]
        started |= _start(conn, owner, lease, now, ids) if ids else {}
    return [[started[each] for each in found if each in started] for found in chosen]


def _start(conn: Connection, owner: str, lease: timedelta, now: datetime, ids: Sequence[int]) -> dict[int, Run]:
    until = clock.now(conn) + lease
    rows = conn.execute(_START, {"ids": ids, "by": owner, "now": now, "until": until})
    started = {run.id: run for run in map(to_run, rows)}
    bulk.execute(conn, _INSERT_ATTEMPTS, [_attempt(run, now) for run in started.values()])
    sharing.tell(conn, list(started))
    return started


def _attempt(run: Run, now: datetime) -> Mapping[str, Any]:
    return {"run_id": run.id, "number": run.attempt, "state": RunState.RUNNING.value, "started_at": now}


def next_wake(conn: Connection) -> datetime | None:
    """Return when the next run may make its next attempt; None when none waits for one."""
    earliest: datetime | None = conn.execute(_NEXT_WAKE).scalar_one()
    return earliest
