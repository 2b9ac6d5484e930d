"""The service looks after itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import perf_counter

import pytest

from pipelines.errors import StoreError
from pipelines.health import Health, Status, loop_lag_s, watch
from pipelines.store import notes
from pipelines.vitals import ALIVE_NOTE
from tests.project import Project

NOON = datetime(2027, 1, 5, 12, tzinfo=UTC)
WELL = Health(loop_lag_s=0.002, waiting_writes=3, dropped_lines=0, running=1, queued=2, slots=3, at=NOON)


def ago(**span: float) -> datetime:
    return NOON - timedelta(**span)


def test_a_service_that_is_well_says_so():
    """Without complaints the status is ok, and the line has the counts."""
    assert ("ok", "health: ok, 1 of 3 running, 2 queued, loop lag 2 ms") == (WELL.status, str(WELL))


@pytest.mark.parametrize(
    ("readings", "status", "words"),
    [
        ({"loop_lag_s": 0.9}, "degraded", "the event loop was held for 0.90 s"),
        ({"waiting_writes": 6_000}, "degraded", "6000 writes are waiting"),
        ({"dropped_lines": 2}, "degraded", "2 batches of log lines were dropped"),
        ({"queued_since": ago(minutes=16)}, "degraded", "2 due runs wait, the oldest since 2027-01-05 11:44 UTC"),
        ({"unsent": 3, "unsent_since": ago(minutes=16)}, "degraded", "3 messages wait for delivery, the oldest since"),
        ({"dead": 4}, "degraded", "4 messages were refused for good"),
        ({"faces": {"Discord": "disabled: it rejected the token"}}, "degraded", "Discord: disabled: it rejected"),
        ({"faces": {"Discord": "waiting until 09:30:12 UTC: cannot be reached"}}, "degraded", "cannot be reached"),
        ({"refused": "disk full"}, "down", "the store cannot be used: disk full"),
        ({"tick_age_s": 150.0}, "down", "the timetable has stood still for 150 s"),
        ({"running": 0, "queued_since": ago(minutes=6)}, "down", "and nobody starts them"),
    ],
)
def test_each_complaint_is_told(readings, status, words):
    """What is wrong makes the service degraded, or down, and stands in its line."""
    ill = replace(WELL, **readings)
    assert (status, True, status == "down") == (ill.status, words in str(ill), bool(ill.faults))


@pytest.mark.parametrize(
    "readings",
    [
        {"queued_since": ago(minutes=14)},
        {"running": 0, "queued_since": ago(minutes=4)},
        {"running": 0, "retrying": 1, "queued_since": ago(minutes=14)},
        {"unsent": 3, "unsent_since": ago(minutes=14)},
        {"tick_age_s": 35.0},
        {"faces": {"web": "ready", "Discord": "off: no token", "chat": "connecting"}},
    ],
)
def test_what_is_usual_is_no_complaint(readings):
    """A run that waits for its turn, a message on its way, a bot that was not asked for."""
    assert Status.OK is replace(WELL, **readings).status


def test_the_gravest_complaint_comes_first():
    """What makes the service useless stands before what makes it slow."""
    ill = replace(WELL, loop_lag_s=0.9, refused="disk full")
    assert ["the store", "the event"] == [each[:9] for each in ill.complaints]


def test_health_is_told_as_json():
    """Verdict, reasons and readings, instants as ISO texts."""
    told = json.loads(json.dumps(replace(WELL, queued_since=ago(minutes=16), faces={"web": "ready"}).as_json()))
    assert ("degraded", 1, "2027-01-05T11:44:00+00:00", {"web": "ready"}, 0.002) == (
        told["status"],
        len(told["complaints"]),
        told["queued_since"],
        told["faces"],
        told["loop_lag_s"],
    )


async def test_a_held_loop_shows_as_lag():
    """Code that keeps the event loop busy is seen in the readings."""

    async def hold() -> None:
        end = perf_counter() + 0.05
        while perf_counter() < end:
            pass

    holder = asyncio.create_task(hold())
    assert await loop_lag_s() > 0.03
    await holder


@pytest.mark.parametrize(("ill", "level"), [({"loop_lag_s": 0.9}, "WARNING"), ({"refused": "gone"}, "ERROR")])
async def test_the_watch_logs_its_readings(caplog, ill, level):
    """A degraded service is a warning in the log, one that is down an error, again and again."""
    ill = replace(WELL, **ill)

    async def read() -> Health:
        return ill

    watching = asyncio.create_task(watch(read, timedelta(seconds=0.001)))
    while len(caplog.records) < 2:
        await asyncio.sleep(0)
    watching.cancel()
    assert {(level, str(ill))} == {(record.levelname, record.getMessage()) for record in caplog.records}


async def test_a_scheduler_reads_its_own_health(project: Project):
    """The scheduler counts what runs and what is queued."""
    project.write("pipelines:\n  p: {executor: inline, chain: [pipelines.transforms.Log]}\n")
    async with project.scheduler() as scheduler:
        await scheduler.start(only=[])
        await scheduler.run_now(["p"])
        health = await scheduler.health()
    assert (0, 1, 3, 0) == (health.running, health.queued, health.slots, health.dropped_lines)


async def test_the_timetable_and_the_faces_are_looked_at(project: Project):
    """Whether the clockwork moves, and where each face stands; that the store can be written is tried."""
    project.write("pipelines:\n  p: {executor: inline, chain: [pipelines.transforms.Log]}\n")
    async with project.scheduler(clock=lambda: NOON) as scheduler:
        assert (await scheduler.health()).tick_age_s is None
        await scheduler.start()
        await scheduler.start_timetable()
        scheduler.vitals.faces["web"] = lambda: "ready"
        health = await scheduler.health()
        noted = await scheduler.reader.read(notes.get, ALIVE_NOTE)
    assert ({"web": "ready"}, True, NOON.isoformat()) == (health.faces, (health.tick_age_s or 0.0) < 60, noted)
    assert Status.OK is health.status


async def test_runs_that_nobody_starts_bring_the_service_down(project: Project):
    """They wait, nothing runs, and minutes have passed."""
    now = [NOON]
    project.write("pipelines:\n  p: {executor: inline, chain: [pipelines.transforms.Log]}\n")
    async with project.scheduler(clock=lambda: now[0]) as scheduler:
        await scheduler.start(only=[])
        await scheduler.run_now(["p"])
        queued_at = (await scheduler.reads.runs(limit=1))[0].queued_at
        now[0] = queued_at + timedelta(minutes=6)
        health = await scheduler.health()
    assert (Status.DOWN, queued_at) == (health.status, health.queued_since)


async def test_a_store_that_refuses_is_told(project: Project, monkeypatch):
    """Reading the health never fails: that the store refuses is part of it."""
    project.write("pipelines:\n  p: {executor: inline, chain: [pipelines.transforms.Log]}\n")

    async def refuse(*_: object, **__: object) -> None:
        raise StoreError("the database refused: disk is full")

    async with project.scheduler() as scheduler:
        monkeypatch.setattr(scheduler.writer, "call", refuse)
        health = await scheduler.health()
        monkeypatch.undo()
    assert (Status.DOWN, "the database refused: disk is full") == (health.status, health.refused)


def test_the_service_logs_its_health(project: Project):
    """With `monitoring` the running service writes a line about itself at each interval."""
    project.write(
        """
        scheduler: {monitoring: {enabled: true, health_check_interval: 1}}
        pipelines:
          p: {executor: inline, chain: [pipelines.transforms.Log]}
        """
    )
    with project.service() as service:
        service.wait_for("health: ok")
        assert 0 == service.stop()
