"""The task that tells of trouble: what it stores for delivery, when, and what it does after a restart."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from pipelines.alerts import Alerts
from pipelines.model import Mute, NewRun, Outcome, RunError, RunState, StartedBy
from pipelines.store import database, ends, history, incidents, occurrences, runs, schema
from pipelines.store.writer import Reader, Writer

NOON = datetime(2027, 1, 5, 11, tzinfo=UTC)  # noon in Stockholm
FILE = """
alerts:
  channel_id: 7
  mention: [5]
pipelines:
  prices:
    chain: [pipelines.transforms.Log]
  stock:
    chain: [pipelines.transforms.Log]
    alerts: {late_after: 2h, on: [failure, recovery, late, success]}
"""
ERROR = RunError("OSError", "disk full", "Save")


class Desk:
    """A store, a clock that is put forward by hand, and the task that looks at both."""

    def __init__(self, project, writer: Writer, reader: Reader) -> None:
        self.project, self.writer, self.reader = project, writer, reader
        self.now = NOON
        self.posted = 0
        self.restart()

    def restart(self) -> None:
        """Begin anew with what the store knows."""
        self.alerts = Alerts(
            writer=self.writer,
            reader=self.reader,
            catalog=self.project.catalog(),
            clock=lambda: self.now,
            upcoming=lambda: [("prices", NOON + timedelta(hours=3))],
            posted=self._posted,
            debounce_s=0.01,
        )

    def _posted(self) -> None:
        self.posted += 1

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)

    async def queue(self, pipeline: str = "prices", schedule: bool = False):
        new = NewRun(pipeline, StartedBy.MANUAL)
        if schedule:
            new = NewRun(pipeline, StartedBy.SCHEDULE, schedule_id=pipeline, due_at=self.now)
            return await self.writer.call(occurrences.record_due, occurrences.Due(new))
        return await self.writer.call(runs.insert_runs, new)

    async def run(self, pipeline: str = "prices", state: RunState = RunState.FAILED, took_s: float = 4.0):
        """Have a run of a pipeline come to an end."""
        queued = await self.queue(pipeline)
        claim = runs.Claim(1, "here", self.now, frozenset({queued.id}))
        (run,) = await self.writer.call(runs.claim, claim)
        self.wait(seconds=took_s)
        error = ERROR if state is RunState.FAILED else None
        await self.writer.call(ends.finish, ends.Finish(run.id, 1, Outcome(state, error=error), self.now, state))
        run = await self.reader.read(history.run, run.id)
        self.alerts.happened(run)
        return run

    async def look(self) -> list[tuple[str, dict]]:
        """Look once; return the messages that this added or changed, as (key, body)."""
        before = await self.posts()
        await self.alerts.look()
        return [(row.dedupe_key, row.body) for row in await self.posts() if row not in before]

    async def posts(self):
        return await self.reader.read(
            lambda conn: conn.execute(select(schema.outbox).order_by(schema.outbox.c.id)).all()
        )


@asynccontextmanager
async def opened(project):
    engine = database.connect(f"sqlite:///{project.folder / 'alerts.db'}")
    database.migrate(engine)
    writer, reader = Writer(engine), Reader(engine)
    await writer.start()
    yield Desk(project, writer, reader)
    await writer.close()
    await reader.close()
    engine.dispose()


@pytest.fixture
async def desk(project):
    project.write(FILE)
    async with opened(project) as desk:
        yield desk


async def test_a_failure_is_stored_as_facts(desk):
    """The message goes to the channel, once, with all that a face needs to know, and expires after a day."""
    await desk.run(state=RunState.SUCCEEDED, took_s=2)
    run = await desk.run()
    ((key, body),) = await desk.look()
    (post,) = await desk.posts()
    assert ("incident:1", "discord:7", "alert", desk.now + timedelta(hours=24)) == (
        key,
        post.target,
        post.kind,
        post.expires_at,
    )
    (member,) = body["members"]
    expected = {"pipeline": "prices", "kind": "failure", "state": "failed", "count": 1, "run": run.id, "stage": "Save"}
    expected |= {"error": "OSError: disk full", "duration_s": 4.0, "usual_s": 2.0, "ended": None}
    assert expected == {name: member[name] for name in expected}
    assert ("alert", ["5"], (NOON + timedelta(seconds=2)).isoformat()) == (
        body["tell"],
        body["mention"],
        member["last_success"],
    )
    assert ([], 1) == (await desk.look(), desk.posted)


async def test_repeats_change_the_message_and_success_ends_it(desk):
    """A second failure is a change of the first message; the success changes it and adds a line."""
    await desk.run()
    await desk.look()
    await desk.run()
    ((key, body),) = await desk.look()
    assert ("incident:1:now", "incident:1", 2) == (key, body["edits"], body["members"][0]["count"])
    good = await desk.run(state=RunState.SUCCEEDED)
    (_, change), (recovery, told) = await desk.look()
    assert ("change", f"success:{good.id}", "recovery", 8.0) == (
        change["tell"],
        recovery,
        told["tell"],
        told["members"][0]["downtime_s"],
    )


async def test_nothing_is_told_twice_after_a_restart(desk):
    """A new process knows what the old one told; reminders come once too."""
    await desk.run()
    await desk.look()
    desk.restart()
    assert [] == await desk.look()
    desk.wait(hours=1)
    assert ["incident:1:remind:1"] == [key for key, _ in await desk.look()]
    desk.restart()
    assert [] == await desk.look()


async def test_what_failed_while_nobody_looked_is_told_later(desk):
    """The store knows what is due; a process that died between the run's end and the telling loses nothing."""
    await desk.run()
    desk.restart()
    assert ["incident:1"] == [key for key, _ in await desk.look()]


