"""Hot reload: what changes in the pipelines file and the plugins is put in force while runs go on, or refused whole."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from pipelines.changes import Change, Difference
from pipelines.errors import ConfigError, PipecallError, StoreError
from pipelines.model import RunState, ScheduleState
from pipelines.store import schedules
from tests.project import Project

FIRST = """
    pipelines:
      prices: {schedule: {daily: "03:00"}, executor: EXECUTOR, chain: [stages.one]}
      slow: {schedule: {daily: "04:00"}, executor: inline, chain: [stages.wait]}
"""
STAGES = """
import asyncio
import threading

def one(item):
    return "first"

async def wait(item):
    await asyncio.sleep(600)
"""
CHAT = {"source": "chat", "timezone": "UTC", "words": "every hour"}


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with two pipelines."""
    project.plugin("stages", STAGES)
    project.write(FIRST.replace("EXECUTOR", "inline"))
    return project


@asynccontextmanager
async def serving(shop: Project, *, watch: bool = False, **given):
    """A service in this process; its files are looked at when asked, or watched."""
    async with shop.scheduler(**{"scheduler_reload": "on" if watch else "off"} | given) as engine:
        await engine.start()
        await engine.start_timetable()
        engine.start_monitoring()
        async with asyncio.timeout(10):
            while not engine.reload._seen:
                await asyncio.sleep(0.01)
        yield engine


async def soon(condition):
    """Wait until a condition holds, or fail."""
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.01)


def edit(shop: Project, old: str, new: str) -> None:
    """Change the pipelines file as an editor does."""
    path = shop.folder / "pipelines.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def test_a_change_is_put_in_force_and_told(shop: Project):
    """A new pipeline, another time and one that is gone: the timetable follows, and the words say what changed."""
    async with serving(shop) as engine:
        told: list[object] = []
        engine.reload.watch(told.append)
        edit(shop, '{daily: "03:00"}', '{daily: "05:30"}')
        edit(shop, "slow: {schedule:", "other: {schedule:")
        change = await engine.reload.now()
        assert "+1 pipeline, −1 pipeline, ~1 pipeline, +1 schedule, −1 schedule, ~1 schedule" == str(change)
        assert [change] == told
        assert ["other", "prices"] == sorted(engine.timetable._keys)
        assert {"prices": "every day at 05:30", "other": "every day at 04:00"} == {
            job.row.id: job.row.words for job in engine.overview.jobs()
        }
        assert [("slow", "retired")] == shop.query("SELECT id, state FROM schedules WHERE state <> 'active'")


async def test_nothing_new_changes_nothing(shop: Project):
    """Looking again, and a file that was only written anew, are no change."""
    async with serving(shop) as engine:
        before = engine.catalog.loaded
        path = shop.folder / "pipelines.yml"
        path.write_text(path.read_text())
        assert await engine.reload.now() is None
        assert before is engine.catalog.loaded


async def test_what_did_not_change_is_left_alone(shop: Project):
    """The schedule of another pipeline keeps its very entry, its last instant and its pause."""
    async with serving(shop) as engine:
        await engine.jobs.pause("slow", engine.writer.call, until=None, reason="holidays")
        entry, row = engine.jobs.entries["slow"], engine.jobs.rows["slow"]
        edit(shop, "03:00", "05:30")
        await engine.reload.now()
        assert (entry, row) == (engine.jobs.entries["slow"], engine.jobs.rows["slow"])
        assert entry is engine.jobs.entries["slow"]


async def test_a_wrong_file_changes_nothing_and_says_why(shop: Project):
    """The last good set stays in force, the health tells it, and the next good file ends that."""
    async with serving(shop) as engine:
        before = engine.catalog.loaded
        edit(shop, "stages.one", "stages.won")
        with pytest.raises(ConfigError, match=r"pipelines.yml:3: pipelines.prices.chain\[0\]"):
            await engine.reload.now()
        assert before is engine.catalog.loaded
        assert "did you mean 'one'" in str(engine.reload.problem)
        health = await engine.health()
        assert ("degraded", True) == (health.status, any("is refused" in each for each in health.complaints))
        [run] = await engine.run_now(["prices"])
        assert RunState.SUCCEEDED is (await engine.wait(run.id)).state
        edit(shop, "stages.won", "stages.one")
        await engine.reload.now()
        assert "ok" == (await engine.health()).status


