"""Runs on workers: how soon one begins, how many go through in a second, and how soon one goes on whose worker died.

Beside bare procrastinate, whose tasks run in the event loop as Pipecall's inline stages do, and bare Celery, whose
tasks run in processes as Pipecall's do otherwise. What each is, and with which settings, is in `contenders`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from benchmarks import contenders
from benchmarks.contenders import LEASE_S, Place
from benchmarks.measure import Row, ms, percentile

ASKED, BURST = 200, 1_000
CREWS = (1, 2, 3)
"""So many worker processes."""
WARM = 20
"""So many runs go before those that are measured."""
DEATHS = 3
"""So many workers are killed amid a run; the median is told."""
HELD_S = 1.0
"""So long, in seconds, the run has been going on then."""
_NEEDED = ("procrastinate", "psycopg", "redis", "celery")
Open: TypeAlias = Callable[[Path], AbstractAsyncContextManager[Place]]

INLINE: Open = partial(contenders.pipecall, executor="inline")
PROCESS: Open = partial(contenders.pipecall, executor="process")
PROCRASTINATE: Open = contenders.procrastinate
CELERY: Open = contenders.celery
RABBIT: Open = partial(contenders.celery, rabbit=True)
PAIRS = (("inline", INLINE, PROCRASTINATE), ("in processes", PROCESS, CELERY))


def measure() -> Iterator[Row]:
    """Yield the rows, or one that says what is missing."""
    if missing := [each for each in _NEEDED if find_spec(each) is None]:
        yield Row("runs on workers", f"not measured: pip install --group bench ({', '.join(missing)} missing)")
        return
    yield from _all_starts()
    yield from _all_rates()
    yield from _all_recoveries()


def _all_starts() -> Iterator[Row]:
    for kind, ours, theirs in PAIRS:
        (_, waits), (name, peer) = asyncio.run(_starts(ours)), asyncio.run(_starts(theirs))
        ratio = percentile(peer, 0.5) / percentile(waits, 0.5)
        what = f"asked to begun on an idle worker, {kind}: p50 / p99{_load()}"
        yield Row(what, _both(waits), f"{_both(peer)}, {name}", ratio)


def _all_rates() -> Iterator[Row]:
    for kind, ours, theirs in PAIRS:
        for workers in CREWS:
            (_, rate), (name, peer) = asyncio.run(_rate(ours, workers)), asyncio.run(_rate(theirs, workers))
            what = f"{BURST:,} runs asked for at once, {kind}, {workers} worker{'s' * (workers > 1)}{_load()}"
            yield Row(what, f"{rate:,.0f}/s", f"{peer:,.0f}/s, {name}", rate / peer)


def _all_recoveries() -> Iterator[Row]:
    """What the others are is the same on one machine and on two."""
    here = asyncio.run(_recovery(INLINE))[1]
    away = asyncio.run(_recovery(INLINE, elsewhere=True))[1]
    for theirs in (PROCRASTINATE, CELERY, RABBIT):
        name, peer = asyncio.run(_recovery(theirs))
        for where, ours in (("on this machine", here), ("on another", away)):
            what = f"worker killed to run begun again {where}, leases of {LEASE_S} s{_load()}"
            yield Row(what, f"{ours:.2f} s", f"{peer:.2f} s, {name}", peer / ours)


async def _starts(opened: Open) -> tuple[str, list[float]]:
    """Seconds from asking for a run to its stage's first line, one after the other, while one worker is idle."""
    async with _place(opened) as place:
        await place.start()
        waits = []
        for number in range(1, ASKED + WARM + 1):
            asked = time.time()
            await place.who.ask("mark")
            begun, _ = await place.marked(number)
            waits.append(begun - asked)
            await asyncio.sleep(0.02)
        return place.who.name, waits[WARM:]


async def _rate(opened: Open, workers: int) -> tuple[str, float]:
    """Runs per second, from asking for them all to the recorded end of the last."""
    async with _place(opened) as place:
        for _ in range(workers):
            await place.start()
        await place.who.ask("nothing", WARM * workers)
        await place.ended(WARM * workers)
        began = time.perf_counter()
        await place.who.ask("nothing", BURST)
        await place.ended(WARM * workers + BURST)
        return place.who.name, BURST / (time.perf_counter() - began)


async def _recovery(opened: Open, *, elsewhere: bool = False) -> tuple[str, float]:
    """Seconds from the death of a worker amid a run until another begins that run again; the median of some."""
    deaths = [await _death(opened, elsewhere=elsewhere) for _ in range(DEATHS)]
    return deaths[0][0], statistics.median(spent for _, spent in deaths)


async def _death(opened: Open, *, elsewhere: bool) -> tuple[str, float]:
    async with _place(opened) as place:
        for _ in range(2):
            await place.start(elsewhere=elsewhere)
        await place.who.ask("hold")
        _, holder = await place.marked(1)
        await asyncio.sleep(HELD_S)
        died = time.time()
        place.kill(holder)
        again, _ = await place.marked(2)
        return place.who.name, again - died


@asynccontextmanager
async def _place(opened: Open) -> AsyncIterator[Place]:
    with TemporaryDirectory() as name:
        async with opened(Path(name)) as place:
            yield place


def _both(waits: list[float]) -> str:
    return f"{ms(percentile(waits, 0.5))} / {ms(percentile(waits, 0.99))}"


def _load() -> str:
    """How busy the machine was, as these figures depend on it."""
    return f" (load {os.getloadavg()[0]:.0f})"
