"""The program as a user starts it: `main.py` and `main_scheduler.py` as real processes."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.project import ROOT, Project, until

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
    open("slow-started", "w").close()
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
    """Names on the command line are run, enabled or not, and nothing else."""
    tools.write(TWO)
    done = tools.run("main.py", "off")
    assert (0, ["off", "1"]) == (done.returncode, [line.split()[0] for line in done.stdout.splitlines()])


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
    """One failing pipeline makes the exit code 1, and the other is run all the same."""
    tools.write(
        """
        pipelines:
          bad: {retry: {attempts: 1}, chain: [tools.fail]}
          good: {chain: [tools.Numbers]}
        """
    )
    done = tools.run("main.py")
    assert 1 == done.returncode
    assert "bad #1 failed" in done.stdout
    assert "fail: ValueError: no good" in done.stdout
    assert "good #2 succeeded" in done.stdout


def test_main_counts_skipped_as_good(tools):
    """A stage that ends its run as skipped has not failed."""
    tools.write(one("[tools.skip]"))
    done = tools.run("main.py")
    assert (0, True) == (done.returncode, "p #1 skipped" in done.stdout and "nothing new" in done.stdout)


def test_legacy_mode_is_run_once(tools):
    """`SCHEDULER_MODE=legacy main_scheduler.py` does what `main.py` does."""
    tools.write(TWO)
    tools.env["SCHEDULER_MODE"] = "legacy"
    done = tools.run("main_scheduler.py")
    assert (0, "2 pipelines run, 0 failed") == (done.returncode, done.stdout.splitlines()[-1])


def test_main_stops_on_a_signal(tools):
    """Ctrl-C while a pipeline runs cancels it after the drain time, records it, and exits 1."""
    tools.write(one("[tools.slow]"))
    tools.env |= {"SCHEDULER_DRAIN_S": "0", "SCHEDULER_MODE": "legacy"}
    with tools.service() as service:
        until((tools.folder / "slow-started").exists, "the stage never began")
        service.process.send_signal(signal.SIGINT)
        service.wait_for("a second signal stops at once")
        service.process.send_signal(signal.SIGINT)
        assert 1 == service.process.wait(30)
    assert [("cancelled",)] == tools.query("SELECT state FROM runs")


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


def test_a_scheduled_pipeline_runs_again_and_again(tools):
    """An interval of one second becomes a run every second, each instant once."""
    tools.write(one("[tools.Numbers]", schedule={"interval": {"seconds": 1}}, executor="inline"))
    with tools.service() as service:
        service.wait_for("succeeded", count=3)
        service.stop(signal.SIGINT)
    due = [row[0] for row in tools.query("SELECT due_at FROM occurrences ORDER BY due_at")]
    assert len(due) >= 3
    assert len(due) == len(set(due))


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


def test_after_kill_9_the_run_is_tried_again(tools):
    """Killed while a run goes on, the service takes it up again at the next start, as the next attempt."""
    tools.write(one("[tools.slow]", retry={"attempts": 2, "delay": 0}))
    with tools.service() as service:
        until((tools.folder / "slow-started").exists, "the stage never began")
        service.process.kill()
        service.process.wait()
    (tools.folder / "slow-started").unlink()
    with tools.service() as again:
        again.wait_for("p #1 attempt 2/2")
        until((tools.folder / "slow-started").exists, "the stage never began again")
        again.process.kill()
    assert [(1, "crashed"), (2, "running")] == tools.query(
        "SELECT number, state FROM attempts WHERE run_id = 1 ORDER BY number"
    )


def test_a_run_that_died_with_the_service_leaves_a_report(tools):
    """A run whose last attempt was going on at kill -9 is over at the next start, and leaves its report then."""
    tools.write(one("[tools.slow]", retry={"attempts": 1}))
    tools.env["OUTPUT_DIR"] = "reports"
    with tools.service() as service:
        until((tools.folder / "slow-started").exists, "the stage never began")
        service.process.kill()
        service.process.wait()
    tools.write(TWO)
    with tools.service() as again:
        again.wait_for("good #2 succeeded")
        again.stop()
    reports = [json.loads(path.read_text()) for path in (tools.folder / "reports").iterdir()]
    assert {(1, "crashed"), (2, "succeeded")} == {(report["id"], report["state"]) for report in reports}


def test_schedules_that_vanish_are_retired(tools):
    """A schedule whose pipeline left the file is kept as retired, with its history."""
    tools.write(TWO)
    with tools.service() as service:
        service.wait_for("ready")
        service.stop()
    tools.write(one("[tools.Numbers]"))
    with tools.service() as service:
        service.wait_for("ready")
        service.stop()
    assert [("other", "retired")] == tools.query("SELECT id, state FROM schedules")


def test_json_log_lines(tools):
    """With LOG_FORMAT=json each line is an object; lines of a run carry its id and pipeline."""
    tools.write(one("[tools.Numbers]"))
    tools.env["LOG_FORMAT"] = "json"
    done = tools.run("main.py")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {("p", 1)} == {(line["pipeline"], line["run"]) for line in lines if "run" in line}


def test_a_report_for_each_run(tools):
    """With OUTPUT_DIR set, each run that ended leaves a JSON report with attempts and counts."""
    tools.write(one("[tools.Numbers, tools.double]"))
    tools.env["OUTPUT_DIR"] = "reports"
    tools.run("main.py")
    (path,) = (tools.folder / "reports").iterdir()
    report = json.loads(path.read_text())
    assert path.name.startswith("job_report_p_")
    assert ("succeeded", 1, [("Numbers", 1, 3), ("double", 3, 3)]) == (
        report["state"],
        len(report["attempts"]),
        [(stage["name"], stage["items_in"], stage["items_out"]) for stage in report["stages"]],
    )


def test_the_shipped_pipelines_run(project):
    """The pipelines file that is shipped runs through offline, in a fresh folder, and leaves its results."""
    shutil.copy(ROOT / "pipelines.yml", project.folder)
    shutil.copytree(ROOT / "plugins", project.folder / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    done = project.run("main.py", timeout=60)
    assert (0, "3 pipelines run, 0 failed") == (done.returncode, done.stdout.splitlines()[-1]), done.stderr
    assert (project.folder / "output" / "packages.csv").read_text().startswith("name,version,files")


def test_workers_die_with_the_service(tools):
    """No worker process outlives a service that was killed."""
    tools.plugin(
        "where", "import os, time\ndef pid(item):\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(60)\n"
    )
    tools.write(one("[where.pid]"))
    pid = tools.folder / "pid"
    with tools.service() as service:
        until(lambda: pid.exists() and pid.read_text() != "", "the stage never began")
        service.process.kill()
        service.process.wait()
        until(lambda: not Path(f"/proc/{pid.read_text()}/status").exists(), "the worker process lives on")
