"""Runs that end: with an attempt's outcome, by being cancelled while they wait, or because the service died.

An end counts only for the attempt that is running now (the fence): a claimer that was given up, frozen or replaced
cannot write over what came after it. All that an end brings along, counts, stages, durable state, messages, trouble
of its pipeline, is in its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, insert, null, select, update

from pipelines.model import RETRYABLE_STATES, Outcome, RunState
from pipelines.store import bulk, counts, incidents, outbox, state
from pipelines.store.columns import any_of
from pipelines.store.rows import AnyRow, of_error
from pipelines.store.schema import attempts, in_states, runs, stages

DIED = "the service died under it"
"""The reason of an attempt that was running when its process or machine ended."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an attempt at `at`, and what becomes of its run: `next_state`, final or waiting_retry or queued.

    `not_before` is when the next attempt may start, where there is to be one. `definition_hash` None leaves what was
    recorded before. A success with fewer than `min_items` items out is trouble.
    """

    run_id: int
    attempt: int
    outcome: Outcome
    at: datetime
    next_state: RunState
    not_before: datetime | None = None
    definition_hash: str | None = None
    min_items: int = 0


@dataclass(frozen=True, slots=True)
class CancelWaiting:
    """A wish that a run which waits for its start, or for its next attempt, shall not go on."""

    run_id: int
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Recover:
    """A start of the service at `at`; runs of the pipelines in `fail` are not tried again (`on_crash: fail`)."""

    at: datetime
    fail: frozenset[str] = frozenset()


def _mine(*states: RunState) -> Select[Any]:
    """Select, and on PostgreSQL lock, those of the runs `ids` that are in `states`."""
    return (
        select(runs.c.id, runs.c.attempt, runs.c.pipeline)
        .where(any_of(runs.c.id, "ids"), in_states(*states))
        .order_by(runs.c.id)
        .with_for_update()
    )


_RUNNING = _mine(RunState.RUNNING)
_WAITING = _mine(RunState.QUEUED, RunState.WAITING_RETRY)
_ALL_RUNNING = (
    select(runs.c.id, runs.c.attempt, runs.c.max_attempts, runs.c.pipeline)
    .where(in_states(RunState.RUNNING))
    .order_by(runs.c.id)
    .with_for_update()
)
_ERROR: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in of_error(None)}
_END_RUN = (
    update(runs)
    .where(runs.c.id == bindparam("of"))
    .values(
        **_ERROR,
        state=bindparam("next_state"),
        reason=bindparam("why"),
        ended_at=bindparam("over_at"),
        not_before=bindparam("wait_until"),
        definition_hash=func.coalesce(bindparam("hash"), runs.c.definition_hash),
        items_in=bindparam("taken_in"),
        items_out=bindparam("given_out"),
        owner=null(),
        lease_until=null(),
    )
)
_END_ATTEMPT = (
    update(attempts)
    .where(attempts.c.run_id == bindparam("of"), attempts.c.number == bindparam("mine"))
    .values(**_ERROR, state=bindparam("ended_as"), reason=bindparam("why"), ended_at=bindparam("at"))
)
_SET_RUN = (
    update(runs)
    .where(runs.c.id == bindparam("of"))
    .values(
        state=bindparam("next_state"),
        reason=bindparam("why"),
        ended_at=bindparam("over_at"),
        not_before=null(),
        owner=null(),
        lease_until=null(),
    )
)
_INSERT_STAGES = insert(stages)


def finish(conn: Connection, ends: Sequence[Finish]) -> list[bool]:
    """End attempts; False for one that was not, or no longer, the running attempt of its run: nothing is changed then.

    Durable state and messages are taken over from runs that succeeded only.
    """
    running = {row.id: row for row in conn.execute(_RUNNING, {"ids": [end.run_id for end in ends]})}
    mine = [_claimed(running, end) for end in ends]
    ours = [(end, row.pipeline) for end, row in zip(ends, mine, strict=True) if row is not None]
    if ours:
        _end(conn, [end for end, _ in ours])
        over = [_ended(end, pipeline) for end, pipeline in ours if end.next_state.final]
        counts.count(conn, over)
        incidents.follow(conn, over)
        _take_over(conn, [(end, pipeline) for end, pipeline in ours if end.next_state is RunState.SUCCEEDED])
    return [row is not None for row in mine]


def cancel_waiting(conn: Connection, wishes: Sequence[CancelWaiting]) -> list[bool]:
    """Cancel runs that wait; False for one that does not."""
    waiting = {row.id: row for row in conn.execute(_WAITING, {"ids": [wish.run_id for wish in wishes]})}
    mine = [waiting.pop(wish.run_id, None) for wish in wishes]
    cancelled = [(wish, row) for wish, row in zip(wishes, mine, strict=True) if row is not None]
    _set(conn, [(row, RunState.CANCELLED, wish.reason, wish.at) for wish, row in cancelled])
    return [row is not None for row in mine]


def recover(conn: Connection, starts: Sequence[Recover]) -> list[tuple[int, int]]:
    """At the start of the service: end what was running when it died. Returns how many are (queued again, crashed)."""
    return [_recover(conn, start) for start in starts]


def _claimed(running: dict[int, AnyRow], end: Finish) -> AnyRow | None:
    """Take the run out of `running` if it is this attempt that runs; a second end of the same one finds nothing."""
    row = running.get(end.run_id)
    return running.pop(end.run_id) if row is not None and row.attempt == end.attempt else None


def _end(conn: Connection, ends: Sequence[Finish]) -> None:
    bulk.execute(conn, _END_RUN, [_run_columns(end) for end in ends])
    bulk.execute(conn, _END_ATTEMPT, [_attempt_columns(end) for end in ends])
    rows = [
        {
            "run_id": end.run_id,
            "attempt": end.attempt,
            "position": stage.position,
            "name": stage.name,
            "items_in": stage.items_in,
            "items_out": stage.items_out,
            "busy_s": stage.busy_s,
        }
        for end in ends
        for stage in end.outcome.stages
    ]
    bulk.execute(conn, _INSERT_STAGES, rows)


def _run_columns(end: Finish) -> dict[str, Any]:
    return {
        **of_error(end.outcome.error),
        "of": end.run_id,
        "next_state": end.next_state.value,
        "why": end.outcome.reason,
        "over_at": end.at if end.next_state.final else None,
        "wait_until": end.not_before if end.next_state is RunState.WAITING_RETRY else None,
        "hash": end.definition_hash,
        "taken_in": end.outcome.items_in,
        "given_out": end.outcome.items_out,
    }


def _attempt_columns(end: Finish) -> dict[str, Any]:
    return {
        **of_error(end.outcome.error),
        "of": end.run_id,
        "mine": end.attempt,
        "ended_as": end.outcome.state.value,
        "why": end.outcome.reason,
        "at": end.at,
    }


def _ended(end: Finish, pipeline: str) -> counts.Ended:
    error = str(end.outcome.error) if end.outcome.error else end.outcome.reason
    told = error if end.next_state in RETRYABLE_STATES else None
    return counts.Ended(pipeline, end.next_state, end.at, told, end.run_id, _empty(end))


def _empty(end: Finish) -> str | None:
    """Say what a success fell short of."""
    items = end.outcome.items_out
    if end.next_state is not RunState.SUCCEEDED or items >= end.min_items:
        return None
    return f"{items:,} items out, at least {end.min_items:,} expected"


def _take_over(conn: Connection, ends: Sequence[tuple[Finish, str]]) -> None:
    for end, pipeline in ends:
        state.apply(conn, pipeline, end.outcome.change)
    outbox.put(conn, [(end.run_id, message, end.at) for end, _ in ends for message in end.outcome.messages])


def _recover(conn: Connection, start: Recover) -> tuple[int, int]:
    running = conn.execute(_ALL_RUNNING).all()
    crashed = {row.id for row in running if row.attempt >= row.max_attempts or row.pipeline in start.fail}
    died = {**of_error(None), "ended_as": RunState.CRASHED.value, "why": DIED, "at": start.at}
    bulk.execute(conn, _END_ATTEMPT, [{**died, "of": row.id, "mine": row.attempt} for row in running])
    _set(conn, [(row, RunState.CRASHED, DIED, start.at) for row in running if row.id in crashed])
    _set(conn, [(row, RunState.QUEUED, None, None) for row in running if row.id not in crashed])
    return len(running) - len(crashed), len(crashed)


def _set(conn: Connection, changes: Sequence[tuple[AnyRow, RunState, str | None, datetime | None]]) -> None:
    """Put runs into a state without an outcome of their own; `None` for the end of one that goes on."""
    rows = [{"of": row.id, "next_state": to.value, "why": why, "over_at": over_at} for row, to, why, over_at in changes]
    bulk.execute(conn, _SET_RUN, rows)
    ended = [
        counts.Ended(row.pipeline, to, at, why if to in RETRYABLE_STATES else None, row.id)
        for row, to, why, at in changes
        if at is not None
    ]
    counts.count(conn, ended)
    incidents.follow(conn, ended)
