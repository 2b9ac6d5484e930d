"""Runs on their way: asked for, and claimed by a worker.

How due instants become runs is in `occurrences`, how runs end in `ends`, and reading them in `history`.

Limits: a pipeline never has more runs at work than `max_instances`, where a run that waits for its next attempt keeps
its place. A claim takes the oldest run that has room, so one pipeline at its limit never holds up the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, insert, not_, null, select, text, update

from pipelines.model import NewRun, Run, RunState, utcnow
from pipelines.store import bulk, counts
from pipelines.store.columns import any_of
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

    `owner` names the worker for people. `only` None means any run.
    """

    limit: int
    owner: str
    now: datetime
    only: frozenset[int] | None = None


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


_HELD = (
    select(runs.c.pipeline, runs.c.state, func.count().label("held"), func.max(runs.c.max_instances).label("limit"))
    .where(in_states(RunState.RUNNING, RunState.WAITING_RETRY))
    .group_by(runs.c.pipeline, runs.c.state)
)


def _candidates(state: RunState, *, only: bool) -> Select[Any]:
    """Select a page of waiting runs, oldest first, without those of pipelines that are known to be full."""
    found = (
        select(runs.c.id, runs.c.pipeline, runs.c.max_instances, runs.c.state)
        .where(in_states(state), runs.c.id > bindparam("after"), not_(any_of(runs.c.pipeline, "full")))
        .order_by(runs.c.id)
        .limit(bindparam("page"))
    )
    if state is RunState.WAITING_RETRY:
        found = found.where(runs.c.not_before <= bindparam("now"))
    return found.where(any_of(runs.c.id, "only")) if only else found


_FRESH = {only: _candidates(RunState.QUEUED, only=only) for only in (False, True)}
_AGAIN = {only: _candidates(RunState.WAITING_RETRY, only=only) for only in (False, True)}
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
    room = _Room(conn)
    now = max((wish.now for wish in claims), default=utcnow())
    limit = sum(wish.limit for wish in claims if wish.only is None)
    free = _oldest_first(conn, {"now": now, "page": max(20, 2 * limit)}, room)
    chosen = [
        list(islice(_of(conn, wish, room) if wish.only is not None else free, max(0, wish.limit))) for wish in claims
    ]
    started: dict[int, Run] = {}
    for owner in dict.fromkeys(wish.owner for wish in claims):
        ids = [each for wish, found in zip(claims, chosen, strict=True) if wish.owner == owner for each in found]
        started |= _start(conn, owner, now, ids) if ids else {}
    return [[started[each] for each in found if each in started] for found in chosen]


class _Candidate(NamedTuple):
    """A run that may start if there is room."""

    id: int
    pipeline: str
    max_instances: int
    state: str


class _Room:
    """The places that runs hold in their pipelines: those at work, and those that wait for their next attempt.

    A run that waits has its place already; what it needs is that no more are at work than may be.
    """

    def __init__(self, conn: Connection) -> None:
        self.running: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()
        self.taken: set[int] = set()
        limits: dict[str, int] = {}
        for row in conn.execute(_HELD):
            (self.running if row.state == RunState.RUNNING else self.waiting)[row.pipeline] = row.held
            limits[row.pipeline] = max(row.limit, limits.get(row.pipeline, 0))
        self.full_of_running = {name for name, limit in limits.items() if self.running[name] >= limit}
        self.full = {name for name, limit in limits.items() if self.running[name] + self.waiting[name] >= limit}

    def take(self, row: _Candidate) -> bool:
        """Take a place for a run if there is one; if not, its pipeline is full."""
        if row.id in self.taken:
            return False
        name, waited = row.pipeline, row.state == RunState.WAITING_RETRY
        held = self.running[name] if waited else self.running[name] + self.waiting[name]
        if held >= row.max_instances:
            (self.full_of_running if waited else self.full).add(name)
            return False
        self.running[name] += 1
        self.waiting[name] -= waited
        self.taken.add(row.id)
        return True


def _of(conn: Connection, wish: Claim, room: _Room) -> Iterator[int]:
    """Yield runs that a restricted claim may have."""
    return _oldest_first(conn, {"now": wish.now, "page": max(20, 2 * wish.limit), "only": wish.only}, room)


def _oldest_first(conn: Connection, asked: Mapping[str, Any], room: _Room) -> Iterator[int]:
    """Take, one by one, runs that may start; each that is yielded has its place."""
    only = "only" in asked
    fresh = _pages(conn, _FRESH[only], asked, room.full)
    again = _pages(conn, _AGAIN[only], asked, room.full_of_running) if room.waiting else iter(())
    return (row.id for row in merge(fresh, again, key=lambda row: row.id) if room.take(row))


def _pages(conn: Connection, found: Select[Any], asked: Mapping[str, Any], full: set[str]) -> Iterator[_Candidate]:
    """Yield candidates page by page; `full` may grow meanwhile."""
    after, more = 0, True
    while more:
        page = [_Candidate(*row) for row in conn.execute(found, {**asked, "after": after, "full": full})]
        yield from page
        more = len(page) == asked["page"]
        after = page[-1].id if page else after


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
