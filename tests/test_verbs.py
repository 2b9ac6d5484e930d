"""The verbs: each asks the policy, changes one thing, and leaves one audit row."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from pipelines.errors import AlreadyAsked, BadSchedule, Denied, InvalidTransition, UnknownName
from pipelines.model import Actor, Asked, Role, RunState, ScheduleState
from pipelines.store import deliveries, outbox
from pipelines.store.deliveries import Bury, Take
from pipelines.store.outbox import Post
from pipelines.verbs import Verbs

ADMIN = Actor("discord:1", "ann", 1, manages=True)
ADMIN_BY_TOKEN = Actor("token:ci", "ci", level=Role.ADMIN)
GUEST = Actor("discord:2", "vic", 2)
YAML = """
policy:
  operator: {users: [3]}
pipelines:
  prices:
    executor: inline
    schedule: "0 6 * * *"
    chain: [stages.one]
  slow:
    executor: inline
    schedule: "0 7 * * *"
    chain: [stages.wait]
"""
OPERATOR = Actor("discord:3", "olga", 3)
numbers = count(1)


def by(actor, request_id=None):
    """A request of somebody, different from all others unless it is given an id."""
    return Asked(actor, "discord", request_id or f"discord:{next(numbers)}", {"guild": "1", "channel": "2"})


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self):
        return self.now


@pytest.fixture
def yaml(project):
    project.plugin(
        "stages",
        """
        import asyncio

        def one(item):
            return 1

        async def wait(item):
            await asyncio.Event().wait()
        """,
    )
    project.write(YAML)
    return project


@asynccontextmanager
async def running(project, clock=None):
    """A scheduler with its timetable, and the verbs over it."""
    async with project.scheduler(clock=clock or Time()) as scheduler:
        await scheduler.start()
        await scheduler.start_timetable()
        yield scheduler, Verbs(scheduler)


async def test_a_run_that_somebody_asks_for(yaml):
    """It runs, names who asked, and has one audit row that names it."""
    async with running(yaml) as (scheduler, verbs):
        run = await verbs.run(by(ADMIN), "prices")
        ended = await asyncio.wait_for(scheduler.wait(run.id), 10)
        (row,) = await scheduler.reads.audit()
    assert (RunState.SUCCEEDED, "ann", run.id, True) == (ended.state, ended.actor, row.run_id, row.allowed)


async def test_the_same_request_runs_once(yaml):
    """A click that arrives twice queues one run; the second is told its number."""
    async with running(yaml) as (scheduler, verbs):
        run = await verbs.run(by(ADMIN, "discord:9"), "prices")
        with pytest.raises(AlreadyAsked) as told:
            await verbs.run(by(ADMIN, "discord:9"), "prices")
        assert (run.id, 1) == (told.value.run_id, len(await scheduler.reads.runs()))


@pytest.mark.parametrize(
    "ask",
    [
        lambda verbs: verbs.run(by(GUEST), "prices"),
        lambda verbs: verbs.schedule(by(GUEST), "prices", {"daily": "09:00"}, timezone="UTC"),
        lambda verbs: verbs.pause(by(GUEST), "prices"),
        lambda verbs: verbs.resume(by(GUEST), "prices"),
        lambda verbs: verbs.remove(by(GUEST), "prices"),
        lambda verbs: verbs.mute(by(GUEST), "prices", None),
        lambda verbs: verbs.unmute(by(GUEST), "prices"),
    ],
)
async def test_who_may_not_is_refused_and_recorded(yaml, ask):
    """Nothing changes, the refusal says what is missing, and one row keeps it."""
    async with running(yaml) as (scheduler, verbs):
        before = dict(scheduler.jobs.rows)
        with pytest.raises(Denied, match=r"it needs (operator|admin)"):
            await ask(verbs)
        (row,) = await scheduler.reads.audit()
        assert (False, "vic", before, []) == (
            row.allowed,
            row.asked.actor.name,
            scheduler.jobs.rows,
            await scheduler.reads.runs(),
        )


async def test_a_run_is_cancelled_by_somebody(yaml):
    """The run says by whom and why; one that is over cannot be cancelled, and leaves no row that says it was."""
    async with running(yaml) as (scheduler, verbs):
        run = await verbs.run(by(ADMIN), "slow")
        async with asyncio.timeout(10):
            while run.id not in scheduler.live:
                await asyncio.sleep(0)
            await verbs.cancel(by(OPERATOR), run.id, "wrong shop")
            ended = await scheduler.wait(run.id)
        with pytest.raises(InvalidTransition, match="nothing to cancel"):
            await verbs.cancel(by(OPERATOR), run.id)
        rows = await scheduler.reads.audit()
    assert (RunState.CANCELLED, "cancelled by olga: wrong shop") == (ended.state, ended.reason)
    assert ["cancel", "run"] == [row.verb.value for row in rows]


async def test_a_job_made_in_chat_survives_a_restart_and_fires(yaml):
    """It is stored, on the timetable at once and after a restart, and runs when it is due."""
    clock = Time()
    async with running(yaml, clock) as (scheduler, verbs):
        row = await verbs.schedule(by(OPERATOR), "prices", {"interval": {"minutes": 30}}, timezone="UTC")
        assert ("prices-2", "chat", "olga", "every 30 minutes") == (row.id, row.source, row.actor, row.words)
        assert row.next_due_at == datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    clock.now += timedelta(minutes=31)
    async with running(yaml, clock) as (scheduler, verbs):
        assert "prices-2" in scheduler.jobs.rows
        async with asyncio.timeout(10):
            while not (found := await scheduler.reads.runs(schedule_id="prices-2")):
                await asyncio.sleep(0)
        assert datetime(2026, 3, 1, 12, 30, tzinfo=UTC) == found[0].due_at


async def test_a_name_is_found_for_each_job_of_a_pipeline(yaml):
    """Also where the pipeline's own name is as long as a name may be."""
    name = "p" * 80
    yaml.write(f"pipelines:\n  {name}:\n    executor: inline\n    chain: [stages.one]\n")
    async with running(yaml) as (_, verbs):
        made = [await verbs.schedule(by(ADMIN), name, {"daily": "05:00"}, timezone="UTC") for _ in range(3)]
    assert [name, f"{'p' * 74}-2", f"{'p' * 74}-3"] == [row.id for row in made]


