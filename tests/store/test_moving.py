"""A store moves from one database to another with all it holds, or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Connection, Engine, Float, Integer, Table, insert, select, text

from pipelines.errors import ConfigError, SchemaTooNew, StoreError, StoreLocked
from pipelines.store import database, face_schema, holding, moving, schema, versions
from pipelines.store.columns import ExactText, UtcDateTime
from tests.servers import fresh_schema
from tests.store.samples import NOON

ROOT = Path(__file__).parents[2]
ODD = "größer 🙂\t\\N \\. \r\n'\"%(x)s\x7f \u2028"
KEY = "key\x00\ud800 " + ODD
DOCUMENT = {"ö": [1, 2.5, 1e300, None, True, "\x00\ud83d"], "z": {"a": 12345678901234567890123}, "": ODD}
NUMBERS = (0, -3, 1.0, 2.5, 0.30000000000000004, 12345678901234567890123, 2**63 - 1, 1e22, None, "12", "", False)
NOT_MOVED = {("runs", "ticket"), ("runs", "ticketed_at"), ("signals", "tx")}


def value_of(column: Any) -> Any:
    """A value for a column that is easily spoilt on the way."""
    kind = column.type
    if isinstance(kind, JSON):
        return DOCUMENT
    if isinstance(kind, UtcDateTime):
        return NOON
    if isinstance(kind, Boolean | Float):
        return 0.1 if isinstance(kind, Float) else True
    if isinstance(kind, Integer):
        return 7
    return KEY if isinstance(kind, ExactText) else ODD


def fill(conn: Connection) -> None:
    """Put a row with a value in every column, and one with as few as may be, into every table."""
    for table in moving.tables():
        keys = {column.name for column in table.primary_key} | {"run_id"}
        full = {column.name: value_of(column) for column in table.columns}
        few = {each.name: full[each.name] for each in table.columns if not each.nullable and not each.server_default}
        few |= {name: f"{value} 2" for name, value in few.items() if isinstance(value, str)}
        few |= {name: 8 for name in keys & set(few) if few[name] == 7}
        conn.execute(insert(table), [full])
        conn.execute(insert(table), [few])
    state = schema.metadata.tables["state_values"]
    conn.execute(insert(state), [{"pipeline": "n", "name": str(i), "value": each} for i, each in enumerate(NUMBERS)])


def stored(engine: Engine, table: Table) -> list[str]:
    """The rows of a table as the program reads them."""
    columns = [each for each in table.columns if (table.name, each.name) not in NOT_MOVED]
    with engine.connect() as conn:
        return sorted(repr(tuple(row)) for row in conn.execute(select(*columns)))


def everything(url: str) -> dict[str, list[str]]:
    """All rows of a store by table."""
    engine = database.connect(url)
    try:
        return {table.name: stored(engine, table) for table in moving.tables()}
    finally:
        engine.dispose()


def made(url: str) -> None:
    """Make a store at `url` whose tables all hold something."""
    engine = database.connect(url)
    database.migrate(engine)
    with database.writing(engine).begin() as conn:
        fill(conn)
        conn.execute(insert(face_schema.processes), [{each.name: value_of(each) for each in face_schema.processes.c}])
    engine.dispose()


def changed(url: str, *statements: str) -> None:
    """Do something to a database behind the program's back; SQLite checks no references then."""
    engine = database.connect(url)
    with engine.connect() as conn:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql("COMMIT")
            conn.exec_driver_sql("PRAGMA foreign_keys=OFF")
            conn.exec_driver_sql("BEGIN")
        for statement in statements:
            conn.execute(text(statement))
        conn.commit()
    engine.dispose()


def silent(step: moving.Step) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    """An SQLite store with something in every table, to be copied."""
    file = tmp_path_factory.mktemp("full") / "store.db"
    made(f"sqlite:///{file}")
    return file


@pytest.fixture
def source(full, tmp_path) -> str:
    """An SQLite store with something in every table."""
    shutil.copy(full, tmp_path / "store.db")
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture
def target() -> Iterator[str]:
    """An empty PostgreSQL schema."""
    with fresh_schema() as url:
        yield url


