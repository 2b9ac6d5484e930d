"""Signals reach every reader once each, whatever order their transactions commit in, and are forgotten in time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

from sqlalchemy import Connection, Engine, text

from pipelines.model import utcnow
from pipelines.signals import LISTENING_S, LOOK_S, Signals
from pipelines.store import database, signals
from pipelines.store.listening import Listener, listener_at
from pipelines.store.signals import KEPT, RUNS_KEPT, Seen, Signal, SignalKind
from pipelines.store.writer import Reader, Writer
from tests.store.conftest import on_postgresql, on_sqlite


def job(name: object) -> Signal:
    """A signal of a job."""
    return Signal(SignalKind.JOB, str(name))


def subjects(engine: Engine, seen: Seen) -> tuple[list[str], Seen]:
    """What a reader finds who has seen so much, in a transaction of its own."""
    with engine.connect() as conn:
        found, now = signals.after(conn, seen)
    return [each.subject for each in found], now


def write(engine: Engine, *names: object) -> None:
    """Commit signals of jobs."""
    with database.writing(engine).begin() as conn:
        signals.put(conn, [job(name) for name in names])


def test_each_signal_is_seen_once_and_in_order(engine: Engine):
    """A reader finds what was written since its last look, and nothing from before it began."""
    write(engine, "before")
    with engine.connect() as conn:
        seen = signals.seen_now(conn)
    write(engine, "a", "b")
    write(engine, "c")
    found, seen = subjects(engine, seen)
    assert ["a", "b", "c"] == found
    assert ([], seen) == subjects(engine, seen)
    write(engine, "d")
    assert ["d"] == subjects(engine, seen)[0]


@on_postgresql
def test_a_signal_that_commits_after_two_hundred_later_ones_is_not_missed(engine: Engine):
    """However many were written after it and seen before it, and however often was looked meanwhile."""
    with engine.connect() as conn:
        seen = signals.seen_now(conn)
    with database.writing(engine).begin() as slow, database.writing(engine).begin() as slower:
        signals.put(slow, [job("slow")])
        signals.put(slower, [job("slower")])
        for number in range(200):
            write(engine, number)
            if number % 50 == 49:
                found, seen = subjects(engine, seen)
                assert [str(each) for each in range(number - 49, number + 1)] == found
        slow.commit()
        found, seen = subjects(engine, seen)
        assert ["slow"] == found
        write(engine, "last")
    found, seen = subjects(engine, seen)
    assert {"slower", "last"} == set(found)
    assert [] == subjects(engine, seen)[0]


@on_postgresql
def test_a_transaction_that_began_before_a_reader_is_not_missed(engine: Engine):
    """What was not committed when the reader began is new to it."""
    with database.writing(engine).begin() as slow:
        signals.put(slow, [job("slow")])
        with engine.connect() as conn:
            seen = signals.seen_now(conn)
    assert ["slow"] == subjects(engine, seen)[0]


@on_postgresql
def test_signals_in_savepoints_are_seen_with_their_transaction(engine: Engine):
    """Part of a transaction may be rolled back; the rest is seen once it is committed, and not twice."""
    with engine.connect() as conn:
        seen = signals.seen_now(conn)
    with database.writing(engine).begin() as conn:
        with conn.begin_nested() as undone:
            signals.put(conn, [job("undone")])
            undone.rollback()
        with conn.begin_nested():
            signals.put(conn, [job("kept")])
        assert [] == subjects(engine, seen)[0]
    found, seen = subjects(engine, seen)
    assert ["kept"] == found
    assert [] == subjects(engine, seen)[0]


@on_postgresql
def test_rows_of_another_server_are_not_seen_again_and_again(engine: Engine):
    """A store that was copied holds numbers of transactions that this server has not come to yet."""
    with engine.connect() as conn:
        seen = signals.seen_now(conn)
    write(engine, "copied", "new")
    with database.writing(engine).begin() as conn:
        conn.execute(text("UPDATE signals SET tx = tx + 1000000000 WHERE subject = 'copied'"))
    assert ["new"] == subjects(engine, seen)[0]


@on_postgresql
def test_a_program_of_the_version_before_is_heard_as_well(engine: Engine):
    """Its insert names no transaction; the database fills that in."""
    with engine.connect() as conn:
        seen = signals.seen_now(conn)
    with database.writing(engine).begin() as conn:
        conn.execute(text("INSERT INTO signals (at, kind, subject, detail) VALUES (now(), 'job', 'old', '')"))
    assert ["old"] == subjects(engine, seen)[0]


def left(conn: Connection) -> set[str]:
    """The subjects of all signals that there are."""
    return set(conn.execute(text("SELECT subject FROM signals")).scalars())


def test_signals_of_runs_are_forgotten_sooner(conn: Connection):
    """Those of runs go after minutes, all others after a day."""
    now, second = utcnow(), timedelta(seconds=1)
    ages = {"1": RUNS_KEPT + second, "2": RUNS_KEPT - second}
    signals.put(conn, [Signal(SignalKind.RUN, name, at=now - age) for name, age in ages.items()])
    others = {"old": KEPT + second, "young": KEPT - second}
    signals.put(conn, [Signal(SignalKind.CANCEL, name, at=now - age) for name, age in others.items()])
    assert [None] == signals.prune(conn, [now])
    assert {"2", "young"} == left(conn)


@on_postgresql
def test_those_who_clear_at_the_same_time_do_not_wait_for_each_other(engine: Engine):
    """The second passes over what the first is just removing."""
    with database.writing(engine).begin() as conn:
        signals.put(conn, [Signal(SignalKind.JOB, name, at=utcnow() - KEPT * 2) for name in "ab"])
    with database.writing(engine).begin() as first:
        signals.prune(first, [utcnow()])
        with database.writing(engine).begin() as second:
            second.execute(text("SET LOCAL lock_timeout = '1s'"))
            signals.prune(second, [utcnow()])
    with engine.connect() as conn:
        assert set() == left(conn)


# ---------------------------------------------------------------- following them


def address(engine: Engine) -> str:
    """The URL of the database."""
    return engine.url.render_as_string(hide_password=False)


@asynccontextmanager
async def following(engine: Engine, heard, *, listener: Listener | None, process: str = ""):
    """Somebody who follows signals; `heard` collects them."""
    reader, writer = Reader(engine), Writer(database.writing(engine))
    await writer.start()
    follower = Signals(writer, reader, clock=utcnow, process=process, listener=listener)

    async def take(given):
        heard.extend((each.subject, monotonic()) for each in given)

    await follower.begin()
    task = asyncio.create_task(follower.follow(dict.fromkeys(SignalKind, take)))
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await writer.close()
        await reader.close()


async def soon(condition) -> None:
    """Wait until something holds, or fail."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@on_postgresql
