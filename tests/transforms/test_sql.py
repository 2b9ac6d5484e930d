"""SqlQuery and SqlSink, on SQLite in a file and on PostgreSQL where it is reachable."""

from __future__ import annotations

import asyncio
import threading
import uuid
from datetime import date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from pipelines.errors import PipecallError
from pipelines.model import Job
from pipelines.testing import MemoryState, run_transform
from pipelines.transform import CURRENT_RUN, RunContext
from pipelines.transforms.database import Database, SqlError, SqlRefused
from pipelines.transforms.files import Csv
from pipelines.transforms.sql import SqlQuery, SqlSink, as_json
from tests.servers import postgres_url
from tests.transforms.loopback import real_file


class Place:
    """A database and the name of a table in it that nobody else uses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.table = f"t_{uuid.uuid4().hex}"

    def run(self, *statements: str) -> None:
        """Run statements; `{t}` is the table."""
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.format(t=self.table))

    async def write(self, items, **kwargs):
        return await run_transform(SqlSink(self.url, self.table, **kwargs), items)

    async def rows(self, what="SELECT * FROM {t} ORDER BY 1", **kwargs):
        query = SqlQuery(self.url, what.format(t=self.table), **kwargs)
        return await run_transform(query)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Each of the two databases in turn."""
    made = Place(f"sqlite:///{tmp_path / 'x.db'}" if request.param == "sqlite" else postgres_url())
    yield made
    made.run("DROP TABLE IF EXISTS {t}")


@pytest.fixture
def file(tmp_path):
    """A SQLite file."""
    return Place(f"sqlite:///{tmp_path / 'x.db'}")


@pytest.fixture
def server():
    """A PostgreSQL server."""
    made = Place(postgres_url())
    yield made
    made.run("DROP TABLE IF EXISTS {t}")


async def test_items_come_back_as_they_were_written(place):
    """A table is made from the values' types; what was written comes back, and the items went on unchanged."""
    items = [
        {"n": 1, "Full name": "Åsa; DROP TABLE x", "ok": True, "f": 1, "l": [1, {"a": None}], "%(x)s": None},
        {"n": 2, "Full name": None, "ok": False, "f": 2.5, "l": None, "%(x)s": "p"},
    ]
    assert items == await place.write(items)
    rows = await place.rows()
    assert [1, 2] == [row["n"] for row in rows]
    assert ["Åsa; DROP TABLE x", None] == [row["Full name"] for row in rows]
    assert [1.0, 2.5] == [row["f"] for row in rows]
    assert [None, "p"] == [row["%(x)s"] for row in rows]


async def test_times_become_utc(place):
    """A time with an offset is the same instant when it comes back."""
    await place.write([{"n": 1, "at": datetime.fromisoformat("2026-01-31T09:00:00+01:00"), "d": date(2026, 1, 31)}])
    row = (await place.rows())[0]
    assert row["d"] == "2026-01-31"
    assert str(row["at"]).replace("T", " ").startswith("2026-01-31 08:00:00")


async def test_iso_text_fits_a_time(place):
    """Where the table has a time, ISO text of another stage is stored as that instant."""
    place.run("CREATE TABLE {t} (n INTEGER, at TIMESTAMP)")
    await place.write([{"n": 1, "at": "2026-01-31T09:00:00+01:00"}])
    assert str((await place.rows())[0]["at"]).replace("T", " ").startswith("2026-01-31 08:00:00")


async def test_upsert_updates_by_key(place):
    """A row whose key is there is updated in the columns the item has; others are added."""
    await place.write([{"k": "a", "n": 1, "s": "x"}], key="k", mode="upsert")
    await place.write([{"k": "b", "n": 2}, {"k": "a", "n": 3}, {"k": "a", "n": 4}], key="k", mode="upsert")
    assert [{"k": "a", "n": 4, "s": "x"}, {"k": "b", "n": 2, "s": None}] == await place.rows()


async def test_upsert_with_nothing_but_the_key(place):
    """Items that are all key are added once."""
    for _ in range(2):
        await place.write([{"a": 1, "b": "x"}], key=["a", "b"], mode="upsert")
    assert [{"a": 1, "b": "x"}] == await place.rows()


