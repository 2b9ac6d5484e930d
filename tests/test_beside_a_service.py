"""Changes made in one process are taken up by the service in another, over the store that both use."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from pipelines.engine import Engine
from pipelines.errors import InvalidTransition, StoreLocked
from pipelines.model import Actor, Asked, Role, RunState, ScheduleState
from pipelines.serving import EVERY_S
from pipelines.store import claims, holding, progress, runs, schedules, signals
from pipelines.store.signals import KEPT, Seen, Signal, SignalKind
from pipelines.verbs import Verbs
from tests.project import Project
from tests.store.conftest import engine, module_engine, module_url  # noqa: F401 - fixtures: each kind of database

SLOWLY = """
import asyncio
from pipelines import current_run

async def crawl(item):
    current_run().progress(0.25, "a quarter of it")
    await asyncio.sleep(600)

def one(item):
    return 1
"""
YAML = """
    pipelines:
      slow: {schedule: {daily: "03:00"}, executor: inline, chain: [slowly.crawl]}
      quick: {schedule: {daily: "04:00"}, executor: inline, chain: [slowly.one]}
"""
ASKED = Asked(Actor("terminal:me", "me", level=Role.ADMIN), "terminal")


@dataclass
class Shop:
    """A project, and the database that its services share."""

    project: Project
    url: str

    def engine(self, *, attached: bool = False) -> Engine:
        """An engine over the shared database."""
        settings = self.project.settings(scheduler_db_url=self.url)
        return Engine(settings, self.project.catalog(settings), attached=attached)


@pytest.fixture
def shop(project: Project, engine) -> Shop:  # noqa: F811 - the fixture
    """A project with a pipeline that goes on for long, on each kind of database."""
    project.plugin("slowly", SLOWLY)
    project.write(YAML)
    return Shop(project, engine.url.render_as_string(hide_password=False))


@asynccontextmanager
async def serving(shop: Shop):
    """A service in this process, without its faces."""
    async with shop.engine() as service:
        await service.start()
        await service.start_timetable()
        service.start_monitoring()
        yield service


@asynccontextmanager
async def beside(shop: Shop):
    """Somebody who works on the same store."""
    async with shop.engine(attached=True) as other:
        await other.attach()
        yield other, Verbs(other)


async def soon(condition):
    """Wait until a condition holds, or fail."""
    async with asyncio.timeout(10):
        while not (found := await condition() if asyncio.iscoroutinefunction(condition) else condition()):
            await asyncio.sleep(0.01)
    return found


async def test_a_run_that_is_asked_for_beside_the_service_runs_in_it(shop: Shop):
    """It is queued there, executed here, and both see how it ended."""
    async with serving(shop) as service, beside(shop) as (other, verbs):
        run = await verbs.run(ASKED, "quick")
        ended = await service.wait(run.id)
        assert RunState.SUCCEEDED is ended.state
        assert "me" == (await other.reads.run(run.id)).actor


async def test_a_run_can_be_followed_and_cancelled_from_elsewhere(shop: Shop):
    """How far it is can be read in the other process; its wish to cancel reaches the service; then nothing is left."""
    async with serving(shop) as service, beside(shop) as (other, verbs):
        run = await verbs.run(ASKED, "slow")

        async def how_far():
            return await other.reads.progress(run.id)

        told = await soon(how_far)
        assert (0.25, "a quarter of it", 1) == (told.done, told.note, told.attempt)
        await verbs.cancel(ASKED, run.id, "enough")
        ended = await service.wait(run.id)
        assert (RunState.CANCELLED, "cancelled by me: enough") == (ended.state, ended.reason)

        async def forgotten():
            return await other.reads.progress(run.id) is None

        await soon(forgotten)


async def test_a_run_that_still_waits_is_cancelled_at_once(shop: Shop):
    """It ends without the service's help, which learns of it and tells those who wait for it."""
    async with serving(shop) as service, beside(shop) as (_, verbs):
        first, second = await verbs.run(ASKED, "slow"), await verbs.run(ASKED, "slow")
        await soon(lambda: first.id in service.live)
        waiting = asyncio.create_task(service.wait(second.id))
        assert RunState.CANCELLED is (await verbs.cancel(ASKED, second.id)).state
        assert RunState.CANCELLED is (await waiting).state
        with pytest.raises(InvalidTransition, match="nothing to cancel"):
            await verbs.cancel(ASKED, second.id)


async def test_a_wish_to_cancel_outlives_the_service(shop: Shop):
    """A run that a dead service left running, and that somebody wanted cancelled, is ended instead of tried again."""
    async with shop.engine() as service:
        [run] = await service.run_now(["slow"])
        claim = runs.Claim(1, "a service that died", service.clock(), lease=timedelta())
        assert 1 == len(await service.writer.call(claims.take, claim))
    async with beside(shop) as (_, verbs):
        assert RunState.RUNNING is (await verbs.cancel(ASKED, run.id)).state
    async with serving(shop) as service:
        assert RunState.CANCELLED is (await service.reads.run(run.id)).state


