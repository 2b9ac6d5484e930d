"""A PostgreSQL that goes away, in every way there is: nothing is lost, nothing is doubled, and it goes on by itself."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelines.errors import StoreError
from pipelines.store import database, postgresql, silence
from pipelines.store.silence import Session
from pipelines.store.transactions import Transactions
from pipelines.store.writer import Reader, Writer
from tests.proxy import proxied
from tests.servers import LOOPBACK, libpq, own_postgres

DEADLINE_S = 30


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL of this module's own; what is not asked to be on the disk gets there late."""
    with own_postgres(tmp_path_factory.mktemp("postgres"), wal_writer_delay="10s") as server:
        server.execute("CREATE TABLE kept (name text)")
        yield server


@pytest.fixture
def proxy(server):
    """The network before it."""
    with proxied(server.port) as proxy:
        yield proxy


@pytest.fixture
def url(proxy) -> str:
    """The server behind that network."""
    return f"postgresql+psycopg://postgres@{LOOPBACK}:{proxy.port}/postgres"


@pytest.fixture
def engine(url):
    """An engine for it."""
    engine = database.connect(url, role="test")
    yield engine
    engine.dispose()


@asynccontextmanager
async def opened(engine, *, give_up_s: float = DEADLINE_S):
    """A writer and a reader at work; a server that is away is waited for so long."""
    writer, reader = Writer(engine), Reader(engine)
    writer._transactions = Transactions(engine, give_up_s=give_up_s)
    await writer.start()
    try:
        yield writer, reader
    finally:
        await writer.close()
        await reader.close()


def put(conn, names):
    """Write names, each in a row of its own."""
    conn.execute(text("INSERT INTO kept VALUES (:name)"), [{"name": name} for name in names])
    return names


def count(conn) -> int:
    """Read."""
    return conn.execute(text("SELECT count(*) FROM kept")).scalar_one()


