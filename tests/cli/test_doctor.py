"""`pipecall doctor`: what is well, what is not, and how to mend it; `schema`."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import jsonschema_rs
import pytest

from pipelines.__main__ import main
from pipelines.file_schema import json_schema
from pipelines.store import database, holding

GOOD = "pipelines: {a: {schedule: {daily: '08:00'}, chain: [things.nothing]}}\n"


@pytest.fixture
def here(project, monkeypatch):
    """The project's folder as the program sees it, with all in order."""
    monkeypatch.chdir(project.folder)
    for name in [name for name in os.environ if name.startswith(("SCHEDULER_", "DISCORD_", "WEB_"))]:
        monkeypatch.delenv(name)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.plugin("things", "def nothing(item): return item\n")
    project.write(GOOD)
    return project


def examined(capsys):
    """Run the doctor; returns exit code, and what was found wrong with its remedies."""
    code = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is (code == 0)
    return code, [each for each in told["findings"] if each["level"] == "wrong"], told["findings"]


def test_all_is_well(here, capsys):
    """With all in order each line begins with a tick, exit code 0, and nothing was made or changed."""
    before = sorted(path.name for path in here.folder.rglob("*") if "__pycache__" not in path.parts)
    assert 0 == main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    assert (True, "all is well") == (all(line.startswith("✓ ") for line in lines[:-1]), lines[-1])
    assert before == sorted(path.name for path in here.folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"EXECUTOR": "procrastinate"}, "EXECUTOR=procrastinate needs PostgreSQL"),
        ({"SCHEDULER_LOCK": "postgres"}, "SCHEDULER_LOCK"),
        ({"SCHEDULER_LOCK": "redis", "SCHEDULER_LOCK_URL": "data/lock"}, "SCHEDULER_LOCK_URL"),
    ],
)
def test_settings_that_do_not_go_together_are_told(here, capsys, monkeypatch, settings, told):
    """Workers on an SQLite file, and locks that cannot be, are found before anything starts, with where to read on."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    code, wrong, _ = examined(capsys)
    assert (1, 1) == (code, len(wrong))
    assert told in wrong[0]["what"]
    assert "docs/many-machines.md" in wrong[0]["remedy"]


def test_a_redis_for_the_lock_that_is_away_is_told(here, capsys, monkeypatch):
    """Where nobody could lead as Redis does not answer, that is found, without the password of its address."""
    monkeypatch.setenv("SCHEDULER_LOCK", "redis")
    monkeypatch.setenv("SCHEDULER_LOCK_URL", "redis://:hush@127.0.0.1:1/0")
    code, wrong, _ = examined(capsys)
    assert (1, ["Redis at 127.0.0.1:1 cannot be used (ConnectionError)"]) == (code, [each["what"] for each in wrong])
    assert "hush" not in str(wrong)


def test_everything_wrong_is_told_at_once(here, capsys, monkeypatch):
    """Misspelt settings, a wrong file, and a broken plugin are told together, each with its remedy; exit code 1."""
    monkeypatch.setenv("SCHEDULER_MAX_JOB", "3")
    (here.folder / ".env").write_text("DISCORD_TOKN=x\n")
    here.plugin("aside", "1 / 0\n")
    here.write(GOOD.replace("nothing", "gone"))
    code, wrong, _ = examined(capsys)
    told = " ".join(each["what"] for each in wrong)
    assert (1, 4, True) == (code, len(wrong), all(each["remedy"] for each in wrong))
    assert [] == [
        word
        for word in ("SCHEDULER_MAX_JOB is", ".env:1: DISCORD_TOKN", "aside.py:1", "pipelines.yml:1")
        if word not in told
    ]


def test_a_missing_file_has_its_remedy(here, capsys):
    """Without a pipelines file the command that makes one is named."""
    (here.folder / "pipelines.yml").unlink()
    code, wrong, _ = examined(capsys)
    assert (1, ["'pipecall config create' makes one"]) == (code, [each["remedy"] for each in wrong])


def test_a_wrong_setting_is_told(here, capsys, monkeypatch):
    """A setting that cannot be read is found, without anything else being looked at."""
    monkeypatch.setenv("WEB_PORT", "many")
    code, wrong, _ = examined(capsys)
    assert (1, True) == (code, "WEB_PORT: found 'many'" in wrong[0]["what"])


def test_a_readable_env_file_is_pointed_out(here, capsys):
    """Others being able to read .env is pointed out, and is no fault."""
    (here.folder / ".env").write_text("LOG_LEVEL=INFO\n")
    (here.folder / ".env").chmod(0o644)
    code, _, found = examined(capsys)
    assert (0, ["chmod 600 .env"]) == (code, [each["remedy"] for each in found if each["level"] == "doubtful"])


def test_the_store_is_looked_into(here, capsys):
    """Of a store it is told that its schema is ours, that it writes ahead, and who runs on it."""
    url = f"sqlite:///{here.folder / 'store.db'}"
    engine = database.connect(url)
    database.migrate(engine)
    engine.dispose()
    with holding.hold(url):
        code, _, found = examined(capsys)
    told = " ".join(each["what"] for each in found)
    assert (0, True, True, True) == (
        code,
        "has this program's schema" in told,
        "(WAL)" in told,
        f"a service runs on the store: pid {os.getpid()} on " in told,
    )


def test_a_store_of_a_newer_program_is_wrong(here, capsys):
    """A store whose schema this program does not know is a fault, and stays as it is."""
    url = f"sqlite:///{here.folder / 'store.db'}"
    engine = database.connect(url)
    database.migrate(engine)
    engine.dispose()
    with closing(sqlite3.connect(here.folder / "store.db")) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
        conn.commit()
    code, wrong, _ = examined(capsys)
    assert (1, True) == (code, "version 9999" in wrong[0]["what"])


@pytest.mark.parametrize("content", [b"not a database at all, and that is that " * 30, None])
def test_a_store_that_is_none_is_wrong(here, capsys, monkeypatch, content):
    """A file that is no database, or a folder in its place, is a fault with a remedy and no crash."""
    if content is None:
        (here.folder / "file").write_text("")
        monkeypatch.setenv("SCHEDULER_DB_URL", f"sqlite:///{here.folder / 'file' / 'store.db'}")
    else:
        (here.folder / "store.db").write_bytes(content)
    code, wrong, _ = examined(capsys)
    assert (1, True) == (code, bool(wrong) and bool(wrong[0]["remedy"]))


def test_a_clock_that_is_behind_is_wrong(here, capsys):
    """A file from the future says that the clock is behind."""
    later = 4_000_000_000
    os.utime(here.folder / "pipelines.yml", (later, later))
    code, wrong, _ = examined(capsys)
    assert (1, True) == (code, "the clock is wrong" in wrong[0]["what"])


def test_a_port_that_others_use_is_wrong(here, capsys, monkeypatch):
    """A web port that another program holds is a fault; one that is free is not."""
    monkeypatch.setenv("WEB", "on")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("WEB_PORT", str(taken.getsockname()[1]))
        monkeypatch.setattr("pipelines.cli.findings.ASK_S", 0.2)
        code, wrong, _ = examined(capsys)
    assert (1, True) == (code, "set WEB_PORT" in wrong[0]["remedy"])
    assert 0 == examined(capsys)[0]


@pytest.mark.parametrize(("answer", "code"), [(b'{"state": "ok"}', 0), (b"<html>", 1), (b"[1]", 1), (b"", 1)])
def test_the_port_of_our_own_service_is_well(here, capsys, monkeypatch, answer, code):
    """A port where our own health is told is that of the service; anybody else's answer is not."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args):
            """Say nothing."""

    monkeypatch.setenv("WEB", "on")
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv("WEB_PORT", str(server.server_port))
        assert code == examined(capsys)[0]


def test_discord_is_asked_by_its_own_doctor(here, capsys, monkeypatch):
    """With a token the chat's own doctor is asked, and what it finds is taken over with its remedy."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monkeypatch.setenv("DISCORD_TOKEN", "not.a.token")
    monkeypatch.setenv("DISCORD_API_BASE", f"http://127.0.0.1:{port}/api")
    code, wrong, _ = examined(capsys)
    assert (1, "try again later") == (code, wrong[0]["remedy"])
    assert wrong[0]["what"].startswith("Discord: Discord cannot be asked: ")


def test_the_schema_is_printed(here, capsys):
    """What `schema` prints is the schema of the file, by which a good file passes."""
    assert 0 == main(["schema"])
    printed = json.loads(capsys.readouterr().out)
    jsonschema_rs.meta.validate(printed)
    assert json_schema() == printed