async def test_an_insert_of_a_known_key_fails_whole(place):
    """One double key, and no row of that run is left."""
    await place.write([{"k": 1}], key="k")
    with pytest.raises(SqlRefused):
        await place.write([{"k": 2}, {"k": 1}], key="k", batch=1)
    assert [{"k": 1}] == await place.rows()


async def test_a_failure_behind_the_sink_rolls_back(place):
    """When a later stage fails after the sink wrote, the rows and the table itself are gone."""

    async def chain():
        async with SqlSink(place.url, place.table, batch=1) as sink:
            async for _ in sink(_items({"a": 1}, {"a": 2})):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await chain()
    with pytest.raises(SqlError, match=place.table):
        await place.rows()


async def test_a_cancel_rolls_back(place):
    """A cancelled run leaves nothing."""
    written = asyncio.Event()

    async def run():
        async with SqlSink(place.url, place.table, batch=1) as sink:
            async for _ in sink(_items({"a": 1}, {"a": 2})):
                written.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(SqlError, match=place.table):
        await place.rows()


async def test_a_stage_behind_that_stops_early_keeps_what_was_written(place):
    """A chain that ends well without reading to the end commits what it wrote."""
    async with SqlSink(place.url, place.table, batch=1) as sink:
        stream = sink(_items({"a": 1}, {"a": 2}))
        await anext(stream)
        await stream.aclose()
    assert [{"a": 1}] == await place.rows()


async def test_no_items_make_no_table(place):
    """Without items the database is not touched."""
    assert [] == await place.write([])
    with pytest.raises(SqlError):
        await place.rows()


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"k": 1, "n": 1}, {"k": 2, "m": 1}], "has no column 'm', only k, n"),
        ([{"k": 1, "n": 1}, {"n": 2}], "an item has no 'k'"),
        ([{"k": 1, "n": 1}, {"k": 2, "n": "x"}], r"column 'n' \(BIGINT\): found 'x' \(str\), expected a whole number"),
        ([{"k": 1, "n": 1}, {"k": 2, "n": 2.5}], r"found '2.5' \(float\), expected a whole number"),
        ([{"k": 1, "n": 1}, {"k": 2, "n": 2**63}], "of at most 64 bits"),
        ([{"k": 1, "n": 1.5}, {"k": 2, "n": float("nan")}], "expected a finite number"),
        ([{"k": 1, "n": "a"}, {"k": 2, "n": 1}], "expected text"),
        ([{"k": 1, "n": True}, {"k": 2, "n": 1}], "expected true or false"),
        ([{"k": 1, "n": date(2026, 1, 1)}, {"k": 2, "n": "soon"}], "expected a date"),
        ([{"k": 1, "n": object()}], "no column can be made for 'n', whose values are object"),
        ([["k", 1]], "expected a dict with named fields"),
        ([{}], "expected a dict with named fields"),
        ([{"k": 1, "": 2}], "expected a dict with named fields"),
    ],
)
async def test_what_does_not_fit_is_refused(place, items, message):
    """A field that is no column, a missing key and a value that would be changed are errors, and nothing is left."""
    with pytest.raises(SqlRefused, match=message):
        await place.write(items, key="k", batch=1)
    with pytest.raises(SqlError):
        await place.rows()


async def test_values_of_two_types_make_no_column(file):
    """A field that is text here and a number there is refused, not guessed."""
    with pytest.raises(SqlRefused, match="no column can be made for 'n', whose values are int, str"):
        await file.write([{"n": 1}, {"n": "a"}])


async def test_a_missing_table_is_an_error_when_it_should_not_be_made(file):
    """With create: false a mistyped table is refused."""
    with pytest.raises(SqlRefused, match="there is no table"):
        await file.write([{"n": 1}], create=False)


async def test_the_rows_of_a_query_stream(place):
    """Rows come in their order over many batches."""
    await place.write([{"n": n} for n in range(1200)])
    assert list(range(1200)) == [row["n"] for row in await place.rows(batch=100)]