async def test_without_a_channel_nobody_is_told(project, caplog):
    """Nothing is stored, and the log says once what is missing."""
    project.write("pipelines:\n  prices:\n    chain: [pipelines.transforms.Log]\n")
    async with opened(project) as desk:
        for _ in range(2):
            await desk.run()
            assert [] == await desk.look()
    assert ["'prices' is in trouble and nobody is told: the pipelines file has no `alerts: channel_id:`"] == [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]


async def test_a_late_run_is_told_and_its_end_too(desk):
    """After `late_after` the run that has not started is told of; its pipeline's own value wins."""
    for name in ("prices", "stock"):
        await desk.queue(name, schedule=True)
    desk.wait(minutes=14)
    assert [] == await desk.look()
    desk.wait(minutes=1)
    ((key, body),) = await desk.look()
    assert ("incident:1", "prices", "late") == (key, body["members"][0]["pipeline"], body["members"][0]["kind"])
    desk.wait(minutes=106)
    assert {"incident:2", "incident:1:remind:1"} == {key for key, _ in await desk.look()}


async def test_a_mute_holds_back_and_reports(desk):
    """While it lasts nothing is told; when it is over, what happened is."""
    await desk.writer.call(incidents.mute, Mute("prices", desk.now + timedelta(hours=1), desk.now, "ann"))
    await desk.run()
    await desk.run()
    assert [] == await desk.look()
    desk.wait(hours=1)
    ((key, body),) = await desk.look()
    assert ("incident:1", 2, 2) == (key, body["members"][0]["suppressed"], body["members"][0]["count"])
    assert [] == await desk.look()


async def test_a_mute_shows_in_the_message(desk):
    """The message that is there says who muted until when, and later no more."""
    await desk.run()
    await desk.look()
    until = desk.now + timedelta(hours=1)
    await desk.writer.call(incidents.mute, Mute("prices", until, desk.now, "ann"))
    ((_, body),) = await desk.look()
    assert ("ann", until.isoformat()) == (body["members"][0]["muted_by"], body["members"][0]["muted_until"])
    await desk.writer.call(incidents.unmute, ("prices", desk.now))
    ((_, body),) = await desk.look()
    assert ("change", None) == (body["tell"], body["members"][0]["muted_by"])


async def test_successes_are_told_where_asked_for(desk):
    """Each once, also over a restart; the one that ends trouble is told as its end only."""
    await desk.look()
    run = await desk.run("stock", RunState.SUCCEEDED)
    await desk.run("prices", RunState.SUCCEEDED)
    ((key, body),) = await desk.look()
    assert (f"success:{run.id}", "success", "stock", 4.0) == (key, body["tell"], body["pipeline"], body["duration_s"])
    assert [] == await desk.look()
    desk.restart()
    assert [] == await desk.look()
    await desk.run("stock")
    await desk.look()
    good = await desk.run("stock", RunState.SUCCEEDED)
    assert [("incident:1:now", "change"), (f"success:{good.id}", "recovery")] == [
        (key, body["tell"]) for key, body in await desk.look()
    ]