async def test_a_run_goes_on_through_a_reload(shop: Project):
    """Its pipeline changes, then vanishes: the run is live until somebody cancels it."""
    async with serving(shop) as engine:
        [run] = await engine.run_now(["slow"])
        await soon(lambda: run.id in engine.live)
        edit(shop, "04:00", "04:30")
        await engine.reload.now()
        edit(shop, "slow: {schedule:", "other: {schedule:")
        await engine.reload.now()
        assert run.id in engine.live
        await engine.cancel(run.id)
        assert RunState.CANCELLED is (await engine.wait(run.id)).state


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
async def test_a_changed_plugin_is_read_anew(shop: Project, executor: str):
    """A run that begins after the change runs the new code, wherever runs are executed."""
    shop.write(FIRST.replace("EXECUTOR", executor))
    shop.plugin("stages", STAGES.replace('return "first"', "raise ValueError('the first')"))
    edit(shop, "chain: [stages.one]", "retry: {attempts: 1}, chain: [stages.one]")
    async with serving(shop) as engine:
        [run] = await engine.run_now(["prices"])
        assert "the first" == (await engine.wait(run.id)).error.message
        shop.plugin("stages", STAGES.replace('return "first"', "raise ValueError('the second of them')"))
        assert "plugins read anew" == str(await engine.reload.now())
        [run] = await engine.run_now(["prices"])
        assert "the second of them" == (await engine.wait(run.id)).error.message


async def test_a_broken_plugin_is_refused_and_the_old_one_still_runs(shop: Project):
    """What was loaded before is used on, also by the next run."""
    async with serving(shop) as engine:
        shop.plugin("stages", "def one(item):\n    return (")
        with pytest.raises(ConfigError, match=r"stages.py, line 2"):
            await engine.reload.now()
        [run] = await engine.run_now(["prices"])
        assert RunState.SUCCEEDED is (await engine.wait(run.id)).state


async def test_a_plugin_and_the_file_may_be_saved_one_after_the_other(shop: Project):
    """A stage gets another name: the plugin alone is refused, and the file that follows puts both in force."""
    async with serving(shop) as engine:
        shop.plugin("stages", STAGES.replace("def one", "def renamed"))
        with pytest.raises(ConfigError, match=r"did you mean|known are"):
            await engine.reload.now()
        edit(shop, "stages.one", "stages.renamed")
        assert "~1 pipeline, plugins read anew" == str(await engine.reload.now())
        [run] = await engine.run_now(["prices"])
        assert RunState.SUCCEEDED is (await engine.wait(run.id)).state


async def test_whatever_a_plugin_raises_is_refused(shop: Project):
    """Also what would end the whole process is told, and what was in force stays so."""
    async with serving(shop) as engine:
        for raised in ("SystemExit(3)", "KeyboardInterrupt", "BaseException('no')"):
            shop.plugin("stages", f"raise {raised}")
            with pytest.raises(PipecallError, match=raised.split("(")[0]):
                await engine.reload.now()
        [run] = await engine.run_now(["prices"])
        assert RunState.SUCCEEDED is (await engine.wait(run.id)).state


async def test_jobs_from_chat_follow_their_pipeline(shop: Project):
    """A job whose pipeline leaves the file stays, untimed; it is timed again when the pipeline comes back."""
    async with serving(shop) as engine:
        entry = engine.jobs.entry("prices", {"interval": {"hours": 1}}, zone="UTC", job_id="often")
        await engine.jobs.add(replace(entry.row(), **CHAT), entry, engine.writer.call)
        edit(shop, "prices: {schedule:", "renamed: {schedule:")
        await engine.reload.now()
        view = engine.overview.job("often")
        assert (ScheduleState.ACTIVE, None, False) == (view.row.state, view.row.next_due_at, view.pipeline_known)
        assert "often" not in engine.timetable._keys
        edit(shop, "renamed: {schedule:", "prices: {schedule:")
        await engine.reload.now()
        assert "often" in engine.timetable._keys


