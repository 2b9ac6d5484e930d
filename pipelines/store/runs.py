"""Runs on their way: asked for, and claimed by a worker.

How due instants become runs is in `occurrences`, how runs end in `ends`, and reading them in `history`.

Limits: a pipeline never has more runs at work than `max_instances`, where a run that waits for its next attempt keeps
its place. A claim takes the oldest run that has room, so one pipeline at its limit never holds up the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, literal, null, select, text, update

from pipelines.model import NewRun, Run, RunState, utcnow
from pipelines.store import counts
from pipelines.store.columns import any_of
from pipelines.store.rows import AnyRow, of_new_run, to_run
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
    if rows:
        conn.execute(_INSERT, rows)
    counts.count(conn, [counts.Ended(run.pipeline, run.state, run.ended_at) for run in made if run.ended_at])


def _candidates(state: RunState, holding: Sequence[RunState], *, only: bool) -> Select[Any]:
    """Select waiting runs, oldest first, of those pipelines in which fewer than the limit are in `holding` states."""
    others = (
        select(runs.c.pipeline, func.count().label("held"))
        .where(in_states(*holding))
        .group_by(runs.c.pipeline)
        .subquery("others")
    )
    held = func.coalesce(others.c.held, 0)
    found = (
        select(runs.c.id, runs.c.pipeline, runs.c.max_instances, held.label("held"), literal(state.value).label("was"))
        .outerjoin(others, others.c.pipeline == runs.c.pipeline)
        .where(in_states(state), runs.c.max_instances > held)
        .order_by(runs.c.id)
        .limit(bindparam("page"))
    )
    if state is RunState.WAITING_RETRY:
        found = found.where(runs.c.not_before <= bindparam("now"))
    return found.where(any_of(runs.c.id, "only")) if only else found


_FRESH = {
    only: _candidates(RunState.QUEUED, (RunState.RUNNING, RunState.WAITING_RETRY), only=only) for only in (False, True)
}
# A run that waits for its next attempt has its place already: what it needs is that no more are running than may.
_AGAIN = {only: _candidates(RunState.WAITING_RETRY, (RunState.RUNNING,), only=only) for only in (False, True)}
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
    return [_claim(conn, wish) for wish in claims]


def _claim(conn: Connection, wish: Claim) -> list[Run]:
    taken: list[Run] = []
    while (wanted := wish.limit - len(taken)) > 0:
        page = max(20, 2 * wanted)
        found = _waiting(conn, wish, page)
        chosen = _with_room(found, wanted)
        if chosen:
            taken += _start(conn, wish, chosen)
        if len(found) < page or not chosen:
            break
    return taken


def _waiting(conn: Connection, wish: Claim, page: int) -> list[AnyRow]:
    asked = {"page": page, "only": wish.only}
    only = wish.only is not None
    fresh = conn.execute(_FRESH[only], asked).all()
    again = conn.execute(_AGAIN[only], {**asked, "now": wish.now}).all()
    return sorted((*fresh, *again), key=lambda row: row.id)


def _with_room(found: Sequence[AnyRow], wanted: int) -> list[int]:
    """Choose the oldest, minding that each that is chosen takes a place from the later ones of its pipeline."""
    chosen: list[int] = []
    started: Counter[str] = Counter()
    fresh: Counter[str] = Counter()
    for row in found:
        if len(chosen) == wanted:
            break
        is_fresh = row.was == RunState.QUEUED
        if row.held + (fresh if is_fresh else started)[row.pipeline] < row.max_instances:
            chosen.append(row.id)
            started[row.pipeline] += 1
            fresh[row.pipeline] += is_fresh
    return chosen


def _start(conn: Connection, wish: Claim, ids: Sequence[int]) -> list[Run]:
    rows = conn.execute(_START, {"ids": ids, "by": wish.owner, "now": wish.now})
    started = sorted((to_run(row) for row in rows), key=lambda run: run.id)
    if started:
        conn.execute(_INSERT_ATTEMPTS, [_attempt(run, wish.now) for run in started])
    return started


def _attempt(run: Run, now: datetime) -> Mapping[str, Any]:
    return {"run_id": run.id, "number": run.attempt, "state": RunState.RUNNING.value, "started_at": now}


def next_wake(conn: Connection) -> datetime | None:
    """Return when the next run may make its next attempt; None when none waits for one."""
    earliest: datetime | None = conn.execute(_NEXT_WAKE).scalar_one()
    return earliest
