"""How long it takes to offer choices while somebody types, with 10,000 pipelines; there is no peer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import discord

from benchmarks.measure import Row, ms, percentile, scheduler_on, write_project
from bot import offers
from bot.matching import MOST, matching
from pipelines import Engine, Verbs

COUNT = 10_000
TIMES = 20
TARGET = "≤ 50 ms"
TYPED = {"nothing": "", "part of a name": "sales-00", "a misspelling": "etl-slaes-0042", "what is not there": "xyzzy"}


def measure() -> Iterator[Row]:
    """Yield the rows: matching alone, and the whole offer with rights, order and labels."""
    names = [f"{kind}-{what}-{number:04}" for number in range(COUNT // 4) for kind in ("etl", "load") for what in _WHAT]
    for words, typed in TYPED.items():
        taken = percentile([_matched_s(typed, names) for _ in range(TIMES)], 0.95)
        yield Row(f"match {words} against {COUNT:,} names", ms(taken), target=TARGET)
    with TemporaryDirectory() as folder:
        pipelines = {
            name: {"executor": "inline", "schedule": f"{at % 60} {at // 60 % 24} * * *", "chain": [_STAGE]}
            for at, name in enumerate(names)
        }
        write_project(Path(folder), {"pipelines": pipelines})
        for words, taken in asyncio.run(_offered(Path(folder))).items():
            target = TARGET if words in TYPED else ""
            yield Row(f"offer choices of {COUNT:,} pipelines, {words} typed", ms(taken), target=target)


_WHAT = ("sales", "weather")
_STAGE = "benchmarks.stages.nothing"


def _matched_s(typed: str, names: list[str]) -> float:
    began = time.perf_counter()
    list(islice(matching(typed, names), MOST))
    return time.perf_counter() - began


async def _offered(folder: Path) -> dict[str, float]:
    """Return for each text how long the offer took, in seconds, 95 % of the times."""
    async with scheduler_on(folder) as scheduler:
        await scheduler.start()
        await scheduler.start_timetable()
        interaction = _somebody(scheduler)
        first = {"for the first time, nothing": await _offer_s(interaction, "")}
        return first | {
            words: percentile([await _offer_s(interaction, typed) for _ in range(TIMES)], 0.95)
            for words, typed in TYPED.items()
        }


async def _offer_s(interaction: Any, typed: str) -> float:
    began = time.perf_counter()
    shown: Iterable[object] = await offers.pipelines(interaction, typed)
    list(islice(shown, MOST))
    return time.perf_counter() - began


def _somebody(scheduler: Engine) -> Any:
    """Return as much of an interaction as an offer looks at: an admin who types `/run`."""
    bot = SimpleNamespace(
        scheduler=scheduler, overview=scheduler.overview, verbs=Verbs(scheduler), get_guild=lambda _: None
    )
    return SimpleNamespace(
        client=bot,
        user=SimpleNamespace(id=1, display_name="ann"),
        permissions=discord.Permissions.all(),
        guild_id=1,
        channel_id=1,
        channel=None,
        command=SimpleNamespace(name="run"),
    )
