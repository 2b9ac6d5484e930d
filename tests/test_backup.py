"""The store is copied while the service runs, and put back; nothing half is ever in its place."""

from __future__ import annotations

import gzip
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import insert

from pipelines import backup
from pipelines.errors import SchemaTooNew, StoreError, StoreLocked
from pipelines.model import utcnow
from pipelines.store import database, holding, versions
from pipelines.store.schema import state_values
from tests.project import ROOT, Project, until

FILE = """
pipelines:
  often: {schedule: {interval: {seconds: 1}}, executor: inline, chain: [things.nothing]}
"""


@pytest.fixture
def url(tmp_path) -> str:
    """A store with one value, `there`."""
    return made(tmp_path / "store.db", "there")


def made(path: Path, value: str) -> str:
    """A store that holds a value; returns its URL."""
    engine = database.connect(f"sqlite:///{path}")
    database.migrate(engine)
    with database.writing(engine).begin() as conn:
        conn.execute(insert(state_values), {"pipeline": "p", "name": "n", "value": value})
    engine.dispose()
    return f"sqlite:///{path}"


def held(path: Path) -> str:
    """The value in a store that is sound."""
    with closing(sqlite3.connect(path)) as conn:
        assert ("ok",) == conn.execute("PRAGMA integrity_check").fetchone()
        return conn.execute("SELECT value FROM state_values").fetchone()[0].strip('"')


def test_a_running_service_is_copied_and_restored(project: Project):
    """A copy made while it works is whole; restore is refused while it runs, and works once it has stopped."""
    project.plugin("things", "def nothing(item): return item")
    project.write(FILE)
    with project.service() as service:
        service.wait_for("ready")
        until(lambda: project.query("SELECT count(*) FROM runs WHERE state = 'succeeded'")[0][0] > 0, "no run")
        saved = project.run("-m", "pipelines", "backup", "copy.db.gz")
        refused = project.run("-m", "pipelines", "restore", "copy.db.gz")
        service.stop()
    assert 0 == saved.returncode, saved.stderr
    assert re.fullmatch(r"saved copy.db.gz \(0.\d MB\): [1-9]\d* runs, 1 schedules, .*; schema \d{4}\n", saved.stdout)
    assert (1, True) == (refused.returncode, "is in use by another service: pid" in refused.stderr)
    before = project.query("SELECT count(*) FROM runs")
    done = project.run("-m", "pipelines", "restore", "copy.db.gz")
    assert (0, True) == (done.returncode, "restored copy.db.gz" in done.stdout), done.stderr
    aside = re.search(r"kept as (.*)", done.stdout)[1]
    with closing(sqlite3.connect(aside)) as conn:
        assert before == conn.execute("SELECT count(*) FROM runs").fetchall()
    assert project.query("SELECT count(*) FROM runs") <= before
    with project.service() as service:
        service.wait_for("ready")
        assert 0 == service.stop()


def test_a_copy_has_a_name_of_its_own(url, tmp_path):
    """Without a name the copy lies in `backups` beside the store, packed; the name says when it was made."""
    copy = backup.back_up(url, None, utcnow())
    assert re.fullmatch(r"store-\d{8}T\d{6}Z.db.gz", copy.path.name)
    assert tmp_path.resolve() / "backups" == copy.path.parent
    assert [copy.path] == list(copy.path.parent.iterdir())


@pytest.mark.parametrize("name", ["copy.db", "copy.db.gz"])
def test_what_was_copied_comes_back(url, tmp_path, name):
    """Packed or not, what was in the store at the time of the copy is there again; the newer store is kept."""
    backup.back_up(url, tmp_path / name, utcnow())
    with closing(sqlite3.connect(tmp_path / "store.db")) as conn:
        conn.execute("UPDATE state_values SET value = '\"newer\"'")
        conn.commit()
    _, aside = backup.restore(url, tmp_path / name, utcnow())
    assert ("there", "newer") == (held(tmp_path / "store.db"), held(aside))


def test_a_lost_store_comes_back(url, tmp_path):
    """Where there is no store any more, there is none to keep; what was written ahead of the lost one is not used."""
    backup.back_up(url, tmp_path / "copy.db", utcnow())
    (tmp_path / "store.db").unlink()
    (tmp_path / "store.db-wal").write_bytes(b"left behind")
    assert backup.restore(url, tmp_path / "copy.db", utcnow())[1] is None
    assert "there" == held(tmp_path / "store.db")


def test_what_was_written_ahead_is_restored_too(url, tmp_path):
    """A file that another service left behind when it was killed counts with all that was committed to it."""
    made(tmp_path / "other.db", "first")
    with closing(sqlite3.connect(tmp_path / "other.db")) as conn:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("UPDATE state_values SET value = '\"ahead\"'")
        conn.commit()
        for side in ("", "-wal"):
            (tmp_path / f"left.db{side}").write_bytes((tmp_path / f"other.db{side}").read_bytes())
    backup.restore(url, tmp_path / "left.db", utcnow())
    assert "ahead" == held(tmp_path / "store.db")


