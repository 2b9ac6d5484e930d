"""The everyday commands beside a running service: what they change it takes up, what it does they show."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from pipelines.__main__ import main
from tests.project import Project, until

FILE = """
scheduler: {timezone: Europe/Stockholm, max_parallel_jobs: 4}
pipelines:
  quick: {schedule: {cron: "30 2 * * *"}, params: {region: {type: int, default: 3, max: 9}},
          executor: inline, chain: [{class: terminal_beside.nothing}]}
  wrong: {schedule: {daily: "23:59"}, executor: inline, retry: {attempts: 1}, chain: [{class: terminal_beside.fail}]}
  gated: {schedule: {daily: "23:58"}, chain: [{class: terminal_beside.wait}]}
"""
PLUGIN = """
import asyncio
import logging
from pathlib import Path

def nothing(item):
    return item

def fail(item):
    raise ValueError("no good")

async def wait(item):
    logging.getLogger("gate").warning("at the gate")
    while not Path("open").exists():
        await asyncio.sleep(0.02)
    return item
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A project whose service runs for all tests of this file."""
    project = Project(tmp_path_factory.mktemp("beside"))
    project.plugin("terminal_beside", PLUGIN)
    project.write(FILE)
    with project.service() as service:
        service.wait_for("ready")
        yield project
        assert 0 == service.stop()


@pytest.fixture
def here(served, monkeypatch):
    """The served project's folder as the program sees it, with the gate shut."""
    monkeypatch.chdir(served.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    (served.folder / "open").unlink(missing_ok=True)
    yield served
    (served.folder / "open").touch()
    until(lambda: not live(served), "runs are left over")
    sys.modules.pop("terminal_beside", None)


def live(project) -> list[tuple]:
    """The runs that are not over."""
    return project.query("SELECT id FROM runs WHERE state IN ('queued', 'running', 'waiting_retry')")


def said(capsys, *arguments: str) -> str:
    """What a command answers, that ends well."""
    assert 0 == main(list(arguments)), capsys.readouterr().err
    return capsys.readouterr().out


def asked(capsys, *arguments: str):
    """What a command answers as JSON."""
    return json.loads(said(capsys, *arguments, "--json"))


def test_nothing_is_queued_where_one_of_several_is_wrong(here, capsys):
    """Parameters must fit every pipeline that is named; else none of them runs."""
    before = here.query("SELECT count(*) FROM runs")
    assert 2 == main(["run", "quick", "wrong", "--param", "region=5"])
    assert "region" in capsys.readouterr().err
    assert before == here.query("SELECT count(*) FROM runs")


def test_runs_of_several_pipelines_are_followed_together(here):
    """The code is 1 where one failed; each end is told with counts and reason, without colours or drawing."""
    done = here.run("-m", "pipelines", "run", "quick", "wrong")
    told = done.stdout
    assert 1 == done.returncode
    assert re.search(r"^quick #\d+ succeeded in \d\.\d\d s, 0 in, 0 out$", told, re.MULTILINE)
    assert re.search(r"^wrong #\d+ failed in .*: ValueError: no good$", told, re.MULTILINE)
    assert "\x1b" not in told


def test_parameters_reach_the_run(here, capsys):
    """Typed parameters are checked against what the pipeline declares, and stand in the history."""
    run = json.loads(said(capsys, "run", "quick", "--param", "region=5", "--json").splitlines()[-1])["run"]
    assert ("succeeded", {"region": 5}, "terminal") == (run["state"], run["params"], door(here, run["id"]))
    assert 2 == main(["run", "quick", "--param", "region=77"])
    assert "77" in capsys.readouterr().err


def door(project, run_id: int) -> str:
    """Through which door a run was asked for."""
    return project.query("SELECT door FROM audit WHERE run_id = ?", run_id)[0][0]


def test_ctrl_c_only_stops_following(here):
    """The run goes on; how to cancel it is said, and that is how it is cancelled."""
    with here.started("-m", "pipelines", "run", "gated") as following:
        following.wait_for("\n", count=2)
        until(lambda: here.query("SELECT 1 FROM runs WHERE state = 'running'"), "it never ran")
        code = following.stop(signal.SIGINT)
    found = re.search(r"gated #(\d+).*'pipecall cancel (\d+)'", following.said)
    assert (130, found[1]) == (code, found[2]), following.said
    assert "Traceback" not in following.said
    assert "running" == here.query("SELECT state FROM runs WHERE id = ?", int(found[1]))[0][0]
    assert 0 == main(["cancel", f"#{found[1]}", "--reason", "enough"])
    until(lambda: not live(here), "it was never cancelled")
    state, reason = here.query("SELECT state, reason FROM runs WHERE id = ?", int(found[1]))[0]
    assert ("cancelled", True) == (state, "enough" in reason)
    assert 3 == main(["cancel", found[1]])


def test_ctrl_c_cancels_where_that_is_wanted(here):
    """With --cancel-on-interrupt the service stops the run."""
    with here.started("-m", "pipelines", "run", "gated", "--cancel-on-interrupt") as following:
        until(lambda: here.query("SELECT 1 FROM runs WHERE state = 'running'"), "it never ran")
        run_id = live(here)[0][0]
        code = following.stop(signal.SIGINT)
    until(lambda: not live(here), "it was never cancelled")
    state = here.query("SELECT state FROM runs WHERE id = ?", run_id)[0][0]
    assert (130, "cancelled") == (code, state)


def test_a_live_table_is_drawn_on_a_terminal(here):
    """On a terminal the run, its log and its end are drawn in place, and the cursor is given back."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "run", "gated"],
        cwd=here.folder,
        env=here.environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    drawn = ""
    while "at the gate" not in drawn:
        drawn += os.read(leader, 65_536).decode(errors="replace")
    (here.folder / "open").touch()
    with suppress(OSError):  # the terminal is gone once the program has ended
        while more := os.read(leader, 65_536):
            drawn += more.decode(errors="replace")
    os.close(leader)
    assert 0 == process.wait(30)
    end = drawn[drawn.rindex("✓") :]
    assert ("\x1b[?25l" in drawn, "\x1b[?25h" in end) == (True, True)
    assert re.search(r"gated #\d+.*succeeded", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", end))


def test_a_job_is_added_taken_up_paused_resumed_and_removed(here, capsys):
    """What is done to a job at the terminal, the service does within moments."""
    due = asked(capsys, "add-job", "quick", "--type", "interval", "--every", "1h30m", "--name", "often")
    assert ({"interval": {"hours": 1, "minutes": 30}}, 5) == (due["spec"], len(due["next_fires"]))
    assert 3 == main(["add-job", "quick", "--cron", "0 9 * * *", "--name", "often"])
    capsys.readouterr()
    assert "often is paused until" in said(capsys, "pause", "often", "--for", "2h", "--reason", "lunch")
    (row,) = (job for job in asked(capsys, "jobs", "--pipeline", "quick") if job["id"] == "often")
    assert ("paused", "lunch", "terminal") == (row["state"], row["pause_reason"], row["source"])
    assert "often is active again" in said(capsys, "resume", "often")
    assert 3 == main(["resume", "often"])
    assert "is removed" in said(capsys, "remove-job", "often")
    assert 3 == main(["remove-job", "quick"])
    assert "stands in the pipelines file" in capsys.readouterr().err


def test_a_job_for_one_moment_fires_in_the_service(here, capsys):
    """A job that is made at the terminal for the next seconds is run by the service, without a restart."""
    said(capsys, "add-job", "quick", "--when", "in 1 second", "--name", "soon")
    found = "SELECT state FROM runs WHERE schedule_id = 'soon'"
    until(lambda: here.query(found) == [("succeeded",)], "the service never ran it")


def test_the_next_instants_show_the_offset(here, capsys):
    """Over the change of clocks the offset changes; piped, each instant is one line with tabs."""
    lines = said(capsys, "next", "quick", "-n", "366").splitlines()
    offsets = {line.split("\t")[0][-6:] for line in lines}
    assert (366, {"+01:00", "+02:00"}) == (len(lines), offsets)
    first = asked(capsys, "next", "quick", "-n", "1")[0]
    assert datetime.fromisoformat(first["due_at"]) > datetime.now(UTC)


def test_status_shows_what_runs_and_what_failed(here, capsys):
    """The service with its process, the run that goes on, what is next and what failed last."""
    assert 1 == main(["run", "wrong"])
    capsys.readouterr()
    said(capsys, "run-now", "gated")
    until(lambda: here.query("SELECT 1 FROM runs WHERE state = 'running'"), "it never ran")
    told = asked(capsys, "status")
    assert (True, "ok", 3) == (told["service"]["running"], told["service"]["status"], told["counts"]["pipelines"])
    assert [("gated", "running")] == [(run["pipeline"], run["state"]) for run in told["live"]]
    assert ["wrong"] == [run["pipeline"] for run in told["failed"]]
    (own,) = told["processes"]
    assert (told["leader"], told["service"]["pid"], ["default"]) == (
        own["id"],
        own["pid"],
        [q["name"] for q in told["queues"]],
    )
    assert (own["slots"], None) == (told["slots"], told["limit"])
    assert [("gated", own["id"])] == [(each["pipeline"], each["owner"]) for each in told["leases"]]
    assert own["id"] == told["live"][0]["holder"]["id"]
    text = said(capsys, "status")
    headings = [line.split("\t")[0] for line in text.splitlines()]
    assert {"service", "health", "there are", "runs", "next", "failed"} <= set(headings)


def test_health_needs_no_pipelines_file(here, capsys):
    """It is ok while the service is, even where the file is gone by now; `status` says so, and jobs can be paused."""
    assert "ok\n" == said(capsys, "health")
    kept = here.folder / "kept.yml"
    (here.folder / "pipelines.yml").rename(kept)
    try:
        assert "ok" == asked(capsys, "health")["status"]
        assert 2 == main(["status"])
        assert ("service\truns" in capsys.readouterr().out) is True
        assert 0 == main(["pause", "quick"])
        assert "the pipelines file is wrong" in capsys.readouterr().err
        assert "paused" == next(job["state"] for job in asked(capsys, "jobs") if job["id"] == "quick")
        assert 0 == main(["resume", "quick"])
    finally:
        kept.rename(here.folder / "pipelines.yml")


def test_what_goes_on_shows_while_the_file_is_wrong(here, capsys):
    """The service goes on with the last good file, so runs, jobs and their next instants are told with the mistake."""
    good = (here.folder / "pipelines.yml").read_text(encoding="utf-8")
    said(capsys, "run-now", "gated")
    until(lambda: here.query("SELECT 1 FROM runs WHERE state = 'running'"), "it never ran")
    due = {job["id"]: job["next_due_at"] for job in asked(capsys, "jobs")}
    here.write(good.replace("beside.fail", "beside.fial"))
    try:
        assert 2 == main(["status", "--json"])
        answer, fault = capsys.readouterr()
        told = json.loads(answer)
        assert (None, 3) == (told["counts"]["pipelines"], told["counts"]["jobs"])
        assert ["gated"] == [run["pipeline"] for run in told["live"]]
        assert {"quick", "wrong", "gated"} == {each["pipeline"] for each in told["next"]}
        assert "did you mean 'fail'?" in fault
        assert due == {job["id"]: job["next_due_at"] for job in asked(capsys, "jobs")}
        assert 2 == main(["status"])
        assert "there are\t3 jobs (0 paused)" in capsys.readouterr().out
    finally:
        here.write(good)
    assert "there are\t3 pipelines, 3 jobs (0 paused)" in said(capsys, "status")


def test_history_logs_and_audit_tell_what_happened(here, capsys):
    """A run is found by pipeline and state, its log is read and followed, and who asked for it is on record."""
    (here.folder / "open").touch()
    assert 0 == main(["run", "gated"])
    capsys.readouterr()
    run = asked(capsys, "history", "--pipeline", "gated", "--state", "succeeded", "--limit", "1")[0]
    assert (run["pipeline"], "succeeded", 1) == ("gated", run["state"], run["attempt"])
    for follow in ([], ["--follow"]):
        assert "WARNING gate: at the gate" in said(capsys, "logs", str(run["id"]), *follow)
    entry = next(each for each in asked(capsys, "audit") if each["target"] == "gated" and each["verb"] == "run")
    assert ("terminal", True) == (entry["door"], entry["allowed"])
    assert 2 == main(["logs", "99999"])
    assert 2 == main(["history", "--pipeline", "gatde"])
    assert "did you mean 'gated'?" in capsys.readouterr().err


def test_pipelines_are_listed_one_a_line(here, capsys):
    """Piped, a pipeline is one line with tabs and without titles; as JSON it has its jobs."""
    lines = said(capsys, "pipelines").splitlines()
    assert ["quick", "wrong", "gated"] == [line.split("\t")[0] for line in lines]
    assert [["quick"], ["wrong"], ["gated"]] == [each["jobs"] for each in asked(capsys, "pipelines")]


def test_a_second_service_is_refused(here, capsys):
    """The one that runs is named, and the code says that it was refused."""
    assert 3 == main(["start"])
    assert re.search(r"already: pid \d+ on host", capsys.readouterr().err)
