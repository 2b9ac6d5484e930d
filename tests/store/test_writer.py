"""One thread writes for all: grouped, in order, with each error going to the one who made it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
from collections import Counter

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from pipelines.errors import StoreError
from pipelines.model import LogLine
from pipelines.store import database, history, logs, runs
from pipelines.store.transactions import Transactions, Unavailable
from pipelines.store.writer import ANSWERS, Reader, Writer
from tests.servers import libpq, postgres_url
from tests.store.conftest import on_postgresql
from tests.store.samples import NOON, manual

DEADLINE_S = 20


class Gate:
    """A write that waits inside the writer's thread until it is let through, and notes how it was called."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()
        self.batches: list[list[object]] = []

    def __call__(self, conn, args):
        self.batches.append(list(args))
        self.entered.set()
        assert self.open.wait(DEADLINE_S)
        return list(args)


@on_postgresql
async def test_a_writer_beside_another_does_not_wait_for_it(writer):
    """While one write hangs, another goes on beside it, on a connection of its own."""
    gate = Gate()
    hangs = asyncio.create_task(writer.call(gate, 1))
    await asyncio.to_thread(gate.entered.wait, DEADLINE_S)
    async with writer.beside() as other, asyncio.timeout(DEADLINE_S):
        assert 2 == await other.call(lambda conn, args: [conn.execute(text("SELECT 2")).scalar_one() for _ in args], 0)
    assert not hangs.done()
    gate.open.set()
    assert 1 == await hangs


@pytest.fixture
async def writer(engine):
    """A started writer; closed at the end of the test."""
    writer = Writer(engine)
    await writer.start()
    yield writer
    await writer.close()


async def held(writer: Writer) -> tuple[Gate, asyncio.Task[object]]:
    """Have the writer's thread busy until the gate is opened."""
    gate = Gate()
    task = asyncio.create_task(writer.call(gate, "gate"))
    await asyncio.to_thread(gate.entered.wait, DEADLINE_S)
    return gate, task


async def begun(count: int, writer: Writer) -> None:
    """Wait until so many writes are on their way."""
    async with asyncio.timeout(DEADLINE_S):
        while writer.pending < count:
            await asyncio.sleep(0)


def put(conn, args):
    """Store names with a value each; refuses a value of 'bad'."""
    for name, value in args:
        if value == "bad":
            raise ValueError(name)
        conn.execute(
            text("INSERT INTO state_values VALUES ('p', :name, :value)"), {"name": name, "value": f'"{value}"'}
        )
    return [name for name, _ in args]


def stored(engine) -> set[str]:
    with engine.connect() as conn:
        return set(conn.execute(text("SELECT name FROM state_values")).scalars())


async def test_a_call_returns_what_was_committed(engine, writer):
    """The result is there when the caller goes on."""
    run = await writer.call(runs.insert_runs, manual())
    with engine.connect() as conn:
        assert run == history.run(conn, run.id)
    assert 0 == writer.pending


async def test_a_refused_commit_harms_no_other(engine, writer):
    """What the database refuses only as it commits is told to its caller; the next write begins afresh."""
    part = "id INTEGER PRIMARY KEY, whole INTEGER REFERENCES parts (id) DEFERRABLE INITIALLY DEFERRED"

    def refused(conn, args):
        conn.execute(text(f"CREATE TEMPORARY TABLE parts ({part})"))
        conn.execute(text("INSERT INTO parts VALUES (1, 9)"))
        return args

    with pytest.raises(StoreError, match="the database refused"):
        await writer.call(refused, 1)
    await writer.call(put, ("next", 1))
    assert {"next"} == stored(engine)


async def test_what_waits_is_written_together(writer):
    """Calls that come while the thread is busy go into one call of their function, in their order."""
    gate, first = await held(writer)
    seen: list[str] = []

    def one(conn, args):
        seen.append(f"one{args}")
        return args

    def two(conn, args):
        seen.append(f"two{args}")
        return args

    calls = [asyncio.create_task(writer.call(fn, n)) for n, fn in enumerate([one, two, one, two, one])]
    await begun(6, writer)
    gate.open.set()
    assert [0, 1, 2, 3, 4] == await asyncio.gather(*calls)
    assert ["one[0, 2, 4]", "two[1, 3]"] == seen
    await first