async def test_parameters_are_bound(place):
    """Values come from params and, before those, from the run; they never become part of the statement."""
    await place.write([{"n": n, "s": f"v{n}"} for n in range(4)])
    query = f"SELECT n FROM {place.table} WHERE n >= :low AND s <> :word ORDER BY n"
    stage = SqlQuery(place.url, query, params={"low": 0, "word": "' OR 1=1 --"})
    assert [{"n": 2}, {"n": 3}] == await run_transform(stage, params={"low": 2, "else": 1})


async def test_a_query_changes_nothing(place):
    """A statement that gives no rows is refused, and what it may have done is undone."""
    await place.write([{"n": 1}])
    with pytest.raises(SqlRefused):
        await place.rows("DELETE FROM {t}")
    assert [{"n": 1}] == await place.rows()


@pytest.mark.parametrize(
    ("query", "params", "message"),
    [
        ("SELECT :a", {}, "parameter :a has no value"),
        ("SELECT :a", {"a": [1]}, "parameter :a is a list"),
        ("SELECT 1 AS a, 2 AS a", {}, "two columns are called 'a'"),
        ("SELEC 1", {}, "SELEC"),
    ],
)
async def test_a_query_that_cannot_be_run_is_an_error(place, query, params, message):
    """A parameter without value, columns of one name and wrong SQL fail with what is wrong."""
    place.run("CREATE TABLE {t} (a INTEGER)")
    with pytest.raises(SqlError, match=message):
        await run_transform(SqlQuery(place.url, query, params=params))


async def test_what_a_query_writes_is_rolled_back(file):
    """A statement that gives rows and writes as well leaves the table as it was."""
    await file.write([{"n": 1}])
    assert [{"n": 2}] == await file.rows("INSERT INTO {t} (n) VALUES (2) RETURNING n")
    assert [{"n": 1}] == await file.rows()


async def test_a_query_that_is_not_read_to_its_end_is_closed(place):
    """A stage behind that stops early leaves neither cursor nor connection open."""
    await place.write([{"n": n} for n in range(50)])
    token = run_token()
    rows = SqlQuery(place.url, f"SELECT n FROM {place.table}", batch=5).fetch()
    try:
        assert {"n": 0} == await anext(rows)
        await rows.aclose()
    finally:
        CURRENT_RUN.reset(token)


async def test_a_missing_file_is_not_made_by_a_query(file, tmp_path):
    """A query on a SQLite file that is not there names it, and makes none."""
    with pytest.raises(SqlRefused, match="there is no such file"):
        await file.rows()
    assert [] == list(tmp_path.iterdir())


async def test_a_password_is_not_told():
    """An error names the database without the password."""
    stage = SqlQuery("postgresql+psycopg://me:hush@127.0.0.1:9/x", "SELECT 1")
    with pytest.raises(SqlError) as caught:
        await run_transform(stage)
    assert "me:***@127.0.0.1:9/x" in str(caught.value)
    assert "hush" not in str(caught.value)


async def test_values_of_postgresql_become_json(server):
    """Decimals, intervals, bytes, UUIDs and arrays come as JSON."""
    query = (
        "SELECT 1.50::numeric AS d, 2::numeric AS i, interval '90 s' AS t, '\\x01'::bytea AS b,"
        " ARRAY[date '2026-01-31'] AS l,"
        " '12345678-1234-5678-1234-567812345678'::uuid AS u, '{{\"a\": [1]}}'::jsonb AS j"
    )
    expected = {"d": 1.5, "i": 2, "t": 90.0, "b": "AQ==", "l": ["2026-01-31"], "j": {"a": [1]}}
    expected["u"] = "12345678-1234-5678-1234-567812345678"
    assert [expected] == await server.rows(query)


@pytest.mark.parametrize(("value", "json"), [(Decimal(0), 0), (b"", ""), (Decimal("0.5"), 0.5), (None, None)])
def test_nothing_is_lost_because_it_is_empty(value, json):
    """Zeros and empty values stay what they are."""
    assert json == as_json(value)