class Traffic:
    """Several that write and read without a pause, and what they were answered."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self.writer, self.reader = writer, reader
        self.kept: list[str] = []
        self.refused: list[str] = []
        self.read: list[int] = []
        self.stopped = False

    async def writing(self, prefix: str) -> None:
        for number in itertools.count():
            if self.stopped:
                return
            name = f"{prefix} {number}"
            try:
                self.kept.append(await self.writer.call(put, name))
            except StoreError:
                self.refused.append(name)

    async def reading(self) -> None:
        while not self.stopped:
            with suppress(StoreError):
                self.read.append(await self.reader.read(count))
            await asyncio.sleep(0)

    async def goes_on(self) -> None:
        """Wait until a good deal more has been written and read."""
        writes, reads = len(self.kept) + 20, len(self.read) + 8
        async with asyncio.timeout(DEADLINE_S):
            while len(self.kept) < writes or len(self.read) < reads:
                await asyncio.sleep(0.005)

    def verdict(self, server, prefix: str) -> tuple[set[str], set[str]]:
        """What is lost of what was kept, and what is there more than once."""
        rows = Counter(name for (name,) in server.execute(f"SELECT name FROM kept WHERE name LIKE '{prefix}%'"))
        assert set(rows) <= {*self.kept, *self.refused}
        return {name for name in self.kept if name not in rows}, {name for name, times in rows.items() if times > 1}


async def shaken(engine, server, prefix, fault) -> tuple[set[str], set[str]]:
    """Have a fault amid traffic that goes on afterwards; returns what was lost and what was doubled."""
    async with opened(engine) as (writer, reader):
        traffic = Traffic(writer, reader)
        tasks = [asyncio.create_task(traffic.writing(f"{prefix} {number}")) for number in range(4)]
        tasks += [asyncio.create_task(traffic.reading()) for _ in range(2)]
        try:
            await traffic.goes_on()
            await asyncio.to_thread(fault)
            await traffic.goes_on()
        finally:
            traffic.stopped = True
            await asyncio.gather(*tasks)
    return traffic.verdict(server, prefix)


def killed(server, _proxy) -> None:
    server.kill()
    server.start()


FAULTS = {
    "restarted": lambda server, _: server.restart("fast"),
    "restarted at once": lambda server, _: server.restart("immediate"),
    "killed": killed,
    "sessions ended": lambda server, _: server.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pipecall%'"
    ),
    "connections reset": lambda _, proxy: proxy.reset(),
    "reset before a commit": lambda _, proxy: proxy.when_sent(b"COMMIT", deliver=False),
    "reset after a commit": lambda _, proxy: proxy.when_sent(b"COMMIT", deliver=True),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_fault_loses_or_doubles_a_write(engine, server, proxy, fault):
    """What was answered is there once, what was refused at most once, and writer and readers go on by themselves."""
    assert (set(), set()) == await shaken(engine, server, fault, lambda: FAULTS[fault](server, proxy))


async def test_a_black_hole_is_noticed(engine, server, proxy, monkeypatch, caplog):
    """A server that says nothing more counts as gone after a while; nothing is lost or doubled."""
    monkeypatch.setattr(silence, "SILENCE_S", 0.2)
    monkeypatch.setattr(silence, "ANSWER_S", 1)

    def fault() -> None:
        proxy.black_hole()
        deadline = time.monotonic() + DEADLINE_S
        while "fallen silent" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        proxy.heal()

    assert (set(), set()) == await shaken(engine, server, "hole", fault)


def test_rows_are_sent_with_the_end_of_all(url):
    """Amid many rows the server waits for nothing: it ends the transaction of who is frozen then."""
    with Session.connect(libpq(url)) as conn, psycopg.connect(libpq(url), autocommit=True) as other:
        conn.execute("CREATE TEMP TABLE rows (id integer PRIMARY KEY)")
        asked = "SELECT state FROM pg_stat_activity WHERE pid = %s"

        def rows(count):
            for number in range(count):
                yield (number,)
                [(state,)] = other.execute(asked, [conn.info.backend_pid]).fetchall()
                assert "idle in transaction" == state

        cursor = conn.cursor()
        cursor.executemany("INSERT INTO rows VALUES (%s)", rows(5))
        assert 5 == cursor.rowcount
        with pytest.raises(psycopg.errors.UniqueViolation), conn.transaction():
            cursor.executemany("INSERT INTO rows VALUES (%s)", [(6,), (1,), (7,)])
        cursor.executemany("INSERT INTO rows VALUES (%s) RETURNING id", [(8,), (9,)], returning=True)
        assert [(8,)] == cursor.fetchall()
        cursor.executemany("INSERT INTO rows VALUES (%s)", [(number,) for number in range(10, 100_000)])
        assert (99_997,) == conn.execute("SELECT count(*) FROM rows").fetchone()


async def test_a_slow_statement_is_no_silence(engine, monkeypatch):
    """A server that takes its time over a statement, and answers others, is waited for."""
    monkeypatch.setattr(silence, "SILENCE_S", 0.1)
    async with opened(engine) as (_, reader):
        assert 7 == await reader.read(lambda conn: conn.execute(text("SELECT 7 FROM pg_sleep(0.5)")).scalar_one())


async def test_a_read_is_tried_once_more(engine, server):
    """A read whose connection breaks amid it is done on another; not a third time."""
    calls: list[int] = []

    def broken(conn, times: int):
        calls.append(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())
        if len(calls) <= times:
            server.execute(f"SELECT pg_terminate_backend({calls[-1]})")
        return conn.execute(text("SELECT 7")).scalar_one()

    async with opened(engine) as (_, reader):
        assert (7, 2) == (await reader.read(broken, 1), len(set(calls)))
        calls.clear()
        with pytest.raises(StoreError, match="the database refused"):
            await reader.read(broken, 5)
    assert 2 == len(calls)


async def test_a_server_that_stays_away_is_told(engine, server):
    """While the server is away, writes and reads end with an error in bounded time; once it is back, they work."""
    async with opened(engine, give_up_s=0.3) as (writer, reader):
        await writer.call(put, "before")
        server.stop()
        try:
            for attempt in (writer.call(put, "away"), reader.read(count)):
                with pytest.raises(StoreError, match="the database refused"):
                    await asyncio.wait_for(attempt, 5)
        finally:
            server.start()
        assert "after" == await writer.call(put, "after")
        assert [("after",), ("before",)] == await reader.read(
            lambda conn: conn.execute(text("SELECT name FROM kept WHERE name !~ ' ' ORDER BY 1")).all()
        )


async def test_reads_do_not_wait_in_line_for_ever(engine, monkeypatch):
    """A read that waited too long for its turn is refused without asking the server."""
    monkeypatch.setattr("pipelines.store.writer.PATIENCE_S", -1.0)
    async with opened(engine) as (_, reader):
        with pytest.raises(StoreError, match="out of reach or busy"):
            await reader.read(count)


async def test_a_crash_that_gives_the_number_to_another_is_not_believed(engine, server, proxy):
    """A transaction that a crash took is not told as kept, although its number belongs to a committed one by now."""

    def crash() -> None:
        server.kill()
        server.start()
        for number in range(20):
            server.execute(f"INSERT INTO kept VALUES ('another {number}')")

    async with opened(engine, give_up_s=DEADLINE_S) as (writer, _):
        await writer.call(put, "warm up")
        server.execute("CHECKPOINT")
        proxy.when_sent(b"COMMIT", crash, deliver=False)
        with pytest.raises(StoreError, match="amid a commit, which may have been done or not"):
            await writer.call(put, "lost")
        assert "next" == await writer.call(put, "next")
    assert [] == server.execute("SELECT name FROM kept WHERE name = 'lost'")


def shown(conn, *names: str) -> list[str]:
    """The settings in force."""
    return [conn.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]


LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


async def test_each_session_has_its_limits(engine):
    """Reads end after a minute; the writer's statements do not, but neither wait for ever nor hold others up."""
    async with opened(engine) as (writer, reader):
        assert ["1min", "0", "1min"] == await reader.read(lambda conn: shown(conn, *LIMITS))
        assert ["0", "20s", "10s"] == await writer.call(lambda conn, args: [shown(conn, *LIMITS) for _ in args], 1)
        names = await reader.read(
            lambda conn: conn.execute(text("SELECT DISTINCT application_name FROM pg_stat_activity")).scalars().all()
        )
        assert f"pipecall test {os.getpid()}" in names


