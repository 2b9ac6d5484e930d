"""How soon runs start while a million old ones are being removed, beside how soon they start when nothing is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, text

from benchmarks.measure import Row, ms, percentile, scheduler_on, write_project
from pipelines import Engine
from pipelines.interpreter import settle_memory
from pipelines.model import utcnow
from pipelines.retention import Retention
from pipelines.store import database

RUNS = 1_000_000
ASKED = 300
_NUMBERS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < :count)"
_FILL = (
    f"INSERT INTO runs (id, pipeline, started_by, params, state, queued_at, started_at, ended_at, attempt) {_NUMBERS} "
    "SELECT id, 'old', 'schedule', '{}', 'succeeded', :at, :at, :at, 1 FROM n; "
    f"INSERT INTO attempts (run_id, number, state, started_at, ended_at) {_NUMBERS} "
    "SELECT id, 1, 'succeeded', :at, :at FROM n; "
    f"INSERT INTO logs (run_id, seq, at, level, source, text) {_NUMBERS} "
    "SELECT id, 1, :at, 20, 'stage', 'a line of this run' FROM n"
)


def measure() -> Iterator[Row]:
    """Yield the latencies, and how many rows went meanwhile."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _project(folder)
        yield from asyncio.run(_measure(folder))


def _project(folder: Path) -> None:
    pipeline = {"executor": "inline", "chain": ["benchmarks.stages.nothing"]}
    write_project(folder, {"pipelines": {"p": pipeline}})
    engine = database.connect(f"sqlite:///{folder / 'store.db'}")
    database.migrate(engine)
    at = (utcnow() - timedelta(days=100)).replace(tzinfo=None).isoformat(" ", "microseconds")
    with database.writing(engine).begin() as conn:
        for statement in _FILL.split("; "):
            conn.execute(text(statement), {"count": RUNS, "at": at})
    engine.dispose()


async def _measure(folder: Path) -> Iterator[Row]:
    async with scheduler_on(folder) as scheduler:
        await scheduler.start()
        settle_memory()
        await _waits(scheduler, 20)
        alone = await _waits(scheduler, ASKED)
        sweeping = asyncio.create_task(Retention(scheduler.writer, scheduler.reader, scheduler.catalog).sweep())
        await asyncio.sleep(1)
        began, before = time.perf_counter(), await scheduler.reader.read(_rows)
        beside = await _waits(scheduler, ASKED)
        gone = (before - await scheduler.reader.read(_rows)) / (time.perf_counter() - began)
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
    target = "as without"
    return iter(
        [
            Row(f"asked to ended, {RUNS:,} runs kept, p50 / p99", _both(alone)),
            Row("the same while they are being removed, p50 / p99", _both(beside), target=target),
            Row("meanwhile removed", f"{gone:,.0f} rows/s"),
        ]
    )


def _both(waits: list[float]) -> str:
    return f"{ms(percentile(waits, 0.5))} / {ms(percentile(waits, 0.99))}"


def _rows(conn: Connection) -> int:
    tables = ("runs", "attempts", "logs")
    return sum(int(conn.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in tables)


async def _waits(scheduler: Engine, count: int) -> list[float]:
    """Seconds from asking for a trivial run to its recorded end, for one after the other."""
    waits = []
    for _ in range(count):
        began = time.perf_counter()
        (run,) = await scheduler.run_now(["p"])
        await scheduler.wait(run.id)
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.005)
    return waits