ENDLESS = {
    "sqlite": "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) AS n FROM c",
    "postgresql": "SELECT pg_sleep(100)",
}


async def test_a_cancel_stops_a_statement_that_runs(place):
    """A cancel ends a statement that would run on for minutes, in the database too."""
    place.run("CREATE TABLE {t} (a INTEGER)")
    started = threading.Event()

    def endless(connection):
        started.set()
        connection.exec_driver_sql(ENDLESS[connection.dialect.name])

    async def run():
        async with Database(place.url, stage="test", writes=False) as database:
            await database.call(lambda connection: connection.exec_driver_sql("SELECT 1").all())
            await database.call(endless)

    task = asyncio.create_task(run())
    await asyncio.to_thread(started.wait)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()


async def test_the_loop_goes_on_while_a_database_works(file):
    """While a statement runs, other coroutines do too."""
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(count())
    file.run("CREATE TABLE {t} (a INTEGER)")
    many = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 300000) SELECT max(n) AS n FROM c"
    before = turns
    assert [{"n": 300_000}] == await file.rows(many)
    ticking.cancel()
    assert turns - before > 10


async def test_a_locked_file_says_why(file):
    """A file that somebody else writes to is named, with what may be the cause."""
    file.run("CREATE TABLE {t} (a INTEGER)")
    file.url += "?timeout=0.1"
    async with SqlSink(file.url, file.table) as first:
        assert [{"a": 1}] == [item async for item in first(_items({"a": 1}))]
        with pytest.raises(SqlError, match="another connection is writing"):
            await file.write([{"a": 2}])
    assert [{"a": 1}] == await file.rows()


@pytest.mark.parametrize(
    ("stage", "given"),
    [
        (SqlSink, {"url": "me:hush", "table": "t"}),
        (SqlSink, {"url": "sqlite://", "table": ""}),
        (SqlSink, {"url": "sqlite://", "table": "t", "key": ""}),
        (SqlSink, {"url": "sqlite://", "table": "t", "batch": 0}),
        (SqlSink, {"url": "sqlite://", "table": "t", "mode": "upsert"}),
        (SqlSink, {"url": "mysql://x/y", "table": "t", "mode": "upsert", "key": "k"}),
        (SqlQuery, {"url": "nothing", "query": "SELECT 1"}),
        (SqlQuery, {"url": "sqlite://", "query": "SELECT 1", "batch": 0}),
        (SqlQuery, {"url": "sqlite://", "query": "SELECT :a", "params": {"b": 1}}),
    ],
)
def test_wrong_arguments_are_refused_when_built(stage, given):
    """A stage that cannot work is refused at load, without repeating a password."""
    with pytest.raises(ValueError, match=f"{stage.__name__}: ") as caught:
        stage(**given)
    assert "hush" not in str(caught.value)


async def test_a_sink_outside_a_chain_says_so():
    """Used without being entered, the stage says how it is used."""
    with pytest.raises(PipecallError, match="was not entered"):
        await anext(SqlSink("sqlite://", "t")(_items({"a": 1})))


async def test_a_missing_driver_is_named():
    """A database whose driver is not installed says which one it is."""
    with pytest.raises(SqlRefused, match="driver 'MySQLdb' is not installed"):
        await run_transform(SqlQuery("mysql+mysqldb://h/d", "SELECT 1"))


async def test_the_companies_go_into_a_table(place):
    """A real table of 503 companies is upserted twice and is there once."""
    rows = await run_transform(Csv(str(real_file("sp500.csv")), types={"CIK": "int"}))
    for _ in range(2):
        await place.write(rows, key="Symbol", mode="upsert", batch=100)
    assert [{"n": 503}] == await place.rows("SELECT count(*) AS n FROM {t}")


def run_token():
    """Make a run the current one, for a stage that is driven by hand."""
    job = Job(1, 1, 1, "test", (), {}, "manual", None, {})
    return CURRENT_RUN.set(RunContext(job, MemoryState(), lambda: "stage"))


async def _items(*items):
    for item in items:
        yield item
