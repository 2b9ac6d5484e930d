"""What people see of a run is the same wherever it is executed: schedulers follow what a worker on the store does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.card_facts import CardFacts
from pipelines import elapsed
from pipelines.engine import Engine
from pipelines.leases import Leases
from pipelines.model import Actor, Asked, Outcome, Role, Run, RunState, StageCount, utcnow
from pipelines.runner import CLAIMED_LONG_AGO
from pipelines.store import claims, database, ends, leases, progress, runs, sharing, signals
from pipelines.store.progress import Progress
from pipelines.store.sharing import Sharing
from pipelines.store.signals import SignalKind
from pipelines.verbs import Verbs
from tests.project import Project
from tests.store.conftest import engine, module_engine, module_url, on_postgresql  # noqa: F401 - fixtures
from web.changes import Changes
from web.events import Events
from web.pages.overview import going

pytestmark = on_postgresql

YAML = """
    pipelines:
      prices: {schedule: {daily: "03:00"}, executor: inline, chain: [steps.one]}
"""
ASKED = Asked(Actor("terminal:me", "me", level=Role.ADMIN), "terminal")
STAGES = (StageCount(0, "one", 8, 2, 0.5),)


@dataclass
class Fleet:
    """A store, schedulers that execute nothing, and a worker whose every step a test takes."""

    project: Project
    url: str
    settings: dict[str, Any] = field(default_factory=dict)
    silent: bool = False

    @asynccontextmanager
    async def scheduler(self) -> AsyncIterator[Engine]:
        """A scheduler that serves."""
        given = {"scheduler_db_url": self.url, "executor": "procrastinate"} | self.settings
        settings = self.project.settings(**given)
        async with Engine(settings, self.project.catalog(settings)) as scheduler:
            await scheduler.start()
            await scheduler.start_timetable()
            yield scheduler

    async def work(self, deed: Callable[[Connection], Any]) -> Any:
        """Do something in one transaction of the worker's."""
        return await asyncio.to_thread(self._work, deed)

    def _work(self, deed: Callable[[Connection], Any]) -> Any:
        store = database.connect(self.url)
        try:
            told = {} if self.silent else {sharing.OPTION: Sharing("worker", lambda _: None)}
            with database.writing(store).execution_options(**told).begin() as conn:
                return deed(conn)
        finally:
            store.dispose()

    async def claim(self, run: Run) -> None:
        """Begin a run."""
        claim = runs.Claim(1, "worker", utcnow(), frozenset({run.id}))
        assert [run.id] == [each.id for [(each, _)] in await self.work(lambda conn: claims.take(conn, [claim]))]

    async def says(self, run: Run, done: float, note: str) -> None:
        """Say how far a run is."""
        said = Progress(run.id, 1, utcnow(), done, note, STAGES)
        await self.work(lambda conn: progress.put(conn, [said]))

    async def end(self, run: Run, state: RunState = RunState.SUCCEEDED) -> None:
        """End a run."""
        outcome = Outcome(state=state, stages=STAGES)
        finish = ends.Finish(run.id, 1, outcome, utcnow(), state)
        assert [True] == await self.work(lambda conn: ends.finish(conn, [finish]))


@pytest.fixture
def fleet(project: Project, engine) -> Fleet:  # noqa: F811 - the fixture
    """A project with one pipeline, on PostgreSQL."""
    project.plugin("steps", "def one(item):\n    return item\n")
    project.write(YAML)
    return Fleet(project, engine.url.render_as_string(hide_password=False))