async def test_a_job_whose_pipeline_is_gone_is_told_once(yaml, caplog):
    """It is kept, and not timed; the log says so once, however often all jobs are looked at."""
    async with running(yaml) as (_, verbs):
        await verbs.schedule(by(ADMIN), "prices", {"daily": "05:00"}, timezone="UTC", name="early")
    yaml.write("pipelines: {}")
    async with running(yaml) as (scheduler, _):
        for _ in range(2):
            await scheduler.jobs.look_again()
        assert ({"early"}, {}) == (set(scheduler.jobs.rows), dict(scheduler.jobs.entries))
    said = [each for each in caplog.messages if "does not run" in each]
    assert ["job 'early' does not run: its pipeline prices is not there"] == said


async def test_a_job_that_cannot_be_made_changes_nothing(yaml):
    """A wrong time, zone, pipeline or name is told, and no row of any kind is left."""
    async with running(yaml) as (scheduler, verbs):
        for error, pipeline, spec, zone in (
            (BadSchedule, "prices", {"cron": "99 * * * *"}, "UTC"),
            (BadSchedule, "prices", {"cron": "* * * * *", "daily": "09:00"}, "UTC"),
            (BadSchedule, "prices", {"daily": "09:00"}, "Mars/Crater"),
            (UnknownName, "price", {"daily": "09:00"}, "UTC"),
        ):
            with pytest.raises(error):
                await verbs.schedule(by(ADMIN), pipeline, spec, timezone=zone)
        with pytest.raises(InvalidTransition, match="is called 'slow' already"):
            await verbs.schedule(by(ADMIN), "prices", {"daily": "09:00"}, timezone="UTC", name="slow")
        assert ({"prices", "slow"}, []) == (set(scheduler.jobs.rows), await scheduler.reads.audit())


