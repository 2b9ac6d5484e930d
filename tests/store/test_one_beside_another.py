"""What two processes do to one store at the same moment: nobody waits for ever, and no wish is lost."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, insert, text

from pipelines.cancels import Cancels
from pipelines.errors import InvalidTransition
from pipelines.live_run import LiveRun
from pipelines.model import Run, RunState
from pipelines.store import claims, ends, history, leases, processes, runs, signals, strays
from pipelines.store.ends import CancelWaiting
from pipelines.store.face_schema import signals as signal_table
from pipelines.store.leases import HandBack
from pipelines.store.opening import opened
from pipelines.store.processes import Beat
from pipelines.store.signals import Seen, SignalKind
from pipelines.store.strays import Renew
from pipelines.store.transactions import Transactions, Unavailable
from pipelines.store.writer import Reader, Writer
from tests.others import process, scheduler
from tests.project import until
from tests.store.conftest import on_postgresql
from tests.store.samples import NOON, after, claim, end, ids, manual, started

MINUTE = timedelta(minutes=1)


def state(conn, run) -> tuple[str, str | None]:
    """How a run stands, and why."""
    found = history.run(conn, run.id)
    return found.state.value, found.reason


def test_a_run_that_is_to_be_cancelled_makes_no_further_attempt(conn):
    """A wish that comes too late for an attempt which fails ends the run, counted once, and even who ran it is told."""
    (run,) = started(conn, "prices", max_attempts=3)
    assert [True] == ends.wish_cancel(conn, [CancelWaiting(run.id, "enough", NOON)])
    before = signals.seen_now(conn) if conn.dialect.name == "sqlite" else None
    failed = end(run, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(90))
    assert [True] == ends.finish(conn, [failed])
    assert ("cancelled", "enough") == state(conn, run)
    assert ["failed"] == [each.state.value for each in history.attempts(conn, run.id)]
    assert [("cancelled", 1)] == [tuple(row) for row in conn.execute(text("SELECT state, count FROM run_counts"))]
    if before is not None:
        assert [("run", str(run.id), "")] == [
            (each.kind, each.subject, each.detail) for each in signals.after(conn, before)[0]
        ]


class Meanwhile(Writer):
    """A writer before whose write of one kind something else is written, once."""

    def __init__(self, engine, before, other) -> None:
        super().__init__(engine)
        self._before, self._other = before, other

    async def call(self, fn, arg, **more):
        if fn is self._before and (other := self._other) is not None:
            self._other = None
            await super().call(*other)
        return await super().call(fn, arg, **more)


@pytest.mark.parametrize("given_back", [False, True])
async def test_a_run_that_ends_its_attempt_in_that_moment_is_cancelled(engine, given_back):
    """Between the look at a run and the wish its attempt ends elsewhere, and it waits again: it is cancelled."""
    with engine.begin() as conn:
        (run,) = started(conn, "prices", max_attempts=3)
    failed = end(run, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(90))
    back = (leases.hand_back, HandBack(run.id, run.attempt, NOON, "stopped"))
    writer = Meanwhile(engine, ends.wish_cancel, back if given_back else (ends.finish, failed))
    await writer.start()
    told: list[Run] = []
    cancels = Cancels(writer, reader := Reader(engine), live=dict, cancelled=told.extend, clock=lambda: NOON)
    await cancels.cancel(run.id, "enough")
    await writer.close()
    await reader.close()
    with engine.connect() as conn:
        assert ("cancelled", "enough") == state(conn, run)
    assert [run.id] == ids(told)


@pytest.mark.parametrize("fact", ["over", "lost"])
async def test_a_chain_that_has_ended_here_is_not_asked_to_stop(engine, fact):
    """A run whose attempt is over, or no longer this process's, and that waits again is cancelled in the store."""
    with engine.begin() as conn:
        (run,) = started(conn, "prices", max_attempts=3)
        ends.finish(conn, [end(run, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(90))])
    live = LiveRun(run, **{fact: "its lease was lost" if fact == "lost" else True})
    await (writer := Writer(engine)).start()
    cancels = Cancels(
        writer, reader := Reader(engine), live=lambda: {run.id: live}, cancelled=lambda _: None, clock=lambda: NOON
    )
    await cancels.cancel(run.id, "enough")
    with pytest.raises(InvalidTransition, match="nothing to cancel"):
        await cancels.cancel(run.id, "enough")
    await writer.close()
    await reader.close()
    with engine.connect() as conn:
        assert ("cancelled", "enough") == state(conn, run)


async def test_a_run_that_is_given_back_can_be_cancelled():
    """Who cancels a run that a stopping process is about to give to others has it cancelled, not run elsewhere."""
    stopped, unwanted = LiveRun(run=None), LiveRun(run=None)
    stopped.request_stop("the service was stopped", hand_back=True)
    stopped.request_stop("the service was stopped", hand_back=True)
    assert (True, "the service was stopped") == (stopped.going_back, stopped.cancel_reason)
    stopped.request_cancel("enough")
    unwanted.request_cancel("enough")
    unwanted.request_stop("the service was stopped", hand_back=True)
    assert [(False, "enough")] * 2 == [(each.going_back, each.cancel_reason) for each in (stopped, unwanted)]