async def test_what_comes_while_a_turn_is_waited_for_is_written_with_it(engine):
    """Whoever takes a lock before it writes takes along what came meanwhile, also when the work is done once more."""
    turn, seen, tries = Gate(), [], []

    def claim(conn, args):
        seen.append(args)
        if len(tries) < 2:
            raise OperationalError("claim", None, sqlite3.OperationalError("it is gone"), connection_invalidated=True)
        return args

    def begin(conn):
        tries.append(turn(conn, ["turn"]))

    writer = Writer(engine, first={claim: begin})
    await writer.start()
    first = asyncio.create_task(writer.call(claim, 1))
    await asyncio.to_thread(turn.entered.wait, DEADLINE_S)
    rest = [asyncio.create_task(writer.call(claim, n)) for n in (2, 3)]
    await begun(3, writer)
    turn.open.set()
    assert [1, 2, 3] == await asyncio.gather(first, *rest)
    assert [[1, 2, 3], [1, 2, 3]] == seen
    await writer.close()


async def test_a_batch_has_its_bound(engine):
    """No more than `max_batch` writes share a transaction."""
    writer = Writer(engine, max_batch=3)
    await writer.start()
    gate, first = await held(writer)
    calls = [asyncio.create_task(writer.call(gate, n)) for n in range(7)]
    await begun(8, writer)
    gate.open.set()
    await asyncio.gather(first, *calls)
    await writer.close()
    assert [["gate"], [0, 1, 2], [3, 4, 5], [6]] == gate.batches


async def test_long_work_is_committed_before_the_next_kind(engine, writer, monkeypatch):
    """A transaction whose time is over takes no further group in; what is left over follows at once."""
    monkeypatch.setattr("pipelines.store.writer.BATCH_S", -1.0)
    gate, first = await held(writer)
    seen: list[set[str]] = []

    def look(conn, args):
        seen.append(stored(engine))
        return args

    calls = [asyncio.create_task(writer.call(fn, arg)) for fn, arg in ((put, ("a", 1)), (look, 0), (put, ("b", 1)))]
    await begun(4, writer)
    gate.open.set()
    assert ["gate", "a", 0, "b"] == await asyncio.gather(first, *calls)
    assert [{"a", "b"}] == seen


async def test_only_the_guilty_get_the_error(engine, writer):
    """Of many writes in one group, the bad ones fail and the others are committed."""
    gate, first = await held(writer)
    calls = [asyncio.create_task(writer.call(put, (f"n{n}", "bad" if n % 4 == 2 else n))) for n in range(10)]
    await begun(11, writer)
    gate.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert ["n0", "n1", "ValueError('n2')", "n3"] == [
        each if isinstance(each, str) else repr(each) for each in results[:4]
    ]
    assert {f"n{n}" for n in range(10) if n % 4 != 2} == stored(engine)
    await first


async def test_what_the_database_refuses_is_a_store_error(writer):
    """A broken statement or a double key is told in one line, and the thread goes on."""
    with pytest.raises(StoreError, match=r"the database refused: .*nowhere"):
        await writer.call(lambda conn, args: conn.execute(text("SELECT * FROM nowhere")), 1)
    assert "a" == await writer.call(put, ("a", 1))
    with pytest.raises(StoreError, match=r"(?i)unique"):
        await writer.call(put, ("a", 1))


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), KeyboardInterrupt()])
async def test_nothing_ends_the_thread(writer, error):
    """Errors that would end a thread go to the caller too, as one that can be raised there."""

    def fail(conn, args):
        raise error

    with pytest.raises(RuntimeError, match="ended with"):
        await writer.call(fail, 1)
    assert "a" == await writer.call(put, ("a", 1))


async def test_a_function_must_answer_each_argument(writer):
    """Too few results are an error, and nothing is committed."""
    with pytest.raises(ValueError, match="shorter"):
        await writer.call(lambda conn, args: [], 1)