async def test_a_job_of_the_file_is_not_removed_from_chat(yaml):
    """It says where to take it out, and what to do meanwhile."""
    async with running(yaml) as (_, verbs):
        with pytest.raises(InvalidTransition, match="stands in the pipelines file"):
            await verbs.remove(by(ADMIN), "prices")


async def test_a_removed_job_can_be_brought_back_for_ten_minutes(yaml):
    """Restored it is as it was; later it is too late; a new job may take the id of one that is gone."""
    clock = Time()
    async with running(yaml, clock) as (scheduler, verbs):
        made = await verbs.schedule(by(OPERATOR), "prices", {"daily": "09:00"}, timezone="UTC", name="mine")
        await verbs.remove(by(OPERATOR), "mine")
        assert "mine" not in scheduler.jobs.rows
        back = await verbs.restore(by(OPERATOR), "mine")
        assert (made.spec, ScheduleState.ACTIVE) == (back.spec, back.state)
        await verbs.remove(by(OPERATOR), "mine")
        clock.now += timedelta(minutes=11)
        with pytest.raises(InvalidTransition, match="more than 10 minutes ago"):
            await verbs.restore(by(OPERATOR), "mine")
        again = await verbs.schedule(by(OPERATOR), "slow", {"daily": "10:00"}, timezone="UTC", name="mine")
        assert "slow" == again.pipeline


async def test_a_pause_ends_by_itself(yaml):
    """Paused until an instant, also over a restart, a job resumes then and makes up for nothing."""
    clock = Time()
    until = clock.now + timedelta(hours=20)
    async with running(yaml, clock) as (scheduler, verbs):
        row = await verbs.pause(by(OPERATOR), "prices", until=until, reason="stocktaking")
        assert (ScheduleState.PAUSED, until, "stocktaking") == (row.state, row.paused_until, row.pause_reason)
    clock.now = until
    async with running(yaml, clock) as (scheduler, verbs):
        async with asyncio.timeout(10):
            while scheduler.jobs.rows["prices"].state is ScheduleState.PAUSED:
                await asyncio.sleep(0)
        row = scheduler.jobs.with_next_due(scheduler.jobs.rows["prices"])
        assert (None, []) == (row.pause_reason, await scheduler.reads.runs(schedule_id="prices"))
        assert row.next_due_at == datetime(2026, 3, 3, 5, tzinfo=UTC)


async def test_a_pause_that_is_over_may_be_ended_by_somebody_first(yaml):
    """A job that is removed in the moment when its pause ends does not keep others from going on."""
    clock = Time()
    async with running(yaml, clock) as (scheduler, verbs):
        for job_id in ("prices", "slow"):
            await verbs.pause(by(OPERATOR), job_id, until=clock.now + timedelta(hours=1))
        later = await verbs.schedule(by(OPERATOR), "prices", {"daily": "05:00"}, timezone="UTC")
        await verbs.pause(by(OPERATOR), later.id, until=clock.now + timedelta(hours=2))
        jobs = scheduler.jobs
        jobs.changed = lambda _: jobs.rows.pop("slow", None)
        clock.now += timedelta(hours=3)
        jobs.woken.set()
        async with asyncio.timeout(10):
            while any(row.state is ScheduleState.PAUSED for row in jobs.rows.values()):
                await asyncio.sleep(0)
        assert ["prices", later.id] == list(jobs.rows)


