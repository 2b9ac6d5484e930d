"""1,000 and 10,000 schedules due at one instant: how late they start, how long the event loop is held, what is lost.

Ours records each run before it starts, in a file; APScheduler keeps its jobs in its SQLAlchemy store and records none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from benchmarks.measure import LoopProbe, Row, ms, percentile, scheduler_on, write_project
from benchmarks.stages import DUE, STARTED
from pipelines.interpreter import settle_memory

REGISTERED = 10_000


async def peer_body() -> None:
    """What the peer's jobs do."""
    STARTED.append(datetime.now(UTC).timestamp() - DUE[0])


def measure() -> Iterator[Row]:
    """Yield the rows for 1,000 and 10,000 due at once."""
    for count, lag_target, held_target in ((1_000, "≤ 125 ms", "≤ 20 ms"), (10_000, "≤ 1,000 ms", "≤ 30 ms")):
        lag_s, held_s, lost = asyncio.run(_ours(count))
        peer_lag_s, peer_held_s, peer_lost = asyncio.run(_peer(count))
        what = f"{count:,} due at once of {REGISTERED:,}"
        yield Row(f"{what}: lag p99", ms(lag_s), ms(peer_lag_s), peer_lag_s / lag_s, lag_target)
        yield Row(f"{what}: loop held", ms(held_s), ms(peer_held_s), peer_held_s / held_s, held_target)
        yield Row(f"{what}: not started", str(lost), str(peer_lost), None, "0")


async def _settled(count: int) -> None:
    """Wait until all have started, or nothing has for two seconds."""
    idle = 0
    while len(STARTED) < count and idle < 200:
        before = len(STARTED)
        await asyncio.sleep(0.01)
        idle = idle + 1 if len(STARTED) == before else 0


def _instant(delay_s: float) -> datetime:
    due = (datetime.now(UTC) + timedelta(seconds=delay_s)).replace(microsecond=0)
    DUE[0] = due.timestamp()
    STARTED.clear()
    return due


async def _ours(count: int) -> tuple[float, float, int]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        due = _instant(25)
        times = [{"at": due.isoformat()}] * count + [{"daily": "03:00"}] * (REGISTERED - count)
        pipelines = {
            f"p{number}": {"executor": "inline", "schedule": schedule, "chain": ["benchmarks.stages.begin"]}
            for number, schedule in enumerate(times)
        }
        write_project(folder, {"scheduler": {"max_parallel_jobs": 500}, "pipelines": pipelines})
        async with scheduler_on(folder) as scheduler:
            await scheduler.start()
            await scheduler.start_timetable()
            settle_memory()
            await asyncio.sleep(max(DUE[0] - datetime.now(UTC).timestamp() - 1, 0))
            async with LoopProbe() as probe:
                await asyncio.sleep(1)
                await _settled(count)
    return percentile(STARTED, 0.99), probe.worst_s, count - len(STARTED)


async def _peer(count: int) -> tuple[float, float, int]:
    with TemporaryDirectory() as name:
        scheduler = AsyncIOScheduler(
            jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{name}/jobs.db")},
            job_defaults={"misfire_grace_time": None},  # its default of 1 s would drop the burst
        )
        scheduler.start(paused=True)
        with scheduler._jobstores["default"].engine.connect() as connection:  # noqa: SLF001 - its best journal mode
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        due = _instant(30)
        for number in range(REGISTERED):
            when = due if number < count else due + timedelta(days=1)
            scheduler.add_job(peer_body, "date", run_date=when, id=f"p{number}")
        scheduler.resume()
        settle_memory()  # the peer is given the same
        await asyncio.sleep(max(DUE[0] - datetime.now(UTC).timestamp() - 1, 0))
        async with LoopProbe() as probe:
            await asyncio.sleep(1)
            await _settled(count)
        scheduler.shutdown(wait=False)
    return percentile(STARTED or [float("inf")], 0.99), probe.worst_s, count - len(STARTED)
