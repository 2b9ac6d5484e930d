"""Runs on their way: asked for, and claimed by a worker.

How due instants become runs is in `occurrences`, how runs end in `ends`, and reading them in `history`.

A claim takes the oldest run for which there is room (`places`), so that none at its limit ever holds up the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, null, select, text, update

from pipelines.model import NewRun, Run, RunState, utcnow
from pipelines.store import bulk, counts
from pipelines.store.columns import any_of
from pipelines.store.places import Room
from pipelines.store.rows import of_new_run, to_run
from pipelines.store.schema import attempts, in_states, runs

_CLAIM_LOCK = 7_306_002
_SERIAL = text("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'runs'), 0)")
_NEXT_IDS = text("SELECT nextval(pg_get_serial_sequence('runs', 'id')) FROM generate_series(1, :n)")
_INSERT = insert(runs)
_INSERT_ATTEMPTS = insert(attempts)
_NEXT_WAKE = select(func.min(runs.c.not_before)).where(in_states(RunState.WAITING_RETRY))


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's wish for work: up to `limit` runs that may start at `now`, for `owner`; only those in `only`, if any.

    `owner` names the worker for people. `only` None means any run. `pools` says how many runs may be at work in each
    pool, over all pipelines.
    """

    limit: int
    owner: str
    now: datetime
    only: frozenset[int] | None = None
    pools: Mapping[str, int] = field(default_factory=dict)


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
    )


def store(conn: Connection, news: Sequence[NewRun], made: Sequence[Run]) -> None:
    """Insert runs under the ids reserved for them; those that are over already are counted as well."""
    rows = [
        {
            **of_new_run(new),
            "id": run.id,
            "state": run.state.value,
            "reason": run.reason,
            "queued_at": run.queued_at,
            "ended_at": run.ended_at,
        }
        for new, run in zip(news, made, strict=True)
    ]
    bulk.execute(conn, _INSERT, rows)
    counts.count(conn, [counts.Ended(run.pipeline, run.state, run.ended_at) for run in made if run.ended_at])


_START = (
    update(runs)
    .where(any_of(runs.c.id, "ids"), in_states(RunState.QUEUED, RunState.WAITING_RETRY))
    .values(
        state=RunState.RUNNING.value,
        attempt=runs.c.attempt + 1,
        owner=bindparam("by"),
        started_at=func.coalesce(runs.c.started_at, bindparam("now", type_=runs.c.started_at.type)),
        not_before=null(),
    )
    .returning(*runs.c)
)


def claim(conn: Connection, claims: Sequence[Claim]) -> list[list[Run]]:
    """Start runs: queued ones, and those whose wait for the next attempt is over; oldest first, within the limits.

    Each comes back as it now stands: running, with the number of the attempt that is the claimer's to finish.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"SELECT pg_advisory_xact_lock({_CLAIM_LOCK})"))  # two who count at once would break a limit
    room = Room(conn, {name: limit for wish in claims for name, limit in wish.pools.items()})
    now = max((wish.now for wish in claims), default=utcnow())
    limit = sum(wish.limit for wish in claims if wish.only is None)
    free = room.oldest_first({"now": now, "page": max(20, 2 * limit)})
    chosen = [list(islice(free if wish.only is None else _of(wish, room), max(0, wish.limit))) for wish in claims]
    started: dict[int, Run] = {}
    for owner in dict.fromkeys(wish.owner for wish in claims):
        ids = [each for wish, found in zip(claims, chosen, strict=True) if wish.owner == owner for each in found]
        started |= _start(conn, owner, now, ids) if ids else {}
    return [[started[each] for each in found if each in started] for found in chosen]


def _of(wish: Claim, room: Room) -> Iterator[int]:
    """Yield runs that a restricted claim may have."""
    return room.oldest_first({"now": wish.now, "page": max(20, 2 * wish.limit), "only": wish.only})


def _start(conn: Connection, owner: str, now: datetime, ids: Sequence[int]) -> dict[int, Run]:
    rows = conn.execute(_START, {"ids": ids, "by": owner, "now": now})
    started = {run.id: run for run in map(to_run, rows)}
    bulk.execute(conn, _INSERT_ATTEMPTS, [_attempt(run, now) for run in started.values()])
    return started


def _attempt(run: Run, now: datetime) -> Mapping[str, Any]:
    return {"run_id": run.id, "number": run.attempt, "state": RunState.RUNNING.value, "started_at": now}


def next_wake(conn: Connection) -> datetime | None:
    """Return when the next run may make its next attempt; None when none waits for one."""
    earliest: datetime | None = conn.execute(_NEXT_WAKE).scalar_one()
    return earliest