def test_a_damaged_store_is_replaced_and_kept(url, tmp_path):
    """A store that is no database any more is kept as it is, for whoever may save something of it."""
    backup.back_up(url, tmp_path / "copy.db", utcnow())
    (tmp_path / "store.db").write_bytes(b"dear diary, " * 500)
    _, aside = backup.restore(url, tmp_path / "copy.db", utcnow())
    assert ("there", b"dear diary, " * 500) == (held(tmp_path / "store.db"), aside.read_bytes())


def test_copies_that_cannot_be_used_are_refused(url, tmp_path):
    """No file, no copy, half a copy, a foreign database and a newer schema are told; the store stays as it is."""
    whole = backup.back_up(url, tmp_path / "whole.db.gz", utcnow()).path.read_bytes()
    (tmp_path / "half.db.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.db").write_text("dear diary, " * 500)
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as conn:
        conn.execute("CREATE TABLE t (x)")
    (tmp_path / "newer.db").write_bytes(gzip.decompress(whole))
    with closing(sqlite3.connect(tmp_path / "newer.db")) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
        conn.commit()
    told = {
        "none.db": "there is no file",
        "half.db.gz": "ended before",
        "text.db": "not a database",
        "foreign.db": "no store",
    }
    for name, said in told.items():
        with pytest.raises(StoreError, match=f"{name} cannot be restored: .*{said}.*; nothing was changed"):
            backup.restore(url, tmp_path / name, utcnow())
    with pytest.raises(StoreError, match="is the store itself"):
        backup.restore(url, tmp_path / "store.db", utcnow())
    with pytest.raises(SchemaTooNew, match=rf"9999, this program knows up to {versions.known()[0]}"):
        backup.restore(url, tmp_path / "newer.db", utcnow())
    assert "there" == held(tmp_path / "store.db")
    assert not list(tmp_path.glob("*.restoring")) + list(tmp_path.glob("*.before-*"))


def test_what_cannot_be_copied_is_told(url, tmp_path):
    """No store, a name that is taken, a place that cannot be written; and on a server, the command that does it."""
    (tmp_path / "taken").touch()
    for wrong, target, said in (
        (f"sqlite:///{tmp_path}/none.db", tmp_path / "a", "there is no store yet"),
        (url, tmp_path / "taken", "is there already"),
        (url, tmp_path / "taken" / "a", "cannot be copied to"),
        (
            "postgresql+psycopg://u:secret@h:5/d",
            tmp_path / "a",
            r"pg_dump --format=custom --file=\S*/a postgresql://u@h:5/d",
        ),
    ):
        with pytest.raises(StoreError, match=said) as caught:
            backup.back_up(wrong, target, utcnow())
        assert "secret" not in str(caught.value)


def test_on_a_server_the_command_that_restores_is_told(tmp_path):
    """The text names who must be stopped, and the whole command, without the password."""
    said = r"stop every scheduler and worker, then pg_restore --clean .*--dbname=postgresql://u@h:5/d \S*/a b.dump'"
    with pytest.raises(StoreError, match=said):
        backup.restore("postgresql+psycopg://u:secret@h:5/d", tmp_path / "a b.dump", utcnow())


def test_a_held_store_is_not_replaced(url, tmp_path):
    """While a service holds it, or another program reads it, it stays."""
    backup.back_up(url, tmp_path / "copy.db", utcnow())
    with holding.hold(url), pytest.raises(StoreLocked):
        backup.restore(url, tmp_path / "copy.db", utcnow())
    assert "there" == held(tmp_path / "store.db")


STEPS = """
import os, signal, sys
from pathlib import Path
from pipelines import backup
from pipelines.model import utcnow

url, source, store = sys.argv[1:]

def attempt(last):
    left = [last]
    def step(event, arguments):
        if event.split(".")[0] in ("os", "open", "sqlite3", "shutil"):
            left[0] -= 1
            if left[0] == -1:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)
    backup.restore(url, Path(source), utcnow())
    os._exit(0)

backup.versions.known()
for last in range(1000):
    child = os.fork()
    if child == 0:
        attempt(last)
    _, status = os.waitpid(child, 0)
    print(last, os.WIFSIGNALED(status), flush=True)
    if sys.stdin.readline() != "next\\n":
        break
"""


def test_kill_9_amid_a_restore_leaves_one_whole_store(url, tmp_path):
    """Killed before each of its steps in turn, the store in place is the old one or the copy, and sound."""
    store, source = tmp_path / "store.db", tmp_path / "copy.db"
    made(source, "copied")
    with closing(sqlite3.connect(source)) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")
    old = store.read_bytes()
    seen: list[str] = []
    steps = subprocess.Popen(
        [sys.executable, "-c", STEPS, url, str(source), str(store)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        while (said := steps.stdout.readline().split()) and said[1] == "True":
            seen.append(held(store))
            for path in tmp_path.glob("store.db*"):
                path.unlink()
            store.write_bytes(old)
            steps.stdin.write("next\n")
            steps.stdin.flush()
    finally:
        steps.communicate("stop\n")
    assert said[1] == "False"
    assert {"there", "copied"} == set(seen)
    assert sorted(seen, reverse=True) == seen
    assert "copied" == held(store)
    assert len(seen) > 10
