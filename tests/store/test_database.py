"""Databases are opened, brought up to date, and kept to one service; what goes wrong is told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from pipelines.errors import SchemaTooNew, StoreError, StoreLocked
from pipelines.store import database, face_schema, holding
from pipelines.store.migrations import versions
from tests.servers import fresh_schema

ROOT = Path(__file__).parents[2]
HEAD = f"{len(list(Path(versions.__file__).parent.glob('v0*.py'))):04}"


def test_the_migrations_make_the_tables_of_the_program(module_engine):
    """A database that went through all migrations has the very tables, types and indexes of the program."""

    def differ(_context, _stored, _wanted, stored_type, wanted_type):
        dialect = module_engine.dialect
        stored, wanted = stored_type.compile(dialect), wanted_type.compile(dialect)
        return stored != wanted if "TEXT" in stored else None

    with module_engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": differ})
        assert [] == compare_metadata(context, face_schema.metadata)
        stored = {
            (table, index["name"]): index["dialect_options"]
            for table in face_schema.metadata.tables
            for index in inspect(conn).get_indexes(table)
        }
        partial = {name for (_, name), options in stored.items() if any("where" in option for option in options)}
        wanted = {"runs_live", "runs_over", "runs_over_by_pipeline", "runs_by_schedule", "runs_waiting"}
        wanted |= {"occurrences_not_run", "outbox_waiting", "outbox_dead", "incidents_open", "questions_open"}
        assert wanted == partial


def test_a_current_database_is_left_alone(module_engine):
    """A second migration changes nothing."""
    database.migrate(module_engine)
    with module_engine.connect() as conn:
        assert [HEAD] == list(conn.execute(text("SELECT version_num FROM alembic_version")).scalars())


def test_a_newer_database_is_refused(module_engine):
    """A schema that this program does not know is named, with what to do, and left as it is."""
    with module_engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    try:
        with pytest.raises(SchemaTooNew, match=rf"9999.*up to {HEAD}.*Update this program"):
            database.migrate(module_engine)
    finally:
        with module_engine.begin() as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": HEAD})


def test_a_failed_migration_leaves_nothing_behind(tmp_path):
    """A table that stands in the way makes the migration fail as a whole."""
    engine = database.connect(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE occurrences (x)"))
    with pytest.raises(StoreError, match="could not be brought up to date: table occurrences already exists"):
        database.migrate(engine)
    with engine.connect() as conn:
        assert ["occurrences"] == inspect(conn).get_table_names()
    engine.dispose()


def test_the_folder_of_an_sqlite_file_is_made(tmp_path):
    """A first start needs no preparation."""
    database.connect(f"sqlite:///{tmp_path / 'deep' / 'er' / 'runs.db'}").dispose()
    assert (tmp_path / "deep" / "er" / "runs.db").exists()


def test_sqlite_is_set_up_for_safety(tmp_path):
    """Each connection writes ahead, waits for locks, checks foreign keys, and is durable."""
    engine = database.connect(f"sqlite:///{tmp_path / 'a.db'}")
    with engine.connect() as conn:
        found = [
            conn.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        ]
    assert ["wal", 30_000, 1, 2] == found
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "not a database URL"),
        ("mysql://host/db", "'mysql' is not supported"),
        ("postgresql+asyncpg://host/db", "'postgresql\\+asyncpg' is not supported"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("postgresql://u:secret@127.0.0.1:1/db", r"postgresql://u:\*\*\*@127.0.0.1:1/db: cannot be reached"),
    ],
)
def test_a_bad_url_is_told(url, said):
    """The text says what was found and what was expected, and never a password."""
    with pytest.raises(StoreError, match=said) as caught:
        database.connect(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_told(tmp_path):
    """It is not touched."""
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 200)
    with pytest.raises(StoreError, match=r"notes.txt: is not an SQLite database"):
        database.connect(f"sqlite:///{path}")
    assert "dear diary, " * 200 == path.read_text()


@pytest.mark.parametrize(("path", "said"), [("file/runs.db", "folder cannot be made"), ("folder", "cannot be written")])
def test_a_place_that_cannot_be_written_is_told(tmp_path, path, said):
    """A folder that cannot be made, or a path that is no file."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=said):
        database.connect(f"sqlite:///{tmp_path / path}")


def test_a_missing_driver_names_its_package():
    """Without psycopg, the text says what to install."""
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pipelines.errors import StoreError\n"
        "from pipelines.store import database\n"
        "try: database.connect('postgresql://h/d')\n"
        "except StoreError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "pip install pipecall[postgres]" in said.stdout