async def test_a_cancelled_caller_takes_nothing_back(engine, writer):
    """What was asked for is written; others are answered."""
    gate, first = await held(writer)
    calls = [asyncio.create_task(writer.call(put, (f"n{n}", n))) for n in range(4)]
    await begun(5, writer)
    calls[1].cancel()
    first.cancel()
    gate.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert ["n0", "CancelledError", "n2", "n3"] == [
        each if isinstance(each, str) else type(each).__name__ for each in results
    ]
    assert {"n0", "n1", "n2", "n3"} == stored(engine)
    async with asyncio.timeout(DEADLINE_S):
        while writer.pending:
            await asyncio.sleep(0)


async def test_callers_wait_for_room(engine):
    """Beyond the bound, callers wait; a cancelled one of them writes nothing; then the rest gets its turn."""
    writer = Writer(engine, bound=3)
    await writer.start()
    gate, first = await held(writer)
    calls = [asyncio.create_task(writer.call(put, (f"n{n}", n))) for n in range(10)]
    await begun(3, writer)
    for _ in range(5):
        await asyncio.sleep(0)
    assert 3 == writer.pending
    calls[5].cancel()
    gate.open.set()
    results = await asyncio.gather(first, *calls, return_exceptions=True)
    await writer.close()
    assert 1 == sum(isinstance(each, asyncio.CancelledError) for each in results)
    assert {f"n{n}" for n in range(10) if n != 5} == stored(engine)


async def test_closing_writes_what_waits(engine):
    """Everything that was asked for before is committed, also what still waited for room; later calls are refused."""
    writer = Writer(engine, bound=2)
    await writer.start()
    gate, first = await held(writer)
    calls = [asyncio.create_task(writer.call(put, (f"n{n}", n))) for n in range(6)]
    writer.post(put, ("posted", 1))
    await begun(3, writer)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.gather(first, *calls)
    await closing
    assert {"posted", *(f"n{n}" for n in range(6))} == stored(engine)
    with pytest.raises(StoreError, match="not open"):
        await writer.call(put, ("late", 1))
    writer.post(put, ("late", 1))
    assert 1 == writer.dropped
    await writer.close()


async def test_posts_are_written_and_dropped_beyond_the_bound(engine):
    """Nobody waits for a post; those beyond the bound are counted."""
    writer = Writer(engine, bound=5)
    await writer.start()
    gate, first = await held(writer)
    for n in range(8):
        writer.post(put, (f"n{n}", n))
    assert (6, 3) == (writer.pending, writer.dropped)
    gate.open.set()
    await first
    await writer.close()
    assert ({f"n{n}" for n in range(5)}, 0) == (stored(engine), writer.pending)


async def test_a_post_that_fails_is_logged(writer, caplog):
    """The error is not lost."""
    with caplog.at_level(logging.ERROR):
        writer.post(put, ("n", "bad"))
        await writer.call(put, ("after", 1))
    assert "a write that nobody waits for failed: n" in caplog.text


async def test_posts_come_from_any_thread(engine, writer):
    """Log lines of worker threads arrive, each run's in its order."""
    run = await writer.call(runs.insert_runs, manual())

    def chat(name: str) -> None:
        for n in range(50):
            writer.post(logs.append, (run.id, [LogLine(NOON, 20, name, str(n))]))

    await asyncio.gather(*(asyncio.to_thread(chat, name) for name in "abc"))
    await writer.close()
    with engine.connect() as conn:
        lines = [line for _, line in logs.tail(conn, run.id)]
    assert [[str(n) for n in range(50)]] * 3 == [[each.text for each in lines if each.source == s] for s in "abc"]


async def test_many_callers_at_once(engine, writer):
    """Hundreds of concurrent callers each get their own answer."""
    made = await asyncio.gather(*(writer.call(runs.insert_runs, manual(f"p{n}")) for n in range(500)))
    assert [f"p{n}" for n in range(500)] == [run.pipeline for run in made]
    assert 500 == len({run.id for run in made})