async def test_a_listener_hears_of_signals_at_once(engine: Engine):
    """On PostgreSQL nobody waits for the next look: signals come within a part of it."""
    heard: list[tuple[str, float]] = []
    listener = listener_at(address(engine))
    async with following(engine, heard, listener=listener):
        await soon(lambda: listener.hears)
        waits = []
        for name in "abcde":
            await asyncio.to_thread(write, engine, name)
            at = monotonic()
            await soon(lambda name=name: heard and heard[-1][0] == name)
            waits.append(heard[-1][1] - at)
    assert list("abcde") == [name for name, _ in heard]
    assert sorted(waits)[2] < min(LOOK_S, LISTENING_S) / 2


@on_sqlite
def test_nobody_listens_at_a_file(engine: Engine):
    """SQLite tells nobody; it is asked."""
    assert listener_at(address(engine)) is None


async def test_signals_are_followed_without_a_listener(engine: Engine):
    """Whoever cannot listen asks, and misses nothing."""
    heard: list[tuple[str, float]] = []
    async with following(engine, heard, listener=None):
        await asyncio.to_thread(write, engine, "a", "b")
        await soon(lambda: [name for name, _ in heard] == ["a", "b"])


@on_postgresql
async def test_a_listener_that_loses_its_connection_makes_another(engine: Engine):
    """What was written meanwhile is taken up with the new one, and what is written then is heard again."""
    heard: list[tuple[str, float]] = []
    listener = listener_at(address(engine))
    async with following(engine, heard, listener=listener):
        await soon(lambda: listener.hears)

        def cut() -> None:
            with engine.connect() as conn:
                asked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                mine = "query LIKE 'LISTEN%' || md5(current_schema()) || '%'"
                assert [True] == conn.execute(text(f"{asked} WHERE {mine}")).scalars().all()

        await asyncio.to_thread(cut)
        await soon(lambda: not listener.hears)
        await asyncio.to_thread(write, engine, "meanwhile")
        await soon(lambda: listener.hears)
        await asyncio.to_thread(write, engine, "afterwards")
        await soon(lambda: ["meanwhile", "afterwards"] == [name for name, _ in heard])


async def test_what_a_process_told_of_runs_itself_does_not_come_back_to_it(engine: Engine):
    """Its own words are left out, those of others about runs and its own about anything else are not."""
    heard: list[tuple[str, float]] = []
    async with following(engine, heard, listener=None, process="me") as follower:
        follower.tell(SignalKind.RUN, [1], "me")
        follower.tell(SignalKind.RUN, [2], "another")
        follower.tell(SignalKind.RUN, [3])
        follower.tell(SignalKind.CANCEL, [4], "me")
        await soon(lambda: len(heard) >= 3)
    assert {"2", "3", "4"} == {name for name, _ in heard}