async def test_changes_of_one_job_wait_for_each_other(yaml):
    """What two ask for at once is done one after the other: the second is told how it stands by then."""
    async with running(yaml) as (scheduler, verbs):
        job = await verbs.schedule(by(OPERATOR), "prices", {"daily": "05:00"}, timezone="UTC", name="mine")
        told = await asyncio.gather(
            verbs.pause(by(OPERATOR), job.id),
            verbs.pause(by(OPERATOR), job.id),
            verbs.remove(by(OPERATOR), job.id),
            verbs.resume(by(OPERATOR), job.id),
            return_exceptions=True,
        )
        assert [None, InvalidTransition, None, UnknownName] == [
            type(each) if isinstance(each, Exception) else None for each in told
        ]
        assert job.id not in scheduler.jobs.rows
        assert 3 == sum(entry.target == job.id for entry in await scheduler.reads.audit())


async def test_a_job_for_one_instant_is_gone_once_that_has_come(yaml):
    """It runs once and is no longer listed, now and after a restart."""
    clock = Time()
    async with running(yaml, clock) as (scheduler, verbs):
        await verbs.schedule(by(OPERATOR), "prices", {"at": "2026-03-01T12:20:00"}, timezone="UTC", name="once")
    clock.now += timedelta(minutes=21)
    async with running(yaml, clock) as (scheduler, verbs):
        async with asyncio.timeout(10):
            while "once" in scheduler.jobs.rows:
                await asyncio.sleep(0)
        (run,) = await scheduler.reads.runs(schedule_id="once")
        await scheduler.wait(run.id)
    async with running(yaml, clock) as (scheduler, _):
        assert "once" not in scheduler.jobs.rows


async def test_an_admin_has_refused_messages_sent_again(yaml):
    """They are queued again, with one audit row; who is no admin is refused and recorded."""
    async with running(yaml) as (scheduler, verbs):
        await scheduler.writer.call(outbox.post, Post("box:1", "message", "k", {}, scheduler.clock()))
        parcel = await scheduler.writer.call(deliveries.claim, Take("box:1", scheduler.clock()))
        await scheduler.writer.call(deliveries.bury, Bury(parcel.id, "no"))
        with pytest.raises(Denied, match="admin"):
            await verbs.redeliver(by(OPERATOR))
        assert 1 == len(await scheduler.reads.undeliverable())
        assert 1 == await verbs.redeliver(by(ADMIN))
        assert [] == await scheduler.reads.undeliverable()
        rows = await scheduler.reads.audit()
    assert [("redeliver", True), ("redeliver", False)] == [(row.verb, row.allowed) for row in rows]


async def test_resuming_what_is_not_paused_is_told(yaml):
    """It is no silent success."""
    async with running(yaml) as (_, verbs):
        with pytest.raises(InvalidTransition, match="is not paused"):
            await verbs.resume(by(ADMIN), "prices")


async def test_secrets_in_parameters_do_not_reach_the_audit(yaml):
    """What a name gives away is hidden in the row."""
    yaml.write(YAML.replace("chain: [stages.one]", "params: {api_token: none}\n    chain: [stages.one]"))
    async with running(yaml) as (scheduler, verbs):
        await verbs.run(by(ADMIN), "prices", {"api_token": "abcdefgh"})
        (row,) = await scheduler.reads.audit()
    assert {"params": {"api_token": "•••"}} == row.detail


async def test_the_files_are_read_again_by_admins(yaml, project):
    """It is recorded like any change; others are refused, and that is recorded as well."""
    async with running(yaml) as (scheduler, verbs):
        with pytest.raises(Denied, match="it needs admin"):
            await verbs.reload(by(OPERATOR))
        path = project.folder / "pipelines.yml"
        path.write_text(path.read_text().replace("0 6 * * *", "0 8 * * *"))
        assert "~1 pipeline, ~1 schedule" in str(await verbs.reload(by(ADMIN_BY_TOKEN)))
        told = [(entry.verb, entry.allowed) for entry in await scheduler.reads.audit()]
        assert [("reload", True), ("reload", False)] == told
