"""How soon one changed pipeline of 10,000 is in force, what that holds up, and what 20 reloads leave in memory.

The time is from the moment in which the file stands on the disk; up to 0.35 s of it is a wait for further changes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from benchmarks.measure import LoopProbe, Row, catalog_of, ms, percentile, scheduler_on, write_project
from pipelines import Engine
from pipelines.interpreter import settle_memory

COUNT = 10_000
TIMES = 20
TAKEN_UP_S = 60.0


def measure() -> Iterator[Row]:
    """Yield the rows."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, 0)
        began = time.perf_counter()
        catalog = catalog_of(folder)
        full_s = time.perf_counter() - began
        del catalog
        yield from asyncio.run(_reloaded(folder, full_s))


def _write(folder: Path, changed: int) -> None:
    """Write the file; the pipeline in the middle has another description for each number."""
    pipelines: dict[str, Any] = {
        f"p{number}": {
            "executor": "inline",
            "description": f"pipeline {number}",
            "schedule": f"{number % 60} {number // 60 % 24} * * *",
            "chain": ["benchmarks.stages.nothing"],
        }
        for number in range(COUNT)
    }
    pipelines[_middle()]["description"] = f"change {changed}"
    new = folder / "new"
    new.mkdir(exist_ok=True)
    write_project(new, {"pipelines": pipelines})
    (new / "pipelines.yml").replace(folder / "pipelines.yml")


def _middle() -> str:
    return f"p{COUNT // 2}"


async def _reloaded(folder: Path, full_s: float) -> Iterator[Row]:
    async with scheduler_on(folder) as engine:
        await engine.start()
        await engine.start_timetable()
        engine.start_monitoring()
        settle_memory()
        told = asyncio.Event()
        engine.reload.watch(lambda _: told.set())
        await asyncio.sleep(3)  # the folder is watched by then
        taken, held = [], []
        memory = [_resident()]
        for number in range(1, TIMES + 1):
            async with LoopProbe() as probe:
                taken.append(await _in_force(engine, folder, number, told))
            held.append(probe.worst_s)
            memory.append(_resident())
    grown = (memory[-1] - memory[2]) / (len(memory) - 3)
    what = f"one of {COUNT:,} pipelines changed"
    return iter(
        [
            Row(f"{what}: in force after, p50 / worst", _both(taken), f"{ms(full_s)}, a full load"),
            Row(f"{what}: loop held, p50 / worst", _both(held), target="≤ 50 ms"),
            Row(
                f"memory before / after {TIMES} reloads",
                f"{memory[0] / 1e6:.0f} / {memory[-1] / 1e6:.0f} MB, {grown / 1e6:.2f} MB each",
                target="flat",
            ),
        ]
    )


async def _in_force(engine: Engine, folder: Path, number: int, told: asyncio.Event) -> float:
    """Change the file, and return how many seconds later the change was in force."""
    told.clear()
    await asyncio.to_thread(_write, folder, number)
    began = time.perf_counter()
    async with asyncio.timeout(TAKEN_UP_S):
        await told.wait()
    if engine.catalog.get(_middle()).description != f"change {number}":
        raise RuntimeError(f"change {number} is not in force: {engine.reload.problem}")
    return time.perf_counter() - began


def _both(seconds: list[float]) -> str:
    return f"{ms(percentile(seconds, 0.5))} / {ms(max(seconds))}"


def _resident() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)
