"""Runs that end: with an attempt's outcome, or by being cancelled while they wait.

An end counts only for the attempt that is running now (the fence): a claimer that was given up, frozen or replaced
cannot write over what came after it. All that an end brings along, counts, stages, durable state, messages, trouble
of its pipeline, is in its transaction. What becomes of runs whose process died is in `leases`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, insert, null, select, update

from pipelines.model import RETRYABLE_STATES, Outcome, RunState
from pipelines.store import bulk, counts, incidents, outbox, sharing, signals, state
from pipelines.store.columns import any_of
from pipelines.store.rows import AnyRow, of_error, to_run
from pipelines.store.schema import attempts, in_states, runs, stages
from pipelines.store.signals import Signal, SignalKind


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


def _mine(*states: RunState) -> Select[Any]:
    """Select, and on PostgreSQL lock, those of the runs `ids` that are in `states`."""
    return (
        select(runs.c.id, runs.c.attempt, runs.c.pipeline, runs.c.cancel_wish)
        .where(any_of(runs.c.id, "ids"), in_states(*states))
        .order_by(runs.c.id)
        .with_for_update()
    )


_RUNNING = _mine(RunState.RUNNING)
_WAITING = _mine(RunState.QUEUED, RunState.WAITING_RETRY)
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
_WISH = (
    update(runs)
    .where(runs.c.id == bindparam("of"), in_states(RunState.RUNNING))
    .values(cancel_wish=func.coalesce(runs.c.cancel_wish, bindparam("why", type_=runs.c.cancel_wish.type)))
)
_AGAIN = select(runs).where(any_of(runs.c.id, "ids"))


def finish(conn: Connection, ends: Sequence[Finish]) -> list[bool]:
    """End attempts; False for one that was not, or no longer, the running attempt of its run: nothing is changed then.

    Durable state and messages are taken over from runs that succeeded only. A run that is to be cancelled makes no
    further attempt.
    """
    running = {row.id: row for row in conn.execute(_RUNNING, {"ids": [end.run_id for end in ends]})}
    mine = [_claimed(running, end) for end in ends]
    ours = [(end, row) for end, row in zip(ends, mine, strict=True) if row is not None]
    if ours:
        _end(conn, [end for end, _ in ours])
        over = [_ended(end, row.pipeline) for end, row in ours if end.next_state.final]
        counts.count(conn, over)
        incidents.follow(conn, over)
        _take_over(conn, [(end, row.pipeline) for end, row in ours if end.next_state is RunState.SUCCEEDED])
        on = [(end, row) for end, row in ours if not end.next_state.final]
        again(conn, [row.id for _, row in on if row.cancel_wish is None])
        _cancel_wished(conn, [(end, row) for end, row in on if row.cancel_wish is not None])
        sharing.tell(conn, [end.run_id for end, _ in ours])
    return [row is not None for row in mine]


def _cancel_wished(conn: Connection, which: Sequence[tuple[Finish, AnyRow]]) -> None:
    """Cancel runs that somebody wished cancelled too late for the attempt that has just ended; all are told of it."""
    put(conn, [Fate(row.id, row.pipeline, RunState.CANCELLED, row.cancel_wish, end.at) for end, row in which])
    signals.put(conn, [Signal(SignalKind.RUN, str(row.id)) for _, row in which])  # who ended the attempt, too


def cancel_waiting(conn: Connection, wishes: Sequence[CancelWaiting]) -> list[bool]:
    """Cancel runs that wait; False for one that does not."""
    waiting = {row.id: row for row in conn.execute(_WAITING, {"ids": [wish.run_id for wish in wishes]})}
    mine = [waiting.pop(wish.run_id, None) for wish in wishes]
    cancelled = [(wish, row) for wish, row in zip(wishes, mine, strict=True) if row is not None]
    put(conn, [Fate(row.id, row.pipeline, RunState.CANCELLED, wish.reason, wish.at) for wish, row in cancelled])
    return [row is not None for row in mine]


def wish_cancel(conn: Connection, wishes: Sequence[CancelWaiting]) -> list[bool]:
    """Wish that runs which go on elsewhere are cancelled; False for one that does not go on. The first reason stays.

    Whoever executes such a run learns of it by a signal, and, should that be lost, when it renews its lease.
    """
    return [conn.execute(_WISH, {"of": wish.run_id, "why": wish.reason}).rowcount > 0 for wish in wishes]


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


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a run that ends, or goes on, without an outcome of its own; `over_at` None: it goes on."""

    run_id: int
    pipeline: str
    state: RunState
    reason: str | None = None
    over_at: datetime | None = None

    @property
    def complaint(self) -> str | None:
        """What there is to complain of."""
        return self.reason if self.state in RETRYABLE_STATES else None


def put(conn: Connection, fates: Sequence[Fate]) -> None:
    """Put runs into a state without an outcome of their own; nobody holds them then."""
    rows = [
        {"of": each.run_id, "next_state": each.state.value, "why": each.reason, "over_at": each.over_at}
        for each in fates
    ]
    bulk.execute(conn, _SET_RUN, rows)
    ended = [
        counts.Ended(each.pipeline, each.state, each.over_at, each.complaint, each.run_id)
        for each in fates
        if each.over_at is not None
    ]
    counts.count(conn, ended)
    incidents.follow(conn, ended)
    again(conn, [each.run_id for each in fates if each.over_at is None])
    sharing.tell(conn, [each.run_id for each in fates])


def end_attempts(
    conn: Connection, which: Sequence[tuple[int, int]], *, state: RunState, reason: str, at: datetime
) -> None:
    """End attempts, (run, number), without an outcome of their own."""
    same = {**of_error(None), "ended_as": state.value, "why": reason, "at": at}
    bulk.execute(conn, _END_ATTEMPT, [{**same, "of": run_id, "mine": number} for run_id, number in which])


def again(conn: Connection, ids: Sequence[int]) -> None:
    """Hand runs that are to go on to who executes them."""
    if ids and sharing.of(conn) is not None:
        sharing.hand_over(conn, [to_run(row) for row in conn.execute(_AGAIN, {"ids": list(ids)})])
