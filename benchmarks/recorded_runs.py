"""Trivial runs per second with a durable record of each, and how soon a run starts after it was asked for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from benchmarks.measure import Row, ms, percentile, scheduler_on, write_project
from pipelines import Engine
from pipelines.interpreter import settle_memory
from pipelines.store import history, state


def measure() -> Iterator[Row]:
    """Yield runs per second and start latency, inline and in worker processes."""
    peer = asyncio.run(_peer_rate(2_000))
    inline = asyncio.run(_rate("inline", count=10_000, slots=300))
    process = asyncio.run(_rate("process", count=3_000, slots=8))
    peer_text = f"{peer:,.0f}/s, no history"
    yield Row("recorded trivial runs, inline", f"{inline:,.0f}/s", peer_text, inline / peer, "≥ 5,000/s")
    yield Row("recorded trivial runs, worker processes", f"{process:,.0f}/s", peer_text, process / peer, "≥ 1,000/s")
    for kind, target in (("inline", "≤ 2 / 15 ms"), ("process", "≤ 10 / 40 ms")):
        waits = asyncio.run(_latencies(kind))
        p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
        yield Row(f"asked to started, {kind}, p50 / p99", f"{ms(p50)} / {ms(p99)}", target=target)


def _project(folder: Path, kind: str, stage: str, slots: int) -> None:
    pipeline = {"executor": kind, "max_instances": 1000, "chain": [f"benchmarks.stages.{stage}"]}
    write_project(folder, {"scheduler": {"max_parallel_jobs": slots}, "pipelines": {"p": pipeline}})


async def _rate(kind: str, *, count: int, slots: int) -> float:
    with TemporaryDirectory() as name:
        _project(Path(name), kind, "nothing", slots)
        async with scheduler_on(Path(name)) as scheduler:
            await scheduler.start()
            settle_memory()
            for _ in range(slots if kind == "process" else 1):  # the first runs start the workers
                await _all(scheduler, slots if kind == "process" else 10)
            began = time.perf_counter()
            await _all(scheduler, count)
            return count / (time.perf_counter() - began)


async def _all(scheduler: Engine, count: int) -> None:
    last = (await scheduler.run_now(["p"] * count))[-1].id
    while sum(each.executed for each in await scheduler.reader.read(history.stats, "p")) < last:
        await asyncio.sleep(0.02)


async def _latencies(kind: str, count: int = 300) -> list[float]:
    """Seconds from asking for a run to its stage's first line, for one run after the other."""
    with TemporaryDirectory() as name:
        _project(Path(name), kind, "say_when", 3)
        async with scheduler_on(Path(name)) as scheduler:
            await scheduler.start()
            settle_memory()
            await _all(scheduler, 5)
            return [await _latency(scheduler) for _ in range(count)]


async def _latency(scheduler: Engine) -> float:
    asked = time.time()
    (run,) = await scheduler.run_now(["p"])
    await scheduler.wait(run.id)
    values = await scheduler.reader.read(state.values, "p")
    return float(str(values["at"])) - asked


async def _peer_rate(count: int) -> float:
    """APScheduler with its SQLAlchemy store in WAL mode: each run is a job added and removed, with no history row."""
    done = asyncio.Event()
    left = [count]

    async def body() -> None:
        left[0] -= 1
        if not left[0]:
            done.set()

    with TemporaryDirectory() as name:
        scheduler = AsyncIOScheduler(
            jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{name}/jobs.db")},
            job_defaults={"misfire_grace_time": None},
        )
        scheduler.start(paused=True)
        with scheduler._jobstores["default"].engine.connect() as connection:  # noqa: SLF001 - its best journal mode
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        PEER_BODY.append(body)
        began = time.perf_counter()
        for _ in range(count):
            scheduler.add_job(peer_body)
        scheduler.resume()
        settle_memory()  # the peer is given the same
        await done.wait()
        taken = time.perf_counter() - began
        scheduler.shutdown(wait=False)
    return count / taken


PEER_BODY: list[object] = []


async def peer_body() -> None:
    """A job that a job store can name."""
    await PEER_BODY[-1]()  # type: ignore[operator]  # the closure of the measurement that is going on
