"""Runs that somebody starts at the terminal: queued for the service and followed, or executed here where none runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines import faces, parameters, service
from pipelines.catalog import Catalog
from pipelines.cli import codes, frame, printing, records, words
from pipelines.cli.follow_text import screen
from pipelines.cli.following import LOOK_S, Follower
from pipelines.cli.standing import standing
from pipelines.distributed import requirements
from pipelines.engine import Engine
from pipelines.errors import InvalidTransition
from pipelines.model import Run
from pipelines.settings import Settings
from pipelines.store.holding import holder
from pipelines.verbs import Verbs

PATIENCE = 20
"""So many times it is looked whether a process that holds the store is a service."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to run: pipelines, with parameters as they were typed, and whether JSON is wanted."""

    names: tuple[str, ...]
    params: Mapping[str, str]
    as_json: bool


async def queue(wish: Wish) -> list[Run]:
    """Queue the runs, say so, and return them.

    Raises:
        UnknownName: a pipeline is not in the file; nothing is queued.
        BadParameter: the parameters do not fit one of them; nothing is queued.
    """
    chosen = frame.settings()
    runs = await _queued(chosen, wish)
    if wish.as_json:
        printing.document([records.run(run) for run in runs])
        return runs
    left = "it is left to the workers" if chosen.executor == "procrastinate" else "it starts with the next one"
    waits = "" if (await standing(chosen)).runs else f"; no service runs: {left}"
    for run in runs:
        printing.line(f"{words.named(run)} is queued{waits}")
    return runs


async def _queued(chosen: Settings, wish: Wish) -> list[Run]:
    async with frame.attached(chosen) as desk:
        _checked(desk.engine.catalog, wish)
        return [await desk.verbs.run(desk.asked(), name, wish.params) for name in wish.names]


def _checked(catalog: Catalog, wish: Wish) -> None:
    for name in wish.names:
        parameters.check_for(catalog.get(name), wish.params)


async def _served(chosen: Settings) -> bool:
    """Say whether a service executes what is queued; one that has just begun is given a moment to say so.

    Raises:
        InvalidTransition: the store is in use by what is no service, so that nobody could execute a run now.
    """
    for _ in range(PATIENCE):
        found = await standing(chosen)
        if found.runs or found.holder is None:
            return found.runs
        await asyncio.sleep(LOOK_S)
    raise InvalidTransition(f"{'; '.join(found.faults)}; wait until it has ended, or queue runs by 'pipecall run-now'")


def follow(wish: Wish, cancel_on_interrupt: bool) -> int:
    """Run what is wished and follow it to its end; return the exit code.

    Raises:
        ConfigError: with these settings nobody could execute it; nothing is run.
        UnknownName: a pipeline is not in the file; nothing is run.
        BadParameter: the parameters do not fit one of them; nothing is run.
    """
    chosen = frame.settings()
    requirements.check(chosen)
    if not frame.run_async(_served(chosen)):
        return frame.run_async(_run_here(chosen, wish))
    runs = frame.run_async(_queued(chosen, wish))
    ids = [run.id for run in runs]
    try:
        ended = frame.run_async(_followed(chosen, ids, wish.as_json))
    except KeyboardInterrupt:
        if cancel_on_interrupt:
            frame.run_async(_cancel(chosen, ids))
        else:
            printing.note(_left(runs))
        return codes.INTERRUPTED
    return codes.OK if all(run.state.good for run in ended) else codes.FAILED


def _left(runs: Sequence[Run]) -> str:
    """Say what becomes of runs that are no longer followed."""
    named = ", ".join(map(words.named, runs))
    ways = " or ".join(f"'pipecall cancel {run.id}'" for run in runs[:3])
    return f"no longer following {named}: the service goes on with it; {ways} cancels it"


async def _followed(chosen: Settings, ids: Sequence[int], as_json: bool) -> list[Run]:
    async def alive() -> bool:
        return await asyncio.to_thread(holder, chosen.scheduler_db_url) is not None

    async with frame.reading(chosen) as reads:
        return await _watched(Follower(reads, ids, alive), as_json)


async def _watched(follower: Follower, as_json: bool) -> list[Run]:
    ended: list[Run] = []
    with screen(as_json) as shown:
        async for sights in follower.sights():
            shown.show(sights)
            ended = [sight.run for sight in sights]
    return ended


async def _cancel(chosen: Settings, ids: Sequence[int]) -> None:
    async with frame.attached(chosen, file=False) as desk:
        for run_id in ids:
            try:
                run = await desk.verbs.cancel(desk.asked(), run_id, "Ctrl-C")
            except InvalidTransition as error:
                printing.note(str(error))
            else:
                printing.note(f"{words.named(run)} is being cancelled")


async def _run_here(chosen: Settings, wish: Wish) -> int:
    """Execute the runs in this process, as `main.py` does."""
    catalog = frame.catalog(chosen)
    _checked(catalog, wish)
    who = "this terminal executes it" if chosen.executor == "local" else "it is left to the workers"
    printing.note(f"no service runs: {who}, and Ctrl-C stops it")

    async def ask(engine: Engine) -> list[Run]:
        desk = frame.Desk(engine, Verbs(engine))
        return [await desk.verbs.run(desk.asked(), name, wish.params) for name in wish.names]

    async def watch(engine: Engine, runs: Sequence[Run]) -> None:
        await _watched(Follower(engine.reads, [run.id for run in runs]), wish.as_json)

    ended = await service.run_to_end(chosen, catalog, faces.shipped(), queue=ask, watch=watch)
    return codes.OK if all(run.state.good for run in ended) else codes.FAILED
