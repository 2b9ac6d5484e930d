"""Databases of earlier versions come to the present schema with all they hold, and the program runs on them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, insert, inspect, select

from pipelines.errors import StoreError
from pipelines.model import RunState
from pipelines.store import copies, database, history, outbox, versions
from tests.project import Project
from tests.servers import fresh_schema

AT = datetime(2026, 3, 1, 12, 0, 0, 123456)  # noqa: DTZ001 -- as SQLite has it
ERROR = {"error_type": "OSError", "error_message": "no such host", "error_stage": "s", "error_traceback": "…"}
RUN = {"pipeline": "p", "schedule_id": "p", "due_at": AT, "started_by": "schedule", "params": {"region": "eu"}}
RUN |= {"actor": "Ann", "queued_at": AT, "definition_hash": "abc", "items_in": 3, "items_out": 2, "max_attempts": 3}
DATA: dict[str, list[dict[str, Any]]] = {
    "runs": [
        RUN | {"state": "failed", "attempt": 1, "started_at": AT, "ended_at": AT, **ERROR},
        RUN | {"state": "running", "attempt": 1, "started_at": AT, "owner": "gone:1"},
        RUN | {"state": "queued"},
    ],
    "run_counts": [{"pipeline": "p", "state": "failed", "count": 7, "last_ended_at": AT, "last_error": "no such host"}],
    "attempts": [
        {"run_id": 1, "number": 1, "state": "failed", "started_at": AT, "ended_at": AT, **ERROR},
        {"run_id": 2, "number": 1, "state": "running", "started_at": AT},
    ],
    "stages": [
        {"run_id": 1, "attempt": 1, "position": 0, "name": "s", "items_in": 3, "items_out": 2, "busy_s": 0.5},
    ],
    "logs": [{"run_id": 1, "seq": 1, "at": AT, "level": 20, "source": "s", "text": "größer 🙂"}],
    "schedules": [
        {"id": "p", "pipeline": "p", "spec": {"daily": "06:00"}, "timezone": "UTC", "words": "daily at 06:00"}
        | {"source": "file", "state": "active", "params": {}, "created_at": AT, "last_due_at": AT},
    ],
    "occurrences": [{"schedule_id": "p", "due_at": AT, "outcome": "run", "run_id": 1}],
    "state_values": [{"pipeline": "p", "name": "count", "value": {"n": 3}}],
    "collections": [{"pipeline": "p", "collection": "seen", "key": "k", "value": [1, 2]}],
    "outbox": [
        {"run_id": 1, "target": "discord:1", "kind": "message", "dedupe_key": "run:1:k", "body": {"content": "hello"}}
        | {"state": "queued", "created_at": AT},
        {"target": "discord:1", "kind": "message", "dedupe_key": "run:1:l", "body": {"content": "sent"}}
        | {"state": "sent", "created_at": AT, "sent_at": AT, "message_id": "9", "attempts": 1},
    ],
}
"""A row, or some, of each table that version 0001 has."""

FILE = "pipelines: {p: {executor: inline, schedule: {daily: '06:00', timezone: UTC}, chain: [things.nothing]}}"


def at_version(engine: Engine, version: str) -> None:
    """Bring an empty database to a version of the schema."""
    with database.writing(engine).begin() as conn:
        versions.upgrade(conn, version)


def tables(conn: Connection) -> MetaData:
    """The tables as they are."""
    found = MetaData()
    found.reflect(conn)
    return found


def fill(engine: Engine) -> None:
    """Store the data of version 0001."""
    with engine.begin() as conn:
        found = tables(conn)
        zoned = AT.replace(tzinfo=UTC) if engine.dialect.name == "postgresql" else AT
        assert set(DATA) == set(found.tables) - {"alembic_version"}
        for name, rows in DATA.items():
            for row in rows:
                conn.execute(
                    insert(found.tables[name]), {key: zoned if each is AT else each for key, each in row.items()}
                )


def rows_of(conn: Connection, columns: Mapping[str, list[str]]) -> dict[str, set[str]]:
    """What some columns of tables hold."""
    found = tables(conn)
    return {
        name: {repr(tuple(row)) for row in conn.execute(select(*(found.tables[name].c[each] for each in names)))}
        for name, names in columns.items()
    }


@pytest.fixture(params=["sqlite", "postgresql"])
def first(request, tmp_path):
    """A database of version 0001 with data."""
    if request.param == "sqlite":
        yield from old(f"sqlite:///{tmp_path / 'store.db'}")
    else:
        with fresh_schema() as url:
            yield from old(url)


def old(url: str):
    engine = database.connect(url)
    at_version(engine, "0001")
    fill(engine)
    yield engine
    engine.dispose()


def test_nothing_is_lost_on_the_way(first):
    """From version 0001 every row of every table comes through all migrations as it was, and no table is empty."""
    with first.connect() as conn:
        columns = {name: [each["name"] for each in inspect(conn).get_columns(name)] for name in DATA}
        before = rows_of(conn, columns)
    assert {name: len(rows) for name, rows in DATA.items()} == {name: len(rows) for name, rows in before.items()}
    database.migrate(first)
    with first.connect() as conn:
        assert versions.known()[0] == versions.of(conn)
        assert before == rows_of(conn, columns)


def test_every_version_can_be_the_first(tmp_path):
    """A database of any earlier version is brought up to date."""
    for version in versions.known():
        engine = database.connect(f"sqlite:///{tmp_path / version}.db")
        at_version(engine, version)
        database.migrate(engine)
        with engine.connect() as conn:
            assert versions.known()[0] == versions.of(conn)
        engine.dispose()


def test_an_older_file_is_kept(first, tmp_path, caplog):
    """Before an SQLite file gets the new schema it is copied beside itself, and the log says so."""
    if first.dialect.name != "sqlite":
        database.migrate(first)
        return
    caplog.set_level(logging.WARNING, "pipelines")
    database.migrate(first)
    database.migrate(first)
    schema, rows = copies.facts(tmp_path / "store.db.schema-0001")
    assert ("0001", 3, 2) == (schema, rows["runs"], rows["outbox"])
    (said,) = [record.message for record in caplog.records]
    assert f"schema 0001 becomes {versions.known()[0]}; kept as before: " in said


def test_a_new_file_needs_no_copy(tmp_path):
    """The first start leaves nothing but the store."""
    engine = database.connect(f"sqlite:///{tmp_path / 'store.db'}")
    database.migrate(engine)
    engine.dispose()
    assert ["store.db"] == [path.name for path in tmp_path.iterdir()]


def test_without_a_copy_nothing_is_changed(tmp_path):
    """Where the copy cannot be written, the schema stays as it was."""
    engine = database.connect(f"sqlite:///{tmp_path / 'store.db'}")
    at_version(engine, "0001")
    (tmp_path / "store.db.schema-0001").mkdir()
    with pytest.raises(StoreError, match="cannot be copied"):
        database.migrate(engine)
    with engine.connect() as conn:
        assert "0001" == versions.of(conn)
    engine.dispose()


async def test_the_program_runs_on_what_was_old(project: Project):
    """On a store of version 0001: what ran when it stopped is tried again, what waited runs, old facts can be read."""
    project.plugin("things", "def nothing(item): return item")
    project.write(FILE)
    engine = database.connect(f"sqlite:///{project.folder / 'store.db'}")
    at_version(engine, "0001")
    fill(engine)
    engine.dispose()
    async with project.scheduler() as scheduler:
        await scheduler.start()
        await scheduler.start_timetable()
        (new,) = await scheduler.run_now(["p"])
        for run_id in (2, 3, new.id):
            assert RunState.SUCCEEDED is (await scheduler.wait(run_id)).state
        failed = await scheduler.reader.read(history.run, 1)
        waiting = await scheduler.reader.read(outbox.waiting)
        (stats,) = await scheduler.reader.read(history.stats, "p")
    assert ("no such host", {"region": "eu"}, 2) == (failed.error.message, failed.params, failed.items_out)
    assert ({"discord:1": 1}, 7, 3) == (waiting, stats.failed, stats.succeeded)
    with closing(sqlite3.connect(project.folder / "store.db")) as conn:
        assert [("p", 1)] == conn.execute("SELECT schedule_id, run_id FROM occurrences WHERE run_id = 1").fetchall()


def test_the_versions_are_those_of_the_migrations():
    """What their files are called is what Alembic knows of them, in its order."""
    script = ScriptDirectory(str(versions.MIGRATIONS))
    assert [each.revision for each in script.walk_revisions()] == versions.known()