async def test_answers_come_a_few_at_a_time(writer):
    """Of the callers of one large transaction only a few go on in the same turn of the event loop."""
    gate, _ = await held(writer)
    went_on: list[int] = []
    turn = 0

    async def call() -> None:
        await writer.call(gate, "one of many")
        went_on.append(turn)

    calls = [asyncio.create_task(call()) for _ in range(100)]
    await begun(101, writer)
    gate.open.set()
    async with asyncio.timeout(DEADLINE_S):
        while len(went_on) < 100:
            await asyncio.sleep(0)
            turn += 1
    await asyncio.gather(*calls)
    assert ANSWERS == max(Counter(went_on).values())


@pytest.mark.parametrize("durable", [True, False])
async def test_durable_writes_wait_for_the_disk(engine, writer, durable):
    """SQLite syncs and PostgreSQL flushes for a durable write, and not for others."""
    ask = "PRAGMA synchronous" if engine.dialect.name == "sqlite" else "SHOW synchronous_commit"
    await writer.call(put, ("first", 1), durable=not durable)
    found = await writer.call(lambda conn, args: [conn.exec_driver_sql(ask).scalar_one()], 1, durable=durable)
    assert found == ((2 if durable else 1) if engine.dialect.name == "sqlite" else ("on" if durable else "off"))


async def test_a_locked_file_is_waited_for(tmp_path):
    """Another process's transaction delays a write, no more."""
    engine = database.connect(f"sqlite:///{tmp_path / 'a.db'}?timeout=0.01")
    database.migrate(engine)
    writer = Writer(engine)
    await writer.start()
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        call = asyncio.create_task(writer.call(put, ("a", 1)))
        done, _ = await asyncio.wait({call}, timeout=0.3)
        assert not done
        other.execute("ROLLBACK")
    assert "a" == await call
    await writer.close()
    engine.dispose()


def test_a_file_that_stays_locked_is_told(tmp_path):
    """After the time is up the error says so, and nothing was written."""
    engine = database.connect(f"sqlite:///{tmp_path / 'a.db'}?timeout=0.01")
    database.migrate(engine)
    transactions = Transactions(engine, give_up_s=0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="database is locked"):
            transactions.run(lambda conn: put(conn, [("a", 1)]), durable=True)
    transactions.close()
    assert set() == stored(engine)
    engine.dispose()


def terminate(pid: int) -> None:
    """Have the server end a connection."""
    with psycopg.connect(libpq(postgres_url()), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))


@on_postgresql
async def test_a_broken_connection_is_replaced(engine, writer):
    """A write during which the server drops the connection is done again on another; so is the one after."""
    pids: list[int] = []

    def fragile(conn, args):
        pids.append(conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
        if len(pids) == 1:
            terminate(pids[0])
        return put(conn, args)

    assert "a" == await writer.call(fragile, ("a", 1))
    terminate(pids[-1])
    assert "b" == await writer.call(fragile, ("b", 1))
    assert ({"a", "b"}, 3) == (stored(engine), len(set(pids)))


@on_postgresql
@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_without_an_answer_is_asked_after(engine, committed):
    """When the connection breaks around the commit, the write is there once, whether it had been done or not."""
    transactions = Transactions(engine)
    calls: list[int] = []

    def work(conn):
        calls.append(1)
        conn.execute(text("INSERT INTO state_values VALUES ('p', :name, '1')"), {"name": f"call {len(calls)}"})
        if len(calls) == 1:
            raw = conn.connection.dbapi_connection
            commit = raw.commit

            def broken() -> None:
                if committed:
                    commit()
                terminate(raw.info.backend_pid)
                raw.execute("SELECT 1")

            raw.commit = broken
        return len(calls)

    answer = await asyncio.to_thread(transactions.run, work, durable=True)
    transactions.close()
    assert (1 if committed else 2, {f"call {answer}"}) == (answer, stored(engine))


async def test_reads_go_on_beside_writes(engine, writer):
    """A reader answers while the writer is busy, and tells what the database refuses."""
    reader = Reader(engine)
    run = await writer.call(runs.insert_runs, manual())
    gate, first = await held(writer)
    assert run == await reader.read(history.run, run.id)
    assert [run] == await reader.read(history.runs, pipeline="prices")
    with pytest.raises(StoreError, match="the database refused"):
        await reader.read(lambda conn: conn.execute(text("SELECT * FROM nowhere")))
    gate.open.set()
    await first
    await reader.close()