def test_the_url_has_the_last_word(url):
    """What the URL's query sets is not set otherwise."""
    given = "?application_name=mine&connect_timeout=3&options=-c%20statement_timeout%3D5s"
    engine = database.connect(url + given)
    with engine.connect() as conn:
        assert ["mine", "5s", "1min"] == shown(conn, "application_name", "statement_timeout", LIMITS[2])
        known = conn.connection.driver_connection.info.get_parameters()
        assert ("3", "15000") == (known["connect_timeout"], known["tcp_user_timeout"])
    engine.dispose()


def test_an_old_server_is_refused(url, monkeypatch):
    """The text says which version it is, and which is expected."""
    monkeypatch.setattr(postgresql, "OLDEST", 99)
    with pytest.raises(StoreError, match=r": PostgreSQL \d+\.\d+.* is too old; expected 99 or newer; upgrade"):
        database.connect(url)


@pytest.mark.parametrize("names", [["one"], ["one", "two", "three"]])
def test_whoever_freezes_amid_a_transaction_loses_it(engine, monkeypatch, names):
    """The server ends a writer's session that does nothing inside a transaction, and others get its locks.

    It does so after a statement with several rows, too, which psycopg sends in another way.
    """
    monkeypatch.setitem(postgresql._WRITING, LIMITS[2], "100ms")
    frozen = Transactions(engine)
    calls: list[int] = []

    def work(conn):
        calls.append(1)
        conn.execute(text("LOCK TABLE kept"))
        put(conn, names)
        if len(calls) == 1:
            with engine.connect() as other, other.begin():
                other.execute(text("LOCK TABLE kept"))
        return len(calls)

    assert frozen.run(work, durable=True) > 1
    frozen.close()


def test_a_lock_that_is_not_given_is_an_error_that_passes(engine, monkeypatch):
    """The writer waits for another's lock only so long at a time, and gets it once it is free."""
    monkeypatch.setitem(postgresql._WRITING, "lock_timeout", "50ms")
    transactions = Transactions(engine)
    states: list[str] = []
    with engine.connect() as other:
        other.execute(text("LOCK TABLE kept"))

        def work(conn):
            try:
                conn.execute(text("LOCK TABLE kept"))
            except DBAPIError as error:
                states.append(error.orig.sqlstate)
                other.rollback()
                raise
            return "mine"

        assert ("mine", ["55P03"]) == (transactions.run(work, durable=True), states)
    transactions.close()