async def soon(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds, or fail."""
    async with asyncio.timeout(10):
        while not (found := condition()):
            await asyncio.sleep(0.005)
    return found


async def test_a_run_is_followed_from_its_start_to_its_end(fleet: Fleet):
    """Cards, pages, counts and those who wait see a run in a worker as they see one in the service."""
    async with fleet.scheduler() as scheduler:
        run = await Verbs(scheduler).run(ASKED, "prices")
        waits = asyncio.create_task(scheduler.wait(run.id))
        await fleet.claim(run)
        await soon(lambda: 1 == scheduler.overview.counts()[RunState.RUNNING])
        [live] = scheduler.overview.live_runs()
        assert (1, "worker") == ((await scheduler.health()).running, live.owner)
        await fleet.says(run, 0.25, "a quarter")
        facts = await CardFacts(scheduler).of(live)
        assert (0.25, "a quarter", STAGES) == (facts.done, facts.note, facts.stages)
        shown = going(scheduler, live, await scheduler.following.one(run.id), may_cancel=True)
        assert (25, "a quarter", STAGES) == (shown.done, shown.note, tuple(shown.stages))
        await fleet.end(run)
        ended = await asyncio.wait_for(waits, 10)
        assert (RunState.SUCCEEDED, 2) == (ended.state, ended.items_out)
        assert ([], [ended]) == (scheduler.overview.live_runs(), scheduler.overview.recent_runs())


async def test_events_tell_of_runs_elsewhere(fleet: Fleet):
    """Who listens to a scheduler hears of each state of a run in a worker once, and of its end in any case."""
    async with fleet.scheduler() as scheduler:
        events = Events()
        Changes(scheduler, events).watch()
        stream = events.listen(lambda _: True, lambda: asyncio.sleep(0, True))
        await anext(stream)
        run = await Verbs(scheduler).run(ASKED, "prices")
        await fleet.claim(run)
        await soon(lambda: scheduler.overview.counts()[RunState.RUNNING])
        await fleet.end(run)
        async with asyncio.timeout(10):
            told = [await anext(stream) for _ in range(3)]
        states = [state for each in told for state in RunState if f'"state": "{state}"'.encode() in each]
        assert [RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED] == states
        await stream.aclose()


async def test_a_report_is_written_only_by_who_recorded_the_end(fleet: Fleet, tmp_path):
    """A scheduler that hears of an end writes none: the worker has written it."""
    fleet.settings["output_dir"] = tmp_path / "reports"
    async with fleet.scheduler() as scheduler:
        elsewhere, here = [await Verbs(scheduler).run(ASKED, "prices") for _ in range(2)]
        await fleet.claim(elsewhere)
        await fleet.end(elsewhere)
        assert RunState.SUCCEEDED is (await asyncio.wait_for(scheduler.wait(elsewhere.id), 10)).state
        await scheduler.cancel(here.id)
    reports = (tmp_path / "reports").iterdir()
    assert [here.id] == [json.loads(each.read_text(encoding="utf-8"))["id"] for each in reports]


async def test_a_scheduler_that_starts_knows_what_runs_elsewhere(fleet: Fleet):
    """It was told of no start; it shows the run, and its end."""
    async with fleet.scheduler() as first:
        run = await Verbs(first).run(ASKED, "prices")
        await fleet.claim(run)
        async with fleet.scheduler() as second:
            [live] = await soon(second.overview.live_runs)
            assert (run.id, RunState.RUNNING) == (live.id, live.state)
            await fleet.end(run)
            await soon(lambda: [] == second.overview.live_runs() == first.overview.live_runs())


async def test_what_no_signal_told_is_found_by_comparing(fleet: Fleet, monkeypatch):
    """Signals may be lost while the database is away for long: starts and ends are found all the same."""
    monkeypatch.setattr("pipelines.elsewhere.EVERY_S", 0.1)
    fleet.silent = True
    async with fleet.scheduler() as scheduler:
        run = await Verbs(scheduler).run(ASKED, "prices")
        await fleet.claim(run)
        await soon(lambda: scheduler.overview.counts()[RunState.RUNNING])
        await fleet.end(run)
        await soon(lambda: [run.id] == [each.id for each in scheduler.overview.recent_runs()])


async def test_a_run_that_was_claimed_too_long_ago_is_given_back_at_once(fleet: Fleet, monkeypatch):
    """Nothing of it began: it is tried again long before its lease is over, even where it may run once only."""
    fleet.settings = {"executor": "local", "run_lease_seconds": 60}
    fleet.project.write(YAML.replace("executor: inline", "executor: inline, on_crash: fail"))
    untils, until_s = iter([elapsed.now_s()]), Leases.until_s
    monkeypatch.setattr(Leases, "until_s", lambda self, asked_s: next(untils, None) or until_s(self, asked_s))
    async with fleet.scheduler() as scheduler:
        run = await Verbs(scheduler).run(ASKED, "prices")
        async with asyncio.timeout(10):
            ended = await scheduler.wait(run.id)
        tries = [(each.state, each.reason) for each in await scheduler.reads.attempts(run.id)]
    assert (RunState.SUCCEEDED, 2) == (ended.state, ended.attempt)
    assert [(RunState.CANCELLED, CLAIMED_LONG_AGO), (RunState.SUCCEEDED, None)] == tries


async def test_a_change_of_a_job_is_in_force_everywhere_at_once(fleet: Fleet):
    """A pause through one scheduler holds in another within a second, and mostly much sooner."""
    async with fleet.scheduler() as one, fleet.scheduler() as other:
        [job] = one.jobs.rows
        took = []
        for verb in ("pause", "resume", "pause"):
            await getattr(Verbs(one), verb)(ASKED, job)
            at = monotonic()
            await soon(lambda: one.jobs.rows[job].state is other.jobs.rows[job].state)
            took.append(monotonic() - at)
        assert min(took) < timedelta(seconds=1).total_seconds()


async def test_a_wish_to_cancel_reaches_the_worker_with_a_signal_and_without(fleet: Fleet):
    """It is signalled at once, and whoever renews the run's lease learns of it should that be lost."""
    async with fleet.scheduler() as scheduler:
        run = await Verbs(scheduler).run(ASKED, "prices")
        await fleet.claim(run)
        seen = await fleet.work(signals.seen_now)
        await Verbs(scheduler).cancel(ASKED, run.id, "enough")
        told, _ = await fleet.work(lambda conn: signals.after(conn, seen))
        reason = "cancelled by me: enough"
        assert [(SignalKind.CANCEL, str(run.id), reason)] == [
            (each.kind, each.subject, each.detail) for each in told if each.kind is SignalKind.CANCEL
        ]
        renewal = leases.Renew(run.id, 1, timedelta(seconds=30))
        assert [leases.Kept(reason)] == await fleet.work(lambda conn: leases.renew(conn, [renewal]))
        await fleet.end(run, RunState.CANCELLED)
        assert RunState.CANCELLED is (await asyncio.wait_for(scheduler.wait(run.id), 10)).state


async def test_changed_files_are_in_force_where_nothing_is_executed(fleet: Fleet):
    """A scheduler that leaves runs to workers takes up changed plugins and pipelines: it has no executors to renew."""
    async with fleet.scheduler() as scheduler:
        fleet.project.plugin("steps", "def one(item):\n    return item\n\ndef two(item):\n    return item\n")
        fleet.project.write(YAML.replace("steps.one", "steps.two"))
        await scheduler.reload.now()
        assert [("steps.two",), None] == [
            tuple(stage.path for stage in scheduler.catalog.get("prices").chain),
            scheduler.reload.problem,
        ]