async def test_limits_and_secrets_follow_the_file(shop: Project):
    """More runs go on at once, and the value of a new variable is hidden from then on."""
    shop.env["SHOP_KEY"] = "hush-hush-hush"
    path = shop.folder / "pipelines.yml"
    path.write_text("scheduler: {max_parallel_jobs: 1}\n" + path.read_text().lstrip("\n"))
    edit(shop, "executor: inline, chain: [stages.wait]", "executor: inline, max_instances: 5, chain: [stages.wait]")
    async with serving(shop) as engine:
        runs = await engine.run_now(["slow", "slow"])
        await soon(lambda: 1 == len(engine.live))
        edit(shop, "max_parallel_jobs: 1", "max_parallel_jobs: 2")
        edit(shop, "chain: [stages.one]", 'params: {key: "${SHOP_KEY}"}, chain: [stages.one]')
        change = await engine.reload.now()
        assert ("scheduler",) == change.sections
        await soon(lambda: 2 == len(engine.live))
        assert "•••" == engine.redactor.text("hush-hush-hush")
        for run in runs:
            await engine.cancel(run.id)


async def test_a_store_that_refuses_keeps_the_last_good_set(shop: Project, monkeypatch):
    """Catalog and timetable are as before; the next look puts the change in force."""
    async with serving(shop) as engine:
        edit(shop, "03:00", "05:30")

        def refuse(*_):
            raise StoreError("the database refused: database is locked")

        with monkeypatch.context() as patch:
            patch.setattr(schedules, "sync", refuse)
            with pytest.raises(StoreError):
                await engine.reload.now()
        assert "every day at 03:00" == engine.overview.job("prices").row.words
        assert "~1 pipeline, ~1 schedule" == str(await engine.reload.now())
        assert "every day at 05:30" == engine.overview.job("prices").row.words


async def test_the_files_are_watched(shop: Project):
    """Saving the file is enough; a wrong one is told, and the mended one is in force at once."""
    async with serving(shop, watch=True) as engine:
        edit(shop, "03:00", "05:30")
        await soon(lambda: engine.reload.last is not None)
        assert "every day at 05:30" == engine.overview.job("prices").row.words
        edit(shop, "05:30", "25:30")
        await soon(lambda: engine.reload.problem is not None)
        edit(shop, "25:30", "06:30")
        await soon(lambda: engine.reload.problem is None)
        assert "every day at 06:30" == engine.overview.job("prices").row.words


def test_a_change_is_told_in_words():
    """Counts with a sign for each kind; nothing at all is told as that."""
    none = Difference()
    two = Difference(added=("a",), changed=("b", "c"))
    assert "+1 pipeline, ~2 pipelines, ~policy, plugins read anew" == str(
        Change(None, two, none, sections=("policy",), plugins=True)
    )
    assert ("nothing that runs has changed", False) == (str(Change(None, none, none)), bool(Change(None, none, none)))


async def test_a_plugin_that_hangs_as_it_is_imported_is_told_and_holds_nothing_up(shop: Project, monkeypatch):
    """Runs go on, also of a stage that none has used so far; health says what hangs; once it goes on it is in force.

    The process need not wait for it to end: the thread is a daemon; Python waits for any other.
    """
    monkeypatch.setattr("pipelines.reload.LONG_S", 0.1)
    gate = shop.folder / "open"
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.01)\n"
    async with serving(shop) as engine:
        shop.plugin("stages", wait + STAGES)
        reading = asyncio.create_task(engine.reload.now())
        await soon(lambda: engine.reload.problem is not None)
        assert "as it is imported" in str(engine.reload.problem)
        assert "degraded" == (await engine.health()).status
        [run] = await engine.run_now(["prices"])
        assert RunState.SUCCEEDED is (await engine.wait(run.id)).state
        assert [True] == [thread.daemon for thread in threading.enumerate() if thread.name == "reload"]
        gate.touch()
        assert "plugins read anew" == str(await reading)
        assert "ok" == (await engine.health()).status
