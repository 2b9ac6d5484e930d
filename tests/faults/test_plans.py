"""Ten faults on the real service: kills, frozen processes, a full disk, power cuts, wrong clocks, Discord's."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.bot.whole import whole_of
from tests.fake_discord import FakeDiscord
from tests.faults import machine
from tests.faults.__main__ import main
from tests.faults.ledger import Figures, Ledger
from tests.faults.plan import READY
from tests.faults.shop import furnish

SEED, FAULTS = 17, 10


@pytest.fixture
async def fake():
    """A fake Discord that is stopped whatever happens."""
    discord = await FakeDiscord.start()
    yield discord
    await discord.stop()


def test_no_fault_breaks_a_promise(capsys):
    """After ten faults each instant has its one row, runs are whole, messages came once; the command tells so."""
    code = main(["--faults", str(FAULTS), "--seed", str(SEED)])
    told = capsys.readouterr().out
    assert 0 == code, told
    assert f"faults survived: {FAULTS} (" in told
    assert re.search(r"^occurrences due: \d+ \(0 doubled, 0 lost, .*\b[1-9]\d* run\b", told, re.MULTILINE), told
    assert re.search(r"^messages: [1-9]\d* \(0 doubled, 0 lost\b", told, re.MULTILINE), told


BREAKAGES = {
    "DELETE FROM occurrences WHERE due_at = (SELECT due_at FROM occurrences LIMIT 1 OFFSET 1)": "have no row",
    "UPDATE runs SET due_at = (SELECT max(due_at) FROM runs WHERE schedule_id = 'tick') WHERE schedule_id = 'tick'": (
        "ran twice"
    ),
    "UPDATE runs SET state = 'running' WHERE id = 1": "at work after the stop",
    "UPDATE attempts SET state = 'running' WHERE run_id = 1": "attempts at work",
    "UPDATE run_counts SET count = count + 1": "are not",
    "DELETE FROM collections": "successes without",
    "DELETE FROM outbox WHERE kind = 'message'": "out of order",
    "UPDATE outbox SET state = 'dead' WHERE kind = 'message'": "messages not sent",
    "UPDATE runs SET started_by = 'manual' WHERE id = 1": "without who asked",
}


async def test_the_ledger_sees_what_is_broken(project, fake):
    """Books that were falsified in any of nine ways do not pass."""
    whole = whole_of(project, fake)
    channels = furnish(whole)
    clock = machine.SteppedClock(project.folder)
    with whole.service():
        good = "SELECT count(*) FROM runs WHERE state = 'succeeded' AND pipeline = ?"
        await whole.said(READY)
        await whole.until(lambda: whole.rows(good, "tick") >= [(2,)], "two successes of one pipeline")
        await whole.until(lambda: whole.rows(good, "post-1") >= [(1,)], "a success of one that posts")
        at = clock.now()
        await whole.until(lambda: not whole.waiting(), "an empty outbox")
        await whole.stop()
    store = project.folder / "store.db"
    for statement, said in {"SELECT 1": "", **BREAKAGES}.items():
        kept = store.read_bytes()
        with closing(sqlite3.connect(store)) as connection, connection:
            connection.execute(statement)
        figures = Figures()
        Ledger(whole, channels, at, figures).check()
        assert said in "\n".join(figures.broken), f"{statement}: {figures.broken}"
        assert bool(said) == bool(figures.broken), figures.broken
        store.write_bytes(kept)


def test_a_power_cut_keeps_what_was_committed(tmp_path):
    """An image with a torn page behind the log opens with every row that was committed, and none that was not."""
    store, aside = tmp_path / "store.db", tmp_path / "aside.db"
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE t (n)")
        for number in range(50):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (-1)")
        machine.image(store, aside, random.Random(1))
        connection.execute("ROLLBACK")
    machine.boot_from(aside, store)
    with closing(sqlite3.connect(store)) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        assert [(number,) for number in range(50)] == connection.execute("SELECT n FROM t").fetchall()


def test_a_stepped_clock_moves_a_running_process(tmp_path):
    """A process sees the clock jump while it runs; its monotonic clock does not."""
    clock = machine.SteppedClock(tmp_path)
    if not clock.can_step:
        pytest.skip("needs a C compiler")
    code = """
import time
wall, monotonic = time.time(), time.monotonic()
input("\\n")
print(time.time() - wall, time.monotonic() - monotonic)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clock.environment,
        text=True,
    ) as process:
        process.stdout.readline()
        clock.step(3600)
        said, _ = process.communicate("\n")
    wall_s, monotonic_s = map(float, said.split())
    assert (3600, 0) == (round(wall_s, -2), round(monotonic_s, -2))
