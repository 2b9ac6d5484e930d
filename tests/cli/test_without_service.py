"""The terminal where no service runs: it executes runs itself, and it starts and stops a detached service."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from socket import gethostname

import pytest

from pipelines.__main__ import main
from pipelines.cli import frame, launching
from pipelines.errors import InvalidTransition
from pipelines.settings import Settings
from pipelines.store import database, processes
from pipelines.store.processes import Beat
from tests.others import scheduler
from tests.project import until
from tests.servers import fresh_schema

FILE = """
scheduler: {timezone: UTC}
pipelines:
  quick: {schedule: {daily: "23:59"}, executor: inline, chain: [{class: terminal_alone.nothing}]}
  wrong: {schedule: {daily: "23:58"}, executor: inline, retry: {attempts: 1}, chain: [{class: terminal_alone.fail}]}
"""
PLUGIN = """
def nothing(item):
    return item

def fail(item):
    raise ValueError("no good")
"""


@pytest.fixture
def here(project, monkeypatch):
    """The project's folder as the program sees it."""
    monkeypatch.chdir(project.folder)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.plugin("terminal_alone", PLUGIN)
    project.write(FILE)
    yield project
    sys.modules.pop("terminal_alone", None)


def test_a_service_whose_web_is_not_open_is_told_as_such():
    """Its address is named; where it has none although it was to have one, such as by a port in use, that is said."""
    log = Path("data/pipecall.log")
    told = [
        launching.ready_line(7, web, log, wanted=wanted)
        for web, wanted in (("http://h:1", True), (None, True), (None, False))
    ]
    assert [
        "the service runs: pid 7, http://h:1; its log is data/pipecall.log",
        "the service runs: pid 7, without its web, which is not open yet; its log is data/pipecall.log",
        "the service runs: pid 7; its log is data/pipecall.log",
    ] == told


def test_without_a_service_the_terminal_runs_it_itself(here, capsys):
    """It says so, records the run as one of the terminal, and the code tells how it ended."""
    assert 0 == main(["run", "quick"])
    answer, told = capsys.readouterr()
    assert re.search(r"^quick #1 succeeded in ", answer, re.MULTILINE)
    assert "this terminal executes it" in told
    assert [("terminal", "run", "quick")] == here.query("SELECT door, verb, target FROM audit")
    assert 1 == main(["run", "wrong", "--json"])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert ("state", "failed", "no good") == (last["event"], last["run"]["state"], last["run"]["error"]["message"])


def test_what_is_queued_waits_for_the_service(here, capsys):
    """`run-now` says that no service runs; the next one that is started takes the run up."""
    assert 0 == main(["run-now", "quick"])
    assert "quick #1 is queued; no service runs" in capsys.readouterr().out
    assert 0 == main(["add-job", "quick", "--every", "6h", "--name", "later"])
    with here.service() as service:
        service.wait_for("ready")
        until(lambda: here.query("SELECT state FROM runs WHERE id = 1") == [("succeeded",)], "it never ran")
        assert "later" in service.said


def test_a_run_is_cancelled_whatever_is_wrong_with_the_file(here, capsys):
    """Stopping something must not wait until the pipelines file is mended; nothing is said of the file."""
    assert 0 == main(["run-now", "quick"])
    here.write("pipelines: [")
    capsys.readouterr()
    assert 0 == main(["cancel", "1", "--reason", "not now"])
    assert ("quick #1 is cancelled\n", "") == capsys.readouterr()
    assert [("cancelled", True)] == [
        (state, "not now" in why) for state, why in here.query("SELECT state, reason FROM runs")
    ]


def test_the_slower_of_two_detached_starts_is_refused(here):
    """Where another one took the store meanwhile, that is what is told, and not the end of its log."""
    with here.service() as service:
        service.wait_for("ready")
        with pytest.raises(InvalidTransition, match=f"already: pid {service.process.pid} on"):
            launching.detached(frame.settings(), 30)


def test_nothing_to_read_is_told(here, capsys):
    """Where there is no store, readers say so; the service is down, and there is nothing to stop."""
    assert 1 == main(["history"])
    assert "there is no store yet" in capsys.readouterr().err
    assert 1 == main(["health"])
    assert "down: no service runs\n" == capsys.readouterr().out
    assert 3 == main(["stop"])
    assert not (here.folder / "store.db").exists()


def test_a_detached_service_is_started_and_stopped(here, capsys):
    """It outlives the command that started it, is well at once, keeps a log beside the store, and stops when told."""
    said = subprocess.run(
        [sys.executable, "-m", "pipelines", "start", "--daemon"], capture_output=True, text=True, timeout=60, check=True
    )
    started = re.fullmatch(r"the service runs: pid (\d+); its log is (\S+)\n", said.stdout)
    assert started
    pid = int(started[1])
    assert (os.getsid(pid), str(here.folder / "pipecall.log")) == (pid, started[2])
    assert 0 == main(["health"])
    assert 3 == main(["start", "--daemon"])
    assert f"already: pid {pid}" in capsys.readouterr().err
    assert 0 == main(["stop"])
    assert f"pid {pid} on host" in capsys.readouterr().out
    assert "stopped" in (here.folder / "pipecall.log").read_text(encoding="utf-8")
    assert 1 == main(["health"])


def test_a_broken_file_is_told_here_not_in_a_log(here, capsys):
    """A detached start looks at the file first: what is wrong is told at once, and nothing is started."""
    here.write("pipelines: {quick: {chain: [terminal_alone.nothign]}}\n")
    assert 2 == main(["start", "--daemon"])
    assert "no stage 'nothign'" in capsys.readouterr().err
    assert not (here.folder / "pipecall.log").exists()


def test_a_service_that_does_not_come_up_is_told_with_its_log(here, capsys, monkeypatch):
    """The exit code and the end of its log are shown."""
    monkeypatch.setattr("pipelines.cli.launching._command", lambda: [sys.executable, "-c", "print('why'); exit(7)"])
    assert 1 == main(["start", "--daemon"])
    assert re.search(r"ended as it started, with exit code 7; its log is .*\n  why", capsys.readouterr().err)


def test_of_several_schedulers_each_is_known_as_started():
    """On a shared store only the leader speaks as the service; one that was started beside it is found by its row."""
    with fresh_schema() as url:
        chosen = Settings(scheduler_db_url=url, web="off")
        mine = scheduler("b", host=gethostname(), pid=12, leads=False)
        assert asyncio.run(launching._there(chosen, 12)) is None
        engine = database.connect(url)
        database.migrate(engine)
        with engine.begin() as conn:
            processes.beat(conn, [Beat(scheduler("a", host="elsewhere", pid=13)), Beat(mine)])
        engine.dispose()
        found = [asyncio.run(launching._there(chosen, pid)) for pid in (12, 13)]
        assert [12, None] == [each and each.pid for each in found]


def test_a_run_that_nobody_could_execute_is_refused(here, monkeypatch, capsys):
    """`EXECUTOR=procrastinate` leaves runs to workers, of which an SQLite file has none: nothing waits for ever."""
    monkeypatch.setenv("EXECUTOR", "procrastinate")
    assert 2 == main(["run", "quick"])
    assert "EXECUTOR=procrastinate needs PostgreSQL" in capsys.readouterr().err
    assert not (here.folder / "store.db").exists()
