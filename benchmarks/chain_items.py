"""What a chain costs per item: fused plain functions against a bare loop, async transforms against bare generators."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import Row
from pipelines.chain import run_chain
from pipelines.model import Job, StageSpec
from pipelines.registry import Registry
from pipelines.testing import MemoryState
from pipelines.transform import Transform

ITEMS = 300_000


def numbers(_: Any) -> Iterator[int]:
    """Yield the items."""
    yield from range(ITEMS)


def add(item: int) -> int:
    """Do next to nothing."""
    return item + 1


def double(item: int) -> int:
    """Do next to nothing."""
    return item * 2


def negate(item: int) -> int:
    """Do next to nothing."""
    return -item


def halve(item: int) -> int:
    """Do next to nothing."""
    return item // 2


class AsyncNumbers(Transform):
    """Yields the items."""

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[int]:
        """Yield them."""
        async for _ in items:
            for number in range(ITEMS):
                yield number


class AsyncAdd(Transform):
    """Does next to nothing."""

    async def __call__(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        """Add one to each."""
        async for item in items:
            yield item + 1


def measure() -> Iterator[Row]:
    """Yield throughput of both kinds of chain, and memory of the large one."""
    plain = ["numbers", "add", "double", "negate", "halve"]
    asynchronous = ["AsyncNumbers"] + ["AsyncAdd"] * 4
    yield _row("chain of plain functions", plain, _bare_loop)
    yield _row("chain of async transforms", asynchronous, lambda: asyncio.run(_bare_generators()))
    before = psutil.Process(os.getpid()).memory_info().rss
    _ours(asynchronous)
    grown = psutil.Process(os.getpid()).memory_info().rss - before
    yield Row(f"memory of {ITEMS:,} items through a chain", f"{max(grown, 0) / 1e6:.1f} MB", target="≤ 10 MB")


def _row(work: str, names: list[str], bare: Callable[[], float]) -> Row:
    pairs = [(_ours(names), bare()) for _ in range(5)]
    ours, peer = sorted(pairs, key=lambda pair: pair[0] / pair[1])[2]
    cost = f"{ours / ITEMS * 1e9:.0f} ns an item, {ours / peer:.2f}×"
    return Row(work, cost, f"{peer / ITEMS * 1e9:.0f} ns an item", peer / ours, "≤ 1.15×")


def _ours(names: list[str]) -> float:
    job = Job(
        run_id=1,
        attempt=1,
        max_attempts=1,
        pipeline="bench",
        stages=tuple(StageSpec(f"benchmarks.chain_items.{name}") for name in names),
        params={},
        started_by="manual",
        due_at=None,
        values={},
    )
    registry = Registry(Path("plugins"), ("benchmarks.chain_items",))

    async def run() -> float:
        began = time.perf_counter()
        outcome = await run_chain(job, registry, MemoryState())
        taken = time.perf_counter() - began
        if outcome.items_out != ITEMS:
            raise RuntimeError(f"the chain lost items: {outcome}")
        return taken

    return asyncio.run(run())


def _bare_loop() -> float:
    functions = (add, double, negate, halve)
    began = time.perf_counter()
    count = 0
    for item in numbers(None):
        value = item
        for function in functions:
            value = function(value)
        count += value is not None
    return time.perf_counter() - began


async def _bare_generators() -> float:
    async def source() -> AsyncIterator[int]:
        for number in range(ITEMS):
            yield number

    async def step(items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield item + 1

    stream: AsyncIterator[int] = source()
    for _ in range(4):
        stream = step(stream)
    began = time.perf_counter()
    async for _ in stream:
        pass
    return time.perf_counter() - began
