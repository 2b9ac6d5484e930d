"""Programs of two versions on one database: what a newer one only adds, an older one goes on with, and starts on."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from pipelines.engine import Engine as Scheduler
from pipelines.errors import SchemaTooNew, StoreError
from pipelines.model import RunState
from pipelines.store import database, history, runs, versions
from pipelines.store.opening import opened
from tests.project import Project
from tests.servers import fresh_schema
from tests.store.samples import claim, end, finish, ids, manual

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{last}"
branch_labels = None
depends_on = None
oldest = "{oldest}"


def upgrade():
    op.add_column("runs", sa.Column("extra", sa.Text(), nullable=False, server_default=sa.text("'none'")))
    op.create_table("extras", sa.Column("id", sa.Integer(), primary_key=True))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> Iterator[str]:
    """A database of the test's own, without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
    else:
        with fresh_schema() as fresh:
            yield fresh


@pytest.fixture
def server() -> Iterator[Engine]:
    """A PostgreSQL database of this program's schema."""
    with fresh_schema() as url:
        engine = database.connect(url)
        database.migrate(engine)
        yield engine
        engine.dispose()


@contextmanager
def newer(tmp_path: Path, oldest: str) -> Iterator[None]:
    """Within the block this is the next version of the program, with one more migration that only adds."""
    folder = tmp_path / "newer"
    shutil.copytree(versions.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "versions" / "v9001_more.py"
    file.write_text(NEXT.format(last=versions.known()[0], oldest=oldest))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "MIGRATIONS", folder)
        yield


def migrate_by_newer(url: str, tmp_path: Path, oldest: str) -> None:
    """Let the next version of the program bring a database to its schema."""
    with newer(tmp_path, oldest):
        engine = database.connect(url)
        database.migrate(engine)
        engine.dispose()


def one_run(engine: Engine) -> RunState:
    """Queue a run, execute it, and return what became of it."""
    with database.writing(engine).begin() as conn:
        (run,) = runs.insert_runs(conn, [manual()])
    with database.writing(engine).begin() as conn:
        (claimed,) = claim(conn)
        finish(conn, end(claimed))
    with engine.connect() as conn:
        found: Any = history.run(conn, claimed.id)
    assert ids([claimed]) == ids([run])
    return found.state


def test_a_program_goes_on_while_another_one_migrates(url, tmp_path):
    """What was open before a newer program added to the schema executes runs as before, on old connections."""
    engine = database.connect(url)
    database.migrate(engine)
    before = [one_run(engine) for _ in range(8)]  # psycopg prepares a statement that comes again and again
    migrate_by_newer(url, tmp_path, versions.known()[0])
    assert [RunState.SUCCEEDED] * 16 == before + [one_run(engine) for _ in range(8)]
    engine.dispose()


async def test_an_older_program_starts_on_additions(url, tmp_path, caplog):
    """Where the newer schema says that this version can work with it, a store opens, and one line tells of it."""
    caplog.set_level(logging.INFO, "pipelines.store.versions")
    mine = versions.known()[0]
    migrate_by_newer(url, tmp_path, mine)
    async with opened(url) as (writer, reader):
        run = await writer.call(runs.insert_runs, manual())
        assert RunState.QUEUED is (await reader.read(history.run, run.id)).state
    (said,) = [record.getMessage() for record in caplog.records if record.name == "pipelines.store.versions"]
    assert f"its schema is version 9001, newer than this program's {mine}, which can still work with it" in said
    engine = database.connect(url)
    with engine.connect() as conn:
        assert ("9001", mine) == (versions.of(conn), versions.oldest(conn))
    engine.dispose()


def test_an_older_program_is_refused_what_it_cannot_use(url, tmp_path):
    """Where the newer schema is not for this version, or does not say, it refuses and changes nothing."""
    migrate_by_newer(url, tmp_path, "9001")
    engine = database.connect(url)
    for statement in ("SELECT 1", "DELETE FROM notes"):
        with engine.begin() as conn:
            conn.execute(text(statement))
        with pytest.raises(SchemaTooNew, match="version 9001, this program knows up to"):
            database.migrate(engine)
    engine.dispose()


def test_every_migration_says_for_whom_it_is():
    """Each states the oldest version whose programs can work with the database after it; none is newer than itself."""
    for step in ScriptDirectory(str(versions.MIGRATIONS)).walk_revisions():
        assert step.module.oldest in versions.known()
        assert step.module.oldest <= step.revision


def test_a_database_says_for_whom_it_is(url):
    """After a migration the highest of what its steps state stands in the database."""
    engine = database.connect(url)
    database.migrate(engine)
    stated = {step.module.oldest for step in ScriptDirectory(str(versions.MIGRATIONS)).walk_revisions()}
    with engine.connect() as conn:
        assert max(stated) == versions.oldest(conn)
    engine.dispose()


def test_a_migration_does_not_stand_in_the_way(server, tmp_path, monkeypatch, caplog):
    """While somebody keeps a table, a migration steps back in time, lets others write, and comes again until it can."""
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(database, "_BETWEEN_S", 0.01)
    with newer(tmp_path, versions.known()[0]):
        migration = threading.Thread(target=database.migrate, args=[server])
        with server.begin() as reader:
            reader.execute(text("SELECT count(*) FROM runs"))
            migration.start()
            while sum("waits for it" in record.getMessage() for record in caplog.records) < 2:
                assert RunState.SUCCEEDED is one_run(server)
                assert migration.is_alive()
        migration.join(30)
        with server.connect() as conn:
            assert "9001" == versions.of(conn)


def test_a_migration_gives_up_in_the_end(server, tmp_path, monkeypatch):
    """Where a table is never let go, the error says what stood in the way, and nothing was changed."""
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.05)
    monkeypatch.setattr(database, "LOCK_PATIENCE_S", 0.0)
    with newer(tmp_path, versions.known()[0]), server.begin() as reader:
        reader.execute(text("SELECT count(*) FROM runs"))
        with pytest.raises(StoreError, match=r"could not be brought up to date: .*lock timeout"):
            database.migrate(server)
        assert "9001" != versions.of(reader)


async def test_a_scheduler_goes_on_and_another_starts(project: Project, tmp_path):
    """A service's engine executes runs before and after a newer program migrates, and starts anew on that schema."""
    project.plugin("rolling_things", "def nothing(item): return item")
    project.write("pipelines: {p: {executor: inline, schedule: {daily: '06:00'}, chain: [rolling_things.nothing]}}")
    url = project.settings().scheduler_db_url
    async with project.scheduler() as scheduler:
        await scheduler.start()
        assert RunState.SUCCEEDED is await executed(scheduler)
        migrate_by_newer(url, tmp_path, versions.known()[0])
        assert RunState.SUCCEEDED is await executed(scheduler)
    async with project.scheduler() as scheduler:
        await scheduler.start()
        assert RunState.SUCCEEDED is await executed(scheduler)


async def executed(scheduler: Scheduler) -> RunState:
    """What becomes of a run of `p` that is asked for now."""
    (run,) = await scheduler.run_now(["p"])
    return (await scheduler.wait(run.id)).state
