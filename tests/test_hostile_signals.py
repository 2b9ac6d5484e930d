"""Signals at the worst moment, and stages that want out: the program as a real process."""

from __future__ import annotations

import io
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta

import pytest
from rich.console import Console

from pipelines.model import Run, RunState, ScheduleRow, StartedBy, utcnow
from pipelines.terminal import jobs_table, show, summary_line
from tests.project import DEADLINE_S, ROOT, until

QUICK = """
    async def one(item):
        return 1
    """


@pytest.mark.parametrize("script", ["main.py", "main_scheduler.py"])
def test_ctrl_c_while_the_program_loads_shows_no_traceback(project, script):
    """Ctrl-C before the program is ready, here in a plugin's slow import, ends it without a word about its insides."""
    marker = project.folder / "importing"
    project.plugin("slow", f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(60)")
    project.write("pipelines: {p: {chain: [slow.one]}}")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / script)],
        cwd=project.folder,
        env=project.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(marker.exists, "the plugin was never imported")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert (-signal.SIGINT, "") == (process.returncode, said)


def test_a_plugin_that_raises_keyboard_interrupt_shows_no_traceback(project):
    """KeyboardInterrupt out of a plugin's import ends the program as Ctrl-C does: one word, exit code 130."""
    project.plugin("rude", "raise KeyboardInterrupt")
    project.write("pipelines: {p: {chain: [rude.one]}}")
    ended = project.run("main.py")
    assert (130, "interrupted\n") == (ended.returncode, ended.stderr)


def test_a_stop_before_the_service_is_ready_starts_nothing(project):
    """SIGTERM while the store is still being opened ends the service with 0; no run is even queued."""
    project.plugin("quick", QUICK)
    project.write("pipelines: {p: {chain: [quick.one]}}")
    holder = project.folder / "store.db.holder"
    with closing(sqlite3.connect(project.folder / "store.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with project.service() as service:
            until(lambda: holder.exists() and holder.stat().st_size > 0, "the service never took the lock")
            service.process.send_signal(signal.SIGTERM)
            other.execute("ROLLBACK")
            assert service.process.wait(DEADLINE_S) == 0
    assert "SIGTERM: stopped before anything was started" in service.said
    assert [] == project.query("SELECT id FROM runs")


def test_stopping_main_tells_how_each_run_ended(project):
    """SIGTERM to `main.py` with runs still queued cancels all, and each has its line: exit 1 and no traceback."""
    project.env["SCHEDULER_DRAIN_S"] = "0"
    project.plugin("quick", "import asyncio\nasync def sleeps(item):\n    await asyncio.sleep(600)")
    chain = "{chain: [quick.sleeps]}"
    project.write(f"scheduler: {{max_parallel_jobs: 1}}\npipelines: {{a: {chain}, b: {chain}, c: {chain}}}")
    with project.started("main.py") as program:
        until(lambda: bool(project.query("SELECT 1 FROM runs WHERE state = 'running'")), "no run was started")
        code = program.stop()
    summary = program.said.splitlines()[-4:]
    assert ["a #1 cancelled", "b #2 cancelled", "c #3 cancelled"] == [line.split(" in ")[0] for line in summary[:3]]
    assert (1, "3 pipelines run, 3 failed", False) == (code, summary[3], "Traceback" in program.said)


def test_control_characters_of_an_error_do_not_reach_the_terminal():
    """What a stage puts into its error cannot steer the terminal of who reads the summary."""
    at = utcnow()
    run = Run(
        id=1, pipeline="p", state=RunState.SKIPPED, started_by=StartedBy.MANUAL, queued_at=at, reason="\x1b[31mred"
    )
    assert "\x1b" not in summary_line(run).plain


def test_the_jobs_table_keeps_all_its_columns_on_80(project):
    """On a terminal of 80 columns long names fold; the schedule in words does not vanish."""
    project.plugin("quick", QUICK)
    late = '{daily: "23:59", id: a-rather-long-name-of-a-job, timezone: America/New_York}'
    project.write(f"pipelines: {{p: {{schedule: {late}, chain: [quick.one]}}}}")
    entry = project.catalog().schedules()[0]
    now = utcnow()
    row = ScheduleRow(
        id=entry.id,
        pipeline="p",
        spec={},
        timezone=entry.zone,
        words=entry.trigger.words,
        params={},
        next_due_at=now + timedelta(days=2, hours=20, minutes=5),
    )
    console = Console(width=80, record=True, file=io.StringIO())
    show(jobs_table(project.catalog(), [row], now), console=console)
    said = console.export_text()
    assert all(word in said for word in ("SCHEDULE", "23:59", "every", "America/New_York")), said