def test_a_version_that_nobody_executes_is_given_to_no_run(conn):
    """Of schedulers that execute nothing none gives runs its own version; whoever has what a worker has does."""
    (run,) = runs.insert_runs(conn, [manual("prices")])
    conn.execute(text("UPDATE runs SET version = 'v0'"))
    processes.beat(conn, [Beat(scheduler("one", slots=0), {"prices": "v1"}), Beat(process(), {"prices": "v3"})])
    assert [[], []] == strays.renew(conn, [Renew({"prices": version}.get, MINUTE) for version in ("v1", "v2")])
    ((renewed,),) = strays.renew(conn, [Renew({"prices": "v3"}.get, MINUTE)])
    assert ("v0", "v3", (run.id,)) == (renewed.old, renewed.new, renewed.ids)


def test_signals_of_a_later_program_are_passed_over(engine):
    """A signal of a kind that is not known here stops nobody from reading the others."""
    with engine.connect() as conn:
        seen = signals.seen_now(conn)
    with engine.begin() as conn:
        told = {"at": NOON, "subject": "7", "detail": ""}
        conn.execute(insert(signal_table), [{**told, "kind": kind} for kind in ("weather", "run")])
    with engine.connect() as conn:
        found, seen = signals.after(conn, seen)
        assert [SignalKind.RUN] == [each.kind for each in found]
        assert ([], Seen) == (signals.after(conn, seen)[0], type(seen))


class Gate:
    """A write that holds the writer's thread up until it is opened."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, conn, given):
        self.entered.set()
        self.open.wait(10)
        return given


async def together(writer, *writes):
    """Have writes done in one transaction, by a writer that was busy when they came; returns their tasks."""
    gate = Gate()
    held = asyncio.create_task(writer.call(gate, 0))
    await asyncio.to_thread(gate.entered.wait, 10)
    tasks = [asyncio.create_task(writer.call(*write)) for write in writes]
    await asyncio.sleep(0)
    gate.open.set()
    await held
    return tasks


async def test_a_transaction_with_a_claim_begins_with_its_turn(engine):
    """Where one of the writes of a transaction must have its turn first, that is before all others; else it is not."""
    did: list[str] = []

    def end_(conn, given):
        did.append("end")
        return given

    def claim_(conn, given):
        did.append("claim")
        return given

    writer = Writer(engine, first={claim_: lambda _: did.append("turn")})
    await writer.start()
    await asyncio.gather(*await together(writer, (end_, 1), (claim_, 1)))
    await writer.call(end_, 2)
    await writer.close()
    assert ["turn", "end", "claim", "end"] == did


@on_postgresql
async def test_who_waits_for_its_turn_to_claim_holds_nothing(engine, module_url, monkeypatch):
    """While one process claims, another that ends a run and claims keeps it from no count: they cannot deadlock."""
    monkeypatch.setattr("pipelines.store.writer.BATCH_S", 10)
    with engine.begin() as conn:
        mine, theirs = started(conn, "prices", "prices", max_instances=9)
    async with opened(module_url, role="worker") as (writer, _):
        with engine.begin() as conn:
            runs.take_turn(conn)
            tasks = await together(writer, (ends.finish, end(mine)), (claims.take, runs.Claim(1, "there", NOON)))
            until(lambda: waits(conn), "nobody waits for the turn")
            conn.execute(text("SET LOCAL lock_timeout = '500ms'"))
            assert [True] == ends.finish(conn, [end(theirs)])
        assert [True, []] == await asyncio.gather(*tasks)


def waits(conn) -> bool:
    """Whether somebody waits for this schema's turn to claim."""
    found = "SELECT count(*) FROM pg_locks WHERE classid = 7306002 AND NOT granted"
    here = "objid = hashtext(current_schema())::bit(32)::bigint"
    return bool(conn.execute(text(f"{found} AND {here}")).scalar())


def test_who_stops_waits_no_longer_for_a_server_that_is_away():
    """A transaction that waits for its server gives up as soon as it is told to hurry."""
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    transactions = Transactions(engine)
    raised: list[Exception] = []

    def work() -> None:
        try:
            transactions.run(lambda _: None, durable=True)
        except Unavailable as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    transactions.hurry(0.0)
    thread.join(10)
    assert (False, 1) == (thread.is_alive(), len(raised))


def test_claims_take_their_turn_only_once_more(conn):
    """The turn may be taken before the claim itself does: it is the transaction's own already."""
    runs.insert_runs(conn, [manual("prices")])
    runs.take_turn(conn)
    assert 1 == len(claim(conn))
