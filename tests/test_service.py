"""The program as a user starts it: `main.py` and `main_scheduler.py` as real processes."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.project import Project, until

PLUGIN = """
import os, time
from pipelines import Fetcher, Skip, current_run

class Numbers(Fetcher):
    def __init__(self, *, count=3):
        self.count = count
    async def fetch(self):
        for number in range(self.count):
            yield {"n": number}

def double(item, *, factor=2):
    return {"n": item["n"] * factor}

def fail(item):
    raise ValueError("no good")

def skip(item):
    raise Skip("nothing new")

def slow(item):
    with open("slow-started", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)

def brief(item):
    open("brief-started", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)

def die_once(item):
    if current_run().attempt == 1:
        os._exit(7)
    return item
"""

TWO = """
pipelines:
  good:
    chain: [tools.Numbers, {class: tools.double, kwargs: {factor: 3}}]
  other:
    schedule: "0 0 1 1 *"
    chain: [tools.Numbers]
  off:
    enabled: false
    chain: [tools.Numbers]
"""


@pytest.fixture
def tools(project: Project):
    """A project with a few stages."""
    project.plugin("tools", PLUGIN)
    return project


def one(chain: str, **more: object) -> str:
    """A file with one pipeline `p`."""
    options = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in more.items())
    return f"pipelines:\n  p:\n{options}    chain: {chain}\n"


# ------------------------------------------------------------------ main.py


def test_main_runs_every_enabled_pipeline_once(tools):
    """`main.py` runs what is enabled, scheduled or not, says how each ended, and exits 0."""
    tools.write(TWO)
    done = tools.run("main.py")
    lines = done.stdout.splitlines()
    assert (0, "2 pipelines run, 0 failed") == (done.returncode, lines[-1])
    assert ["good #1 succeeded", "other #2 succeeded"] == [" ".join(line.split()[:3]) for line in lines[:2]]


def test_main_runs_only_what_is_named(tools):
    """Names on the command line are run, enabled or not, and nothing else; the code is 0 where one is skipped."""
    tools.write(f"{TWO}  skips: {{chain: [tools.skip]}}\n")
    done = tools.run("main.py", "off", "skips")
    assert (0, ["off", "skips", "2"]) == (done.returncode, [line.split()[0] for line in done.stdout.splitlines()])


def test_main_refuses_an_unknown_name(tools):
    """A name that is not in the file is refused with the nearest one, and nothing is run."""
    tools.write(TWO)
    done = tools.run("main.py", "goood")
    assert (2, "no pipeline is called 'goood'; did you mean 'good'?\n", "") == (
        done.returncode,
        done.stderr,
        done.stdout,
    )


def test_main_exits_1_when_one_failed(tools):
    """One failing pipeline makes the exit code 1, and the others are run all the same; to be skipped is no failure."""
    tools.write(
        """
        pipelines:
          bad: {retry: {attempts: 1}, chain: [tools.fail]}
          good: {chain: [tools.Numbers]}
          skips: {chain: [tools.skip]}
        """
    )
    done = tools.run("main.py")
    assert (1, "3 pipelines run, 1 failed") == (done.returncode, done.stdout.splitlines()[-1])
    assert "bad #1 failed" in done.stdout
    assert "fail: ValueError: no good" in done.stdout
    assert "good #2 succeeded" in done.stdout
    assert "skips #3 skipped" in done.stdout
    assert "nothing new" in done.stdout


def test_legacy_mode_stops_on_a_signal(tools):
    """`SCHEDULER_MODE=legacy main_scheduler.py` does what `main.py` does.

    Ctrl-C while a pipeline runs cancels it after the drain time, records it, and the code is 1.
    """
    tools.write("pipelines: {good: {chain: [tools.Numbers]}, slow: {chain: [tools.slow]}}")
    tools.env |= {"SCHEDULER_DRAIN_S": "0", "SCHEDULER_MODE": "legacy"}
    with tools.service() as service:
        until((tools.folder / "slow-started").exists, "the stage never began")
        until(lambda: tools.query("SELECT 1 FROM runs WHERE state = 'succeeded'") != [], "the other one never ended")
        service.process.send_signal(signal.SIGINT)
        service.wait_for("a second signal stops at once")
        service.process.send_signal(signal.SIGINT)
        assert 1 == service.process.wait(30)
    said = [line.split(" in ")[0] for line in service.said.splitlines()[-3:]]
    assert ["good #1 succeeded", "slow #2 cancelled", "2 pipelines run, 1 failed"] == said
    assert [("succeeded",), ("cancelled",)] == tools.query("SELECT state FROM runs ORDER BY id")


# --------------------------------------------------------------- bad input


@pytest.mark.parametrize("script", ["main.py", "main_scheduler.py"])
def test_a_bad_file_is_refused_whole(tools, script):
    """Every problem is told with file and line, without a traceback; exit code 2; nothing is stored."""
    tools.write(
        """
        pipelines:
          good: {chain: [tools.Numbers]}
          bad:
            schedule: "0 9 * *"
            chian: []
        """
    )
    tools.bare = True
    done = tools.run(script)
    assert 2 == done.returncode
    assert ["pipelines.yml:5:", "pipelines.yml:6:"] == sorted({line.split()[0] for line in done.stderr.splitlines()})[
        :2
    ]
    assert "Traceback" not in done.stderr
    assert not (tools.folder / "store.db").exists()


def test_a_missing_file_is_told(tools):
    """Without a pipelines file the program says which one it looked for."""
    done = tools.run("main.py")
    assert (2, True) == (done.returncode, "pipelines.yml" in done.stderr and "Traceback" not in done.stderr)


def test_a_wrong_setting_is_told(tools):
    """A wrong setting ends the program with exit code 2 and one clear line."""
    tools.write(TWO)
    tools.env["SCHEDULER_MAX_JOBS"] = "lots"
    done = tools.run("main_scheduler.py")
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines()))


# ------------------------------------------------------------ the service


def test_the_service_runs_what_has_no_schedule_and_stops_cleanly(tools):
    """The service prints its jobs, runs an unscheduled pipeline at once, and SIGTERM ends it with 0."""
    tools.write(TWO)
    with tools.service() as service:
        service.wait_for("good #1 succeeded")
        assert 0 == service.stop()
    assert "NEXT RUN" in service.said
    assert [("good", "startup", "succeeded")] == tools.query("SELECT pipeline, started_by, state FROM runs")


def test_running_pipelines_finish_on_sigterm(tools):
    """A run that ends within the drain time ends as it would have."""
    tools.write(one("[tools.brief]"))
    with tools.service() as service:
        until((tools.folder / "brief-started").exists, "the stage never began")
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("waiting up to 30 s for 1 running pipeline")
        (tools.folder / "go").touch()
        assert 0 == service.process.wait(30)
    assert [("succeeded",)] == tools.query("SELECT state FROM runs")


def test_a_second_signal_stops_at_once(tools):
    """The second signal does not wait for the drain time; the run is recorded as cancelled."""
    tools.write(one("[tools.slow]"))
    with tools.service() as service:
        until((tools.folder / "slow-started").exists, "the stage never began")
        service.process.send_signal(signal.SIGTERM)
        service.wait_for("SIGTERM: stopping")
        assert 0 == service.stop()
    assert [("cancelled", "the service was stopped at once")] == tools.query("SELECT state, reason FROM runs")


def test_a_second_service_is_refused(tools):
    """A second service on the same SQLite file is refused, naming the pid of the first."""
    tools.write(TWO)
    with tools.service() as service:
        service.wait_for("ready")
        second = tools.run("main_scheduler.py")
        assert (1, True) == (second.returncode, str(service.process.pid) in second.stderr)
        assert "Traceback" not in second.stderr


def test_a_worker_process_that_dies_costs_an_attempt(tools):
    """A stage that ends its process makes the attempt `crashed`; the next attempt succeeds."""
    tools.write(one("[tools.die_once]", retry={"attempts": 2, "delay": 0}))
    done = tools.run("main.py")
    assert (0, [("crashed",), ("succeeded",)]) == (
        done.returncode,
        tools.query("SELECT state FROM attempts ORDER BY number"),
    )


KILLED = """
pipelines:
  again: {retry: {attempts: 2, delay: 0}, chain: [tools.slow]}
  last: {retry: {attempts: 1}, chain: [tools.brief]}
  once: {chain: [tools.Numbers]}
  yearly: {schedule: "0 0 1 1 *", chain: [tools.Numbers]}
  leaves: {schedule: "0 0 1 1 *", chain: [tools.Numbers]}
