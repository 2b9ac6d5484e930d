"""What it costs a scheduler on PostgreSQL that there are 100, 10,000 or 100,000 schedules: to start, to hold, to fire.

One of them is due every second, all others once a day. The peer is APScheduler with its SQLAlchemy store on the same
server, which records no runs; its jobs are put into its table as it would write them itself, only sooner.
"""

from __future__ import annotations

import asyncio
import gc
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import insert

from benchmarks.measure import Row, ms, percentile, write_project
from benchmarks.stages import STARTED
from pipelines import Engine, Settings
from pipelines.interpreter import settle_memory
from pipelines.loading import load_catalog
from pipelines.model import ScheduleRow
from pipelines.store import database, schedules
from tests.servers import fresh_schema

COUNTS = (100, 10_000, 100_000)
WATCHED_S = 30.0
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds to start, bytes that this took, and of each firing how late it was and its seconds of processor time."""

    start_s: float
    grown: int
    lags: list[float]
    cpu_s: float


def measure() -> Iterator[Row]:
    """Yield the rows of each count."""
    for count in COUNTS:
        ours, peer = asyncio.run(_ours(count)), asyncio.run(_peer(count))
        what = f"{count:,} schedules on PostgreSQL"
        yield Row(
            f"{what}: start again", ms(ours.start_s), f"{ms(peer.start_s)}, APScheduler", peer.start_s / ours.start_s
        )
        yield Row(f"{what}: memory they take", _mb(ours.grown), _mb(peer.grown))
        late, peer_late = percentile(ours.lags, 0.5), percentile(peer.lags, 0.5)
        yield Row(f"{what}: due to begun, p50 / p99", _both(ours.lags), _both(peer.lags), peer_late / late)
        ratio = peer.cpu_s / ours.cpu_s
        yield Row(f"{what}: processor time of a firing", ms(ours.cpu_s), f"{ms(peer.cpu_s)}, no history", ratio)


def peer_body() -> None:
    """What the peer's jobs do."""
    STARTED.append(time.time() % 1)


async def _ours(count: int) -> Cost:
    with TemporaryDirectory() as name, fresh_schema() as url:
        pipeline = {"executor": "inline", "chain": ["benchmarks.stages.note_lag"]}
        write_project(Path(name), {"pipelines": {"p": {**pipeline, "schedule": {"interval": {"seconds": 1}}}}})
        _fill(url, count - 1)
        settings = Settings(
            pipelines_config=Path(name) / "pipelines.yml",
            scheduler_db_url=url,
            plugins_allow="benchmarks.stages",
            log_level="ERROR",
            web="off",
        )
        async with Engine(settings, load_catalog(settings, {})) as engine:
            before, began = _memory(), time.perf_counter()
            await engine.start()
            await engine.start_timetable()
            start_s = time.perf_counter() - began
            grown = _memory() - before
            settle_memory()
            return Cost(start_s, grown, *await _fired())


def _fill(url: str, count: int) -> None:
    engine = database.connect(url)
    database.migrate(engine)
    row = ScheduleRow("", "p", {}, "UTC", "once a day", source="chat", last_due_at=datetime.now(UTC))
    rows = [replace(row, id=f"s{each}", spec={"cron": f"{_minute(each)} * * *"}) for each in range(count)]
    with database.writing(engine).begin() as conn:
        for first in range(0, count, _PAGE):
            schedules.add(conn, rows[first : first + _PAGE])
    engine.dispose()


def _minute(number: int) -> str:
    """Spread schedules over the day, but for the hours that are near."""
    hour = (datetime.now(UTC).hour + 2 + number // 60 % 20) % 24
    return f"{number % 60} {hour}"


async def _peer(count: int) -> Cost:
    with fresh_schema() as url:
        store = SQLAlchemyJobStore(url=url)
        scheduler = AsyncIOScheduler(timezone=UTC, jobstores={"default": store})
        scheduler.start(paused=True)
        job = scheduler.add_job(peer_body, CronTrigger(second="*"), id="p")
        state = job.__getstate__()
        later = datetime.now(UTC) + timedelta(hours=2)
        others = [_peer_row(state, each, later + timedelta(seconds=each)) for each in range(count - 1)]
        with store.engine.begin() as conn:
            for first in range(0, count - 1, _PAGE):
                conn.execute(insert(store.jobs_t), others[first : first + _PAGE])
        scheduler.shutdown()
        del others
        before, began = _memory(), time.perf_counter()
        scheduler = AsyncIOScheduler(timezone=UTC, jobstores={"default": SQLAlchemyJobStore(url=url)})
        scheduler.start()
        await asyncio.sleep(0)  # it looks at its jobs in the loop's next turn
        start_s = time.perf_counter() - began
        grown = _memory() - before
        settle_memory()
        cost = Cost(start_s, grown, *await _fired())
        scheduler.shutdown(wait=False)
        return cost


def _peer_row(state: dict[str, Any], number: int, at: datetime) -> dict[str, Any]:
    trigger = CronTrigger.from_crontab(f"{_minute(number)} * * *", timezone=UTC)
    kept = pickle.dumps({**state, "id": f"s{number}", "trigger": trigger, "next_run_time": at}, pickle.HIGHEST_PROTOCOL)
    return {"id": f"s{number}", "next_run_time": at.timestamp(), "job_state": kept}


async def _fired() -> tuple[list[float], float]:
    """Let what is due each second fire; return how late each was, and its seconds of processor time."""
    STARTED.clear()
    while not STARTED:  # one that has just taken the lead looks at all schedules once more
        await asyncio.sleep(0.1)
    await asyncio.sleep(3)
    STARTED.clear()
    process = psutil.Process()
    before = process.cpu_times()
    await asyncio.sleep(WATCHED_S)
    after = process.cpu_times()
    lags = list(STARTED)
    return lags, (after.user - before.user + after.system - before.system) / max(len(lags), 1)


def _memory() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _mb(grown: int) -> str:
    return f"{grown / 1e6:.1f} MB"


def _both(lags: list[float]) -> str:
    return f"{ms(percentile(lags, 0.5))} / {ms(percentile(lags, 0.99))}"