def test_there_and_back_again_all_is_the_same(source, target, tmp_path):
    """Every row of every table comes through PostgreSQL and back to SQLite as it was, whatever it holds."""
    before = everything(source)
    back = f"sqlite:///{tmp_path / 'back' / 'store.db'}"
    moving.move(source, target, silent)
    there = everything(target)
    moving.move(target, back, silent)
    assert all(len(rows) >= 2 for rows in before.values())
    assert before == there
    assert before == everything(back)
    assert before == everything(source)


def test_ids_are_never_given_again(source, target, tmp_path):
    """The next run gets an id after the highest that ever was, on either database, though that run is long gone."""
    changed(source, "UPDATE sqlite_sequence SET seq = 4711 WHERE name = 'runs'")
    back = f"sqlite:///{tmp_path / 'back.db'}"
    moving.move(source, target, silent)
    moving.move(target, back, silent)
    for url in (target, back):
        engine = database.connect(url)
        with database.writing(engine).begin() as conn:
            row = {"pipeline": "p", "started_by": "manual", "params": {}, "state": "queued", "queued_at": NOON}
            new = conn.execute(insert(schema.metadata.tables["runs"]).values(**row))
            assert (4712,) == new.inserted_primary_key
        engine.dispose()


def test_what_was_taken_away_for_speed_is_there_again(source, target):
    """After a move the server's tables have every index and foreign key that migrations give them."""
    asked = text(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() UNION ALL SELECT conname || "
        "pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = CAST(current_schema() AS regnamespace)"
    )
    engine = database.connect(target)
    database.migrate(engine)
    with engine.connect() as conn:
        before = sorted(conn.execute(asked).scalars())
    moving.move(source, target, silent)
    with engine.connect() as conn:
        assert before == sorted(conn.execute(asked).scalars())
    engine.dispose()


def test_rows_without_their_run_stay_behind(source, target):
    """What a hand in the file left without a run is left out and counted; the rest arrives."""
    changed(source, "INSERT INTO attempts (run_id, number, state, started_at) VALUES (99, 1, 'failed', '2026-01-01')")
    shares = {share.table: share for share in moving.move(source, target, silent).shares}
    assert (2, 1) == (shares["attempts"].rows, shares["attempts"].orphans)
    assert 0 == shares["outbox"].orphans
    assert 2 == len(everything(target)["attempts"])


def test_an_older_file_is_brought_up_to_date_in_a_copy(tmp_path, target):
    """A store of an earlier version arrives with this version's schema, and its file stays as it was."""
    file = tmp_path / "old.db"
    engine = database.connect(f"sqlite:///{file}")
    with database.writing(engine).begin() as conn:
        versions.upgrade(conn, "0003")
        conn.execute(text("INSERT INTO state_values VALUES ('p', 'n', '{}')"))
    engine.dispose()
    moving.move(f"sqlite:///{file}", target, silent)
    assert ["('p', 'n', {})"] == everything(target)["state_values"]
    with closing(sqlite3.connect(file)) as conn:
        assert [("0003",)] == conn.execute("SELECT version_num FROM alembic_version").fetchall()
    assert [] == list(tmp_path.glob(".moving-*"))


def test_a_dry_run_changes_nothing(source, target, tmp_path):
    """It says what would be moved, and neither makes tables nor a file."""
    before = everything(source)
    would = moving.move(source, target, silent, dry_run=True)
    assert (True, sum(map(len, before.values()))) == (would.dry_run, would.rows)
    moving.move(source, f"sqlite:///{tmp_path / 'no' / 'new.db'}", silent, dry_run=True)
    assert not (tmp_path / "no").exists()
    engine = database.connect(target)
    with engine.connect() as conn:
        assert versions.of(conn) is None
    engine.dispose()