async def test_jobs_that_are_changed_elsewhere_are_timed_here(shop: Shop):
    """A new job, a pause, a resume and a removal each change what is due in the service."""
    async with serving(shop) as service, beside(shop) as (_, verbs):
        job = await verbs.schedule(ASKED, "quick", {"interval": {"hours": 1}}, timezone="UTC", name="often")
        await soon(lambda: "often" in service.jobs.rows)
        assert job.next_due_at == service.jobs.with_next_due(service.jobs.rows["often"]).next_due_at
        assert "often" in service.timetable._keys
        await verbs.pause(ASKED, "often", reason="holidays")
        await soon(lambda: service.jobs.rows["often"].state is ScheduleState.PAUSED)
        assert "often" not in service.timetable._keys
        await verbs.resume(ASKED, "often")
        await soon(lambda: "often" in service.timetable._keys)
        await verbs.remove(ASKED, "often")
        await soon(lambda: "often" not in service.jobs.rows)
        await verbs.restore(ASKED, "often")
        await soon(lambda: "often" in service.timetable._keys)


async def test_the_files_jobs_can_be_paused_before_a_service_ever_ran(shop: Shop):
    """The pause is in the store, and the first service keeps to it."""
    async with beside(shop) as (other, verbs):
        assert {"slow", "quick"} == set(other.jobs.rows)
        await verbs.pause(ASKED, "slow", reason="not yet")
    async with serving(shop) as service:
        row = service.jobs.rows["slow"]
        assert (ScheduleState.PAUSED, "not yet") == (row.state, row.pause_reason)
        assert ["quick"] == list(service.timetable._keys)


async def test_looking_changes_nothing(shop: Shop):
    """Who only looks leaves no row in the store, whatever file they look with."""
    async with beside(shop) as (other, _):
        assert 2 == len(other.overview.jobs())
        assert [] == await other.reader.read(schedules.list_all)


async def test_jobs_are_put_anew_by_the_door_that_made_them(shop: Shop):
    """The same time changes nothing; another time replaces it and keeps a pause; another door is refused."""
    async with serving(shop) as service:
        verbs = Verbs(service)

        async def put(hours: int, door: str = "python"):
            spec = {"interval": {"hours": hours}}
            asked = Asked(ASKED.actor, door)
            return await verbs.schedule(asked, "quick", spec, timezone="UTC", name="mine", replace=True)

        first = await put(1)
        audited = len(await service.reads.audit())
        again = await put(1)
        assert (first.last_due_at, audited) == (again.last_due_at, len(await service.reads.audit()))
        await verbs.pause(ASKED, "mine")
        other = await put(2)
        assert (ScheduleState.PAUSED, {"hours": 2}) == (other.state, other.spec["interval"])
        with pytest.raises(InvalidTransition, match="is called 'mine' already"):
            await put(3, door="discord")


async def test_a_service_says_that_it_is_there(shop: Shop):
    """Who asks beside it learns its process, its health and how many pipelines it serves; and who holds the store."""
    url = shop.url
    assert holding.holder(url) is None
    async with serving(shop) as service, beside(shop) as (other, _):
        told = await soon(other.serving)
        assert (2, None, "ok") == (told.pipelines, told.web, told.health["status"])
        assert service.clock() - told.beat_at < timedelta(seconds=EVERY_S)
        assert holding.holder(url).pid in (told.pid, None)  # a server does not know it
        if url.startswith("sqlite"):  # those on a server share it
            with pytest.raises(StoreLocked):
                async with shop.engine():
                    pass
    assert holding.holder(url) is None


async def test_a_service_runs_since_its_start(shop: Shop):
    """One that comes to lead later is told with when it was started, not with when it began to lead."""
    async with serving(shop) as service, beside(shop) as (other, _):
        first = await soon(other.serving)
        await service.leading.end("another leads")
        later = service.clock()
        await service.leading.begin()

        async def again():
            told = await other.serving()
            return told if told.beat_at >= later else None

        assert (first.since, True) == ((await soon(again)).since, first.since < later)


async def test_a_service_says_at_once_where_its_web_is(shop: Shop):
    """It does not wait for the next of its regular words, once the address is known, and once it is no more."""
    async with serving(shop) as service, beside(shop) as (other, _):
        told = await soon(other.serving)
        for address in ("http://127.0.0.1:1", None):
            service.web_address, before = address, told.beat_at

            async def known(address=address):
                told = await other.serving()
                return told if told.web == address else None

            told = await soon(known)
            assert told.beat_at - before < timedelta(seconds=EVERY_S / 2)


async def test_old_signals_are_forgotten(shop: Shop):
    """Those older than a day are removed, and younger ones stay."""
    async with serving(shop) as service:
        now = service.clock()
        old = Signal(SignalKind.JOB, "old", at=now - KEPT - timedelta(seconds=1))
        await service.writer.call(signals.put, old)
        await service.writer.call(signals.put, Signal(SignalKind.JOB, "young", at=now))
        await service.writer.call(signals.prune, now)
        found, _ = await service.reader.read(signals.after, Seen())
        left = {signal.subject for signal in found}
        assert ("old" in left, "young" in left) == (False, True)


async def test_what_a_killed_service_said_of_progress_is_forgotten(shop: Shop):
    """A new service begins with none, so that nothing looks as if it went on."""
    async with shop.engine() as service:
        [run] = await service.run_now(["quick"])
        await service.writer.call(progress.put, progress.Progress(run.id, 1, service.clock()))
    async with serving(shop) as service:

        async def gone():
            return await service.reads.progress(run.id) is None

        assert await soon(gone)