def test_a_second_service_is_refused_and_told_who_is_first(tmp_path):
    """The text names pid, host and time; when the first ends, the file is free."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with (
        holding.hold(url),
        pytest.raises(StoreLocked, match=rf"pid {os.getpid()} on host .*, since 20"),
        holding.hold(url),
    ):
        pass
    with holding.hold(url):
        pass


def test_a_lock_without_its_note_is_still_a_lock(tmp_path):
    """Where the note is missing or spoilt, the refusal says so much less."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    with holding.hold(url):
        (tmp_path / "runs.db.holder").write_text("{")
        with pytest.raises(StoreLocked, match="in use by another service;"), holding.hold(url):
            pass


def test_two_names_of_one_file_share_the_lock(tmp_path):
    """A link does not get around it."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with (
        holding.hold(f"sqlite:///{tmp_path / 'real' / 'runs.db'}"),
        pytest.raises(StoreLocked),
        holding.hold(f"sqlite:///{tmp_path / 'link' / 'runs.db'}"),
    ):
        pass


def test_services_on_a_server_share_it_and_keep_off_who_wants_it_alone():
    """On PostgreSQL any number use a database; whoever wants it alone is refused, until the last of them ends."""
    with fresh_schema() as url:
        with (
            holding.hold(url),
            holding.hold(url),
            pytest.raises(StoreLocked, match=rf"another service: pid {os.getpid()} on host .*, since 20"),
        ):
            holding.hold(url, alone=True).__enter__()
        with holding.hold(url, alone=True), pytest.raises(StoreLocked):
            holding.hold(url).__enter__()
        with holding.hold(url):
            assert holding.holder(url) is None  # a worker, or a scheduler that has not said so yet
        with holding.hold(url, alone=True):
            held = holding.holder(url)
            assert held is not None
            assert (os.getpid(), socket.gethostname()) == (held.pid, held.host)
        assert holding.holder(url) is None


HOLD = """
import os, sys
from pipelines.store import holding
with holding.hold(sys.argv[1]):
    forked, ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready, b"x")
        os.read(0, 1)
        os._exit(0)
    os.read(forked, 1)
    print(child, flush=True)
    os.read(0, 1)
"""


def test_the_lock_vanishes_with_its_process(tmp_path):
    """After kill -9 the next service starts, even while a forked child of the killed one lives on."""
    url = f"sqlite:///{tmp_path / 'runs.db'}"
    held = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLD, url], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child = int(held.stdout.readline())
    try:
        with pytest.raises(StoreLocked, match=f"pid {held.pid} on host"), holding.hold(url):
            pass
        held.kill()
        held.wait(10)
        with holding.hold(url):
            pass
    finally:
        held.kill()
        held.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


WRITE = """
import asyncio, sys
from pipelines.model import NewRun, StartedBy
from pipelines.store import database, runs
from pipelines.store.writer import Writer

async def main():
    engine = database.connect(sys.argv[1])
    database.migrate(engine)
    writer = Writer(engine)
    await writer.start()

    async def ask():
        while True:
            run = await writer.call(runs.insert_runs, NewRun("p", StartedBy.MANUAL))
            print(run.id, flush=True)

    await asyncio.gather(*(ask() for _ in range(20)))

asyncio.run(main())
"""


def test_what_was_committed_survives_kill_9(module_url):
    """A writer is killed amid its work: every run that it had told of is there, and the file is sound."""
    engine = database.connect(module_url)
    database.migrate(engine)
    writing = subprocess.Popen([sys.executable, "-c", WRITE, module_url], cwd=ROOT, stdout=subprocess.PIPE)
    told = [int(writing.stdout.readline()) for _ in range(500)]
    writing.kill()
    rest = writing.communicate()[0].split(b"\n")[:-1]
    told += [int(line) for line in rest]
    with engine.connect() as conn:
        assert set(told) <= set(conn.execute(text("SELECT id FROM runs")).scalars())
        if engine.dialect.name == "sqlite":
            assert "ok" == conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    engine.dispose()


def test_readers_see_one_instant_while_somebody_writes(tmp_path):
    """A read that has begun on SQLite is not disturbed by a write, nor does it hold one up."""
    engine = database.connect(f"sqlite:///{tmp_path / 'a.db'}")
    database.migrate(engine)
    count = text("SELECT count(*) FROM state_values")
    with engine.connect() as reader:
        before = reader.execute(count).scalar_one()
        with database.writing(engine).begin() as conn:
            conn.execute(text("INSERT INTO state_values VALUES ('p', 'n', '1')"))
        assert (0, 0) == (before, reader.execute(count).scalar_one())
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as other:
        assert (1,) == other.execute("SELECT count(*) FROM state_values").fetchone()
    engine.dispose()