async def test_a_burst_is_one_message_in_the_outbox(desk):
    """Three pipelines that fail together share it; only so many are named as fit."""
    for number in range(30):
        await desk.run(f"p{number}", took_s=0)
    ((key, body),) = await desk.look()
    assert ("burst:1", 30, 25) == (key, body["total"], len(body["members"]))
    await desk.run("p3", RunState.SUCCEEDED)
    changes = await desk.look()
    assert [("burst:1:now", 29)] == [(key, body["still"]) for key, body in changes if body["tell"] == "change"]


DIGEST = FILE + "discord:\n  digest: '08:00'\n"


async def test_the_summary_comes_once_a_day(project):
    """At eight in the scheduler's zone, about what happened since the last one; none where nothing did."""
    project.write(DIGEST)
    async with opened(project) as desk:
        await desk.run(state=RunState.SUCCEEDED)
        assert [] == await desk.look()
        for _ in range(3):
            await desk.run(state=RunState.SUCCEEDED)
        await desk.run("other", took_s=0)
        desk.wait(hours=19, minutes=58)
        assert "digest" not in str([key for key, _ in await desk.look()])
        desk.wait(minutes=1, seconds=59)
        told = dict(await desk.look())
        body = told["digest:2027-01-06"]
        assert ({"succeeded": 3, "failed": 1, "skipped": 0, "missed": 0}, [[3, 1]], "other") == (
            body["counts"],
            body["days"],
            body["failing"][0]["pipeline"],
        )
        assert [["prices", (NOON + timedelta(hours=3)).isoformat()]] == body["next"]
        desk.restart()
        desk.wait(hours=1)
        assert [] == [key for key, _ in await desk.look() if key.startswith("digest")]
        desk.wait(hours=48)
        assert [] == [key for key, _ in await desk.look() if key.startswith("digest")]


async def test_days_that_were_missed_are_in_the_next_summary(project):
    """A service that was down for three days tells of them once."""
    project.write(DIGEST)
    async with opened(project) as desk:
        await desk.look()
        await desk.run(state=RunState.SUCCEEDED)
        desk.wait(days=3)
        desk.restart()
        told = [(key, body["counts"]["succeeded"]) for key, body in await desk.look() if key.startswith("digest")]
        assert [("digest:2027-01-08", 1)] == told


async def test_slow_and_unsteady_pipelines_are_in_the_summary(project):
    """A run that took far longer than usual, and a pipeline that fails and recovers, are named."""
    project.write(DIGEST)
    async with opened(project) as desk:
        await desk.look()
        for _ in range(5):
            await desk.run(state=RunState.SUCCEEDED, took_s=10)
        slow = await desk.run(state=RunState.SUCCEEDED, took_s=60)
        for state in (RunState.FAILED, RunState.SUCCEEDED) * 2:
            await desk.run("shaky", state)
        desk.wait(days=1)
        (body,) = [body for key, body in await desk.look() if key.startswith("digest")]
        assert [{"pipeline": "prices", "run": slow.id, "duration_s": 60.0, "usual_s": 10.0}] == body["slow"]
        assert [{"pipeline": "shaky", "times": 2}] == body["flaky"]


async def test_the_task_wakes_by_itself(desk):
    """A bad end makes it look a moment later; it needs nobody to ask it."""
    task = asyncio.create_task(desk.alerts.run())
    try:
        async with asyncio.timeout(10):
            await desk.run()
            while not await desk.posts():
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_store_that_refuses_is_asked_again(desk, caplog):
    """The task says so and lives on: all of it is told another time."""
    await desk.run()
    await desk.writer.close()
    task = asyncio.create_task(desk.alerts.run())
    try:
        async with asyncio.timeout(10):
            while "alerts wait: the store is not open" not in caplog.text:
                await asyncio.sleep(0.01)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