"""
RESTARTED = "\n".join(line for line in KILLED.splitlines() if "leaves" not in line and "last" not in line)
YEARLY = "SELECT created_at, state FROM schedules WHERE id = 'yearly'"


def test_after_kill_9_the_run_is_tried_again(tools):
    """A service that is killed takes its worker processes along, and the next one goes on with what it left.

    What ran is tried again as the next attempt; what had its last attempt is over and leaves its report; a schedule
    that left the file is retired; history and other schedules are as they were.
    """
    tools.write(KILLED)
    tools.env["OUTPUT_DIR"] = "reports"
    begun, reports = tools.folder / "slow-started", tools.folder / "reports"
    with tools.service() as service:
        until(lambda: begun.exists() and begun.read_text() != "", "the stage never began")
        until((tools.folder / "brief-started").exists, "the other stage never began")
        until(lambda: len(list(reports.glob("*.json"))) == 1, "the run that ended left no report")
        service.process.kill()
        service.process.wait()
        until(lambda: not Path(f"/proc/{begun.read_text()}/status").exists(), "the worker process lives on")
    before = tools.query(YEARLY)
    begun.unlink()
    tools.write(RESTARTED)
    with tools.service() as again:
        again.wait_for("again #1 attempt 2/2")
        until(begun.exists, "the stage never began again")
        until(lambda: len(list(reports.glob("*.json"))) == 3, "there are not three reports")
        again.process.kill()
    attempts = "SELECT number, state FROM attempts WHERE run_id = 1 ORDER BY number"
    assert [(1, "crashed"), (2, "running")] == tools.query(attempts)
    told = [json.loads(path.read_text()) for path in reports.glob("*.json")]
    assert {(2, "crashed"), (3, "succeeded"), (5, "succeeded")} == {(each["id"], each["state"]) for each in told}
    assert [("yearly", "active"), ("leaves", "retired")] == tools.query(
        "SELECT id, state FROM schedules ORDER BY state"
    )
    assert before == tools.query(YEARLY)
    ended = "SELECT id, started_by, state, items_out FROM runs WHERE pipeline = 'once' ORDER BY id"
    assert [(3, "startup", "succeeded", 3), (5, "startup", "succeeded", 3)] == tools.query(ended)


def test_json_log_lines_and_a_report_for_each_run(tools):
    """With LOG_FORMAT=json each line is an object; lines of a run carry its id and pipeline.

    With OUTPUT_DIR set, each run that ended leaves a JSON report with attempts and counts.
    """
    tools.write(one("[tools.Numbers, tools.double]"))
    tools.env |= {"LOG_FORMAT": "json", "OUTPUT_DIR": "reports"}
    done = tools.run("main.py")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {("p", 1)} == {(line["pipeline"], line["run"]) for line in lines if "run" in line}
    (path,) = (tools.folder / "reports").iterdir()
    report = json.loads(path.read_text())
    assert path.name.startswith("job_report_p_")
    assert ("succeeded", 1, [("Numbers", 1, 3), ("double", 3, 3)]) == (
        report["state"],
        len(report["attempts"]),
        [(stage["name"], stage["items_in"], stage["items_out"]) for stage in report["stages"]],
    )
