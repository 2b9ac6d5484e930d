"""What the pipelines file says of keeping is done by the service: rows and reports go, the rest of the work goes on."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from sqlalchemy import insert

from pipelines import retention
from pipelines.definition import Keep
from pipelines.retention import Retention
from pipelines.store import database
from pipelines.store.schema import logs, runs
from tests.project import ROOT, Project

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILE = "scheduler: {keep: {%s}}\npipelines: {p: {executor: inline, chain: [things.nothing]}}"


@pytest.fixture
def kept(project: Project):
    """A project with one pipeline."""
    project.plugin("things", "def nothing(item): return item")
    return project


def old_runs(project: Project, count: int, *, days: int = 91, lines: int = 0) -> None:
    """Runs of so many days before noon, each with some lines."""
    engine = database.connect(f"sqlite:///{project.folder / 'store.db'}")
    database.migrate(engine)
    at = NOON - timedelta(days=days)
    row = {"pipeline": "p", "started_by": "manual", "params": {}, "state": "succeeded", "queued_at": at, "ended_at": at}
    line = {"at": at, "level": 20, "source": "s", "text": "t"}
    with engine.begin() as conn:
        conn.execute(insert(runs), [row | {"id": number} for number in range(1, count + 1)])
        for number in range(1, count + 1) if lines else ():
            conn.execute(insert(logs), [line | {"run_id": number, "seq": seq} for seq in range(1, lines + 1)])
    engine.dispose()


def of(scheduler, project: Project, rest=asyncio.sleep) -> Retention:
    folder = project.folder / "reports"
    return Retention(
        scheduler.writer, scheduler.reader, scheduler.catalog, reports=folder, clock=lambda: NOON, rest=rest
    )


async def at_once(_seconds: float) -> None:
    await asyncio.sleep(0)


async def test_a_sweep_removes_and_says_so(kept, caplog):
    """Old runs, their lines and old reports go; one line of the log says how many; a second sweep finds nothing."""
    kept.write(FILE % "logs: 10d")
    old_runs(kept, 600, lines=3)
    (kept.folder / "reports").mkdir()
    for name, days in (("job_report_p_1.json", 91), ("job_report_p_2.json", 80), ("mine.json", 91)):
        path = kept.folder / "reports" / name
        path.touch()
        os.utime(path, (NOON.timestamp(), (NOON - timedelta(days=days)).timestamp()))
    async with kept.scheduler() as scheduler:
        caplog.set_level(logging.INFO, "pipelines.retention")
        gone = await of(scheduler, kept, at_once).sweep()
        again = await of(scheduler, kept, at_once).sweep()
    assert {"runs": 599, "log lines": 1800, "reports": 1} == {name: number for name, number in gone.items() if number}
    assert not any(again.values())
    assert {"mine.json", "job_report_p_2.json"} == {path.name for path in (kept.folder / "reports").iterdir()}
    (said,) = [record.message for record in caplog.records if record.name == "pipelines.retention"]
    assert said.startswith("removed what was kept long enough: 1,800 log lines, 599 runs, 1 report (")


async def test_null_keeps_for_ever(kept):
    """With null nothing goes for its age, nor for its number."""
    kept.write(FILE % "runs: null, runs_per_pipeline: null, logs: null, reports: null, audit: null, messages: null")
    old_runs(kept, 20, lines=1)
    async with kept.scheduler() as scheduler:
        assert not any((await of(scheduler, kept, at_once).sweep()).values())


async def test_the_number_of_runs_is_bounded(kept):
    """Beyond the newest so many of a pipeline, runs go, however young."""
    kept.write(FILE % "runs_per_pipeline: 7")
    old_runs(kept, 1_200, days=1)
    async with kept.scheduler() as scheduler:
        assert 1_193 == (await of(scheduler, kept, at_once).sweep())["runs"]
    assert [(7, 1_194)] == kept.query("SELECT count(*), min(id) FROM runs")


async def test_it_looks_after_five_minutes_and_every_hour(kept):
    """The task rests first, sweeps, and rests an hour; a sweep that fails is told, and the next one is made."""
    kept.write(FILE % "")
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if rests.count(retention.EVERY_S) == 2:
            raise asyncio.CancelledError

    async with kept.scheduler() as scheduler:
        with pytest.raises(asyncio.CancelledError):
            await of(scheduler, kept, rest).run()
    assert [retention.FIRST_S, retention.EVERY_S, retention.EVERY_S] == [rest for rest in rests if rest > 1]


async def test_the_service_has_the_task(kept):
    """A service that is monitored has a task that removes what is old."""
    kept.write(FILE % "")
    async with kept.scheduler() as scheduler:
        await scheduler.start()
        scheduler.start_monitoring()
        assert "retention" in {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("runs: 1h", r"pipelines.yml:1: scheduler.keep.runs: found '1h' \(text\); expected at least 2d, or null"),
        ("logs: soon", r"pipelines.yml:1: scheduler.keep.logs: found 'soon' .*expected a duration"),
        ("runs_per_pipeline: 0", r"scheduler.keep.runs_per_pipeline: found 0.*from 1 to 10,000,000"),
        ("message: 30d", r"scheduler.keep.*message.*messages"),
    ],
)
def test_mistakes_are_told(kept, said, told):
    """A wrong age, number or key is told with its line and what was expected."""
    kept.write(FILE % said)
    with pytest.raises(Exception, match=told):
        kept.catalog()


def test_the_page_says_what_holds():
    """The page about keeping has each key in its table, and its example spells out the defaults."""
    page = (ROOT / "docs" / "keeping.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert Keep() == Keep.model_validate(yaml.safe_load(example)["scheduler"]["keep"])
    assert list(Keep.model_fields) == re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)


SWEEP = """
import asyncio, os
from datetime import UTC, datetime
from pipelines.engine import Engine
from pipelines.loading import load_catalog
from pipelines.retention import Retention
from pipelines.settings import read_settings

async def main():
    settings = read_settings()
    async with Engine(settings, load_catalog(settings, os.environ), env=os.environ) as scheduler:
        print("ready", flush=True)
        now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        await Retention(scheduler.writer, scheduler.reader, scheduler.catalog, clock=lambda: now).sweep()
        print("done", flush=True)

asyncio.run(main())
"""


def test_kill_9_amid_a_sweep_does_no_harm(kept):
    """Killed at any moment of it, the store is sound, no line is left without its run, and the next sweep goes on."""
    kept.write(FILE % "logs: 95d")
    old_runs(kept, 3_000, lines=2)
    sweep = kept.folder / "sweep.py"
    sweep.write_text(SWEEP, encoding="utf-8")
    left = [3_000]
    for slices in (1, 3, 6):
        with kept.started(str(sweep)) as sweeping:
            sweeping.wait_for("ready")
            goal = left[-1] - slices * 20
            while kept.query("SELECT count(*) FROM runs")[0][0] > goal:
                time.sleep(0.002)
        left.append(kept.query("SELECT count(*) FROM runs")[0][0])
        assert [("ok",)] == kept.query("PRAGMA integrity_check")
        assert [(0,)] == kept.query("SELECT count(*) FROM logs WHERE run_id NOT IN (SELECT id FROM runs)")
    assert left == sorted(set(left), reverse=True)
    assert 0 == kept.run(str(sweep)).returncode
    assert [(1,)] == kept.query("SELECT count(*) FROM runs")
