"""How long it takes to register 10,000 schedules with a database, beside APScheduler with its SQLAlchemy store."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from benchmarks.measure import Row, catalog_of, ms, scheduler_on, write_project

COUNT = 10_000


def body() -> None:
    """What the peer's jobs would do."""


def measure() -> Iterator[Row]:
    """Yield the rows of registration: first start, second start, memory."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        pipelines = {
            f"p{number}": {
                "executor": "inline",
                "schedule": f"{number % 60} {number // 60 % 24} * * *",
                "chain": ["benchmarks.stages.nothing"],
            }
            for number in range(COUNT)
        }
        write_project(folder, {"pipelines": pipelines})
        began = time.perf_counter()
        catalog = catalog_of(folder)
        parsing_s = time.perf_counter() - began
        first_s, grown = asyncio.run(_ours(folder, catalog))
        second_s, _ = asyncio.run(_ours(folder, catalog))
    peer_s = asyncio.run(_peer())
    yield Row(f"read a file of {COUNT:,} pipelines", ms(parsing_s))
    yield Row(f"register {COUNT:,} schedules, first start", ms(first_s), ms(peer_s), peer_s / first_s, "≤ 1,500 ms")
    yield Row(f"register {COUNT:,} schedules, second start", ms(second_s), ms(peer_s), peer_s / second_s, "≤ 1,500 ms")
    yield Row("memory per registered schedule", f"{grown / COUNT / 1000:.1f} KB", target="≤ 3 KB")


async def _ours(folder: Path, catalog: object) -> tuple[float, int]:
    async with scheduler_on(folder, catalog) as scheduler:  # type: ignore[arg-type]  # a Catalog, opaque here
        gc.collect()
        before = psutil.Process(os.getpid()).memory_info().rss
        began = time.perf_counter()
        await scheduler.start()
        await scheduler.start_timetable()
        taken = time.perf_counter() - began
        gc.collect()
        return taken, psutil.Process(os.getpid()).memory_info().rss - before


async def _peer() -> float:
    with TemporaryDirectory() as name:
        scheduler = AsyncIOScheduler(jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{name}/jobs.db")})
        scheduler.start(paused=True)
        with scheduler._jobstores["default"].engine.connect() as connection:  # noqa: SLF001 - its best journal mode
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        began = time.perf_counter()
        for number in range(COUNT):
            trigger = CronTrigger(minute=number % 60, hour=number // 60 % 24)
            scheduler.add_job(body, trigger, id=f"p{number}")
        taken = time.perf_counter() - began
        scheduler.shutdown(wait=False)
        return taken
