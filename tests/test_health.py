"""The service looks after itself."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import perf_counter

import pytest

from pipelines.health import Health, loop_lag_s, watch
from tests.project import Project

WELL = Health(loop_lag_s=0.002, waiting_writes=3, dropped_lines=0, running=1, queued=2, slots=3)


def test_a_service_that_is_well_says_so():
    """Without complaints the status is ok, and the line has the counts."""
    assert ("ok", "health: ok, 1 of 3 running, 2 queued, loop lag 2 ms") == (WELL.status, str(WELL))


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        ({"loop_lag_s": 0.9}, "the event loop was held for 0.90 s"),
        ({"waiting_writes": 6_000}, "6000 writes are waiting"),
        ({"dropped_lines": 2}, "2 batches of log lines were dropped"),
    ],
)
def test_each_complaint_is_told(readings, words):
    """What is wrong makes the service degraded and stands in its line."""
    fields = {name: getattr(WELL, name) for name in Health.__slots__}
    ill = Health(**(fields | readings))
    assert ("degraded", True) == (ill.status, words in str(ill))


async def test_a_held_loop_shows_as_lag():
    """Code that keeps the event loop busy is seen in the readings."""

    async def hold() -> None:
        end = perf_counter() + 0.05
        while perf_counter() < end:
            pass

    holder = asyncio.create_task(hold())
    assert await loop_lag_s() > 0.03
    await holder


async def test_the_watch_logs_its_readings(caplog):
    """A degraded service is a warning in the log, again and again."""
    ill = Health(loop_lag_s=0.9, waiting_writes=0, dropped_lines=0, running=0, queued=0, slots=1)

    async def read() -> Health:
        return ill

    watching = asyncio.create_task(watch(read, timedelta(seconds=0.001)))
    while len(caplog.records) < 2:
        await asyncio.sleep(0)
    watching.cancel()
    assert {("WARNING", str(ill))} == {(record.levelname, record.getMessage()) for record in caplog.records}


async def test_a_scheduler_reads_its_own_health(project: Project):
    """The scheduler counts what runs and what is queued."""
    project.write("pipelines:\n  p: {executor: inline, chain: [pipelines.transforms.Log]}\n")
    async with project.scheduler() as scheduler:
        await scheduler.start(only=[])
        await scheduler.run_now(["p"])
        health = await scheduler.health()
    assert (0, 1, 3, 0) == (health.running, health.queued, health.slots, health.dropped_lines)


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