def test_a_target_with_history_is_refused(source, target, tmp_path):
    """A database that holds something is left as it is, and the text says what it holds; a dry run says so too."""
    moving.move(source, target, silent)
    changed(target, "DELETE FROM runs WHERE id = 7")
    before = everything(target)
    for dry in (True, False):
        with pytest.raises(StoreError, match="is not empty: there is something in its table audit; name an empty"):
            moving.move(source, target, silent, dry_run=dry)
    assert before == everything(target)


def test_a_store_in_use_is_refused(source, target):
    """A service on either database, or a program that writes to the server, is told; nothing is moved."""
    for url in (source, target):
        with holding.hold(url), pytest.raises(StoreLocked, match="in use"):
            moving.move(source, target, silent)
    moving.move(source, target, silent)
    engine = database.connect(target)
    with engine.begin() as conn, pytest.MonkeyPatch.context() as patch:
        patch.setattr(moving, "_LOCK_WAIT", text("SET LOCAL lock_timeout = '50ms'"))
        conn.execute(text("UPDATE runs SET reason = 'x'"))
        with pytest.raises(StoreLocked, match="somebody writes to it"):
            moving.move(target, f"{source}.new", silent)
    engine.dispose()


def test_wrong_input_is_told(source, tmp_path):
    """A URL that cannot be read, a store that is not there, and the very same database are refused by their option."""
    missing = f"sqlite:///{tmp_path / 'missing.db'}"
    for given, said in {
        ("mysql://u:secret@h/d", source): "--from: 'mysql' is not supported",
        (source, "nonsense"): "--to: not a database URL",
        (missing, f"{source}2"): "--from: .*missing.db: there is no store",
        (source, f"sqlite:///{tmp_path}/../{tmp_path.name}/store.db"): "--to: .* is the very store to move",
    }.items():
        with pytest.raises(ConfigError, match=said) as told:
            moving.move(*given, silent)
        assert "secret" not in str(told.value)
    assert not (tmp_path / "missing.db").exists()


def test_a_password_is_never_told(source):
    """A server that cannot be reached is named without the password."""
    with pytest.raises(StoreError, match="cannot be reached") as told:
        moving.move(source, "postgresql://u:secret@127.0.0.1:1/d", silent)
    assert "secret" not in str(told.value)


def test_a_newer_store_is_refused(source, target):
    """A store that a newer version wrote is not moved."""
    changed(source, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaTooNew, match="9999"):
        moving.move(source, target, silent)


def test_what_arrives_otherwise_is_no_move(source, target, monkeypatch):
    """Were one value to change on the way, the check at the end would see it, and the target stay empty."""
    changed(source, "UPDATE runs SET error_message = 'as it was' WHERE id = 8")
    write = moving.whole_tables.write

    def spoilt(conn: Connection, table: Table, rows: Any) -> None:
        write(conn, table, (tuple("as it is" if each == "as it was" else each for each in row) for row in rows))

    monkeypatch.setattr(moving.whole_tables, "write", spoilt)
    with pytest.raises(StoreError, match="table runs: 2 rows were sent, and the 2 that arrived are not the same"):
        moving.move(source, target, silent)
    assert unmade(target)


KILLED = """
import os, sys
from pipelines.store import moving

def step(step):
    if step.checked if sys.argv[3] == "checked" else step.table == "logs":
        print("here", flush=True)
        sys.stdin.read()

moving.move(sys.argv[1], sys.argv[2], step)
"""


@pytest.mark.parametrize(("kind", "amid"), [("sqlite", "checked"), ("postgresql", "rows"), ("postgresql", "checked")])
def test_kill_9_in_the_midst_leaves_the_target_as_it_was(source, target, tmp_path, kind, amid):
    """Killed while rows go over, or as all are there and checked: the target is empty, and takes the next move."""
    to = target if kind == "postgresql" else f"sqlite:///{tmp_path / 'new.db'}"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, source, to, amid],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert b"here\n" == process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert unmade(to)
    moving.move(source, to, silent)
    assert everything(source) == everything(to)


def unmade(url: str) -> bool:
    """Whether a database has no tables of ours."""
    engine = database.connect(url)
    try:
        with engine.connect() as conn:
            return versions.of(conn) is None
    finally:
        engine.dispose()
