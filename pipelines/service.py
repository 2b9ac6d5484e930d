"""The two ways to run the program: as a service until it is told to stop, or every pipeline once. Exit codes live here.

0: all went well. 1: a pipeline failed, or the service did. 2: a setting, the pipelines file or a name is wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from rich.text import Text

from pipelines import stopping, systemd, terminal
from pipelines.catalog import Catalog
from pipelines.distributed import requirements
from pipelines.engine import Engine
from pipelines.errors import ConfigError, InvalidTransition, PipecallError, Problem, UnknownName
from pipelines.faces import Face, Faces, start_face
from pipelines.interpreter import settle_memory, take_turns
from pipelines.loading import load_catalog
from pipelines.log import set_up_logging
from pipelines.model import Run, utcnow
from pipelines.settings import Settings, read_settings
from pipelines.worker import SERVICE_STOPPED

logger = logging.getLogger(__name__)

OK, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130

GIVEN_UP_S = 5
"""So long, in seconds, runs that were cancelled while they waited may take to be told as such."""

FLUSH_ONCE_S = 30.0
"""So long, in seconds, a program that runs pipelines once may take to deliver what they said."""
FLUSH_STOP_S = 5.0
"""So long, in seconds, a service that stops may take to deliver what it still has."""


def main(act: Callable[[Settings, Catalog], Coroutine[Any, Any, int]], arguments: Sequence[str] = ()) -> int:
    """Read settings and pipelines, run `act` with them, and return the exit code; the one place that makes them.

    `arguments` are those of the command line that win over settings: `--schedule-config FILE`, a JSON file of jobs.
    """
    try:
        settings = read_settings(**_given(arguments))
        set_up_logging(settings.log_level or "INFO", settings.log_format)
        requirements.check(settings)
        catalog = load_catalog(settings, os.environ)
        return asyncio.run(act(settings, catalog))
    except (ConfigError, UnknownName) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the user's terminal is whom this is for
        return WRONG_INPUT
    except PipecallError as error:
        print(error, file=sys.stderr)  # noqa: T201 - as above
        return FAILED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201 - as above
        return INTERRUPTED


def _given(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the settings that the command line gives, or raise ConfigError."""
    match arguments[0].split("=", 1) if len(arguments) == 1 else list(arguments):
        case []:
            return {}
        case ["--schedule-config", path] if path:
            return {"scheduler_jobs": path}
    expected = "expected nothing, or --schedule-config FILE with a JSON file of jobs"
    raise ConfigError([Problem(f"found {' '.join(arguments)}; {expected}", path="command line")])


# ---------------------------------------------------------------- the service


async def serve(settings: Settings, catalog: Catalog, faces: Faces = ()) -> int:
    """Run the scheduler until SIGTERM or SIGINT, then drain; a second signal stops at once."""
    take_turns()
    stop = stopping.signals()
    made = [make(settings, os.environ) for make in faces]
    async with _scheduler(settings, catalog, made) as scheduler:
        if not stop.empty():
            logger.info("%s: stopped before anything was started", stop.get_nowait())
            return OK
        await scheduler.start()
        schedules = await scheduler.start_timetable()
        terminal.show(terminal.jobs_table(catalog, schedules, utcnow(), first=scheduler.first))
        await scheduler.run_unscheduled()
        scheduler.start_monitoring()
        async with AsyncExitStack() as stack:
            for face in made:
                await start_face(face, scheduler)
                stack.push_async_callback(face.stop)
            settle_memory()
            manager = await stack.enter_async_context(systemd.attended(os.environ, scheduler.health))
            logger.info("ready; Ctrl-C stops")
            code = await stopping.until(stop, scheduler)
            manager.stopping()
            for face in made:
                await face.leave()
            await stopping.drain(stop, scheduler, settings.scheduler_drain_s)
        await scheduler.flush(FLUSH_STOP_S)
    logger.info("stopped")
    return code


def _scheduler(settings: Settings, catalog: Catalog, faces: Sequence[Face]) -> Engine:
    return Engine(
        settings,
        catalog,
        env=os.environ,
        channels={name: channel for face in faces for name, channel in face.channels().items()},
        absent={name: why for face in faces for name, why in face.absent().items()},
    )


# ---------------------------------------------------------------- run once


async def run_once(settings: Settings, catalog: Catalog, names: Sequence[str] = (), faces: Faces = ()) -> int:
    """Run every enabled pipeline once, or those named (enabled or not), and say how each ended.

    Raises:
        UnknownName: a name is not in the file; nothing is run.
    """
    wanted = [catalog.get(name).name for name in dict.fromkeys(names)] or [each.name for each in catalog.enabled()]
    ended = await run_to_end(settings, catalog, faces, queue=lambda scheduler: scheduler.run_now(wanted))
    terminal.show(*(terminal.summary_line(run) for run in ended), _tally(ended))
    return OK if all(run.state.good for run in ended) else FAILED


async def run_to_end(
    settings: Settings,
    catalog: Catalog,
    faces: Faces,
    *,
    queue: Callable[[Engine], Awaitable[list[Run]]],
    watch: Callable[[Engine, Sequence[Run]], Coroutine[Any, Any, None]] | None = None,
) -> list[Run]:
    """Execute the runs that `queue` asks for, and nothing else, until all are over or somebody stops it.

    `watch` is begun beside them, and must end once all of them are over.
    """
    stop = stopping.signals()
    async with _scheduler(settings, catalog, [make(settings, os.environ) for make in faces]) as scheduler:
        queued = await queue(scheduler)
        ids = [run.id for run in queued]
        await scheduler.start(only=ids)
        given_up = asyncio.create_task(_give_up_when_told(stop, scheduler, ids), name="signals")
        watching = asyncio.create_task(watch(scheduler, queued), name="terminal") if watch else None
        ended = await _all_ended(scheduler, ids, given_up)
        given_up.cancel()
        if watching is not None:
            await watching
        undelivered = await scheduler.flush(FLUSH_ONCE_S)
    if undelivered:
        logger.warning("%s", undelivered)
    return ended


async def _all_ended(scheduler: Engine, ids: Sequence[int], given_up: asyncio.Task[None]) -> list[Run]:
    """Wait for the runs; a fault of the service itself is raised. `given_up` ends what waits once it was told to."""
    results = asyncio.ensure_future(asyncio.gather(*(scheduler.wait(run_id) for run_id in ids)))
    failed = asyncio.create_task(scheduler.failed(), name="watch")
    await asyncio.wait((results, failed), return_when=asyncio.FIRST_COMPLETED)
    if not results.done() and failed.exception() is None:
        # Without a fault the worker ends only when it was stopped: what it left waiting is being cancelled now.
        await given_up
        await asyncio.wait((results,), timeout=GIVEN_UP_S)
    failed.cancel()
    if results.done():
        return await results
    results.cancel()
    await asyncio.gather(results, return_exceptions=True)
    await failed
    raise PipecallError("the worker ended before the runs did")


async def _give_up_when_told(stop: asyncio.Queue[str], scheduler: Engine, ids: Sequence[int]) -> None:
    logger.info("%s: stopping; a second signal stops at once", await stop.get())
    await stopping.drain(stop, scheduler, scheduler.settings.scheduler_drain_s)
    for run_id in ids:
        with contextlib.suppress(InvalidTransition):
            await scheduler.cancel(run_id, reason=SERVICE_STOPPED)


def _tally(ended: Sequence[Run]) -> Text:
    bad = sum(not run.state.good for run in ended)
    return Text(
        f"{len(ended)} pipeline{'' if len(ended) == 1 else 's'} run, {bad} failed", style="red" if bad else "green"
    )


async def serve_or_run_once(settings: Settings, catalog: Catalog, faces: Faces = ()) -> int:
    """Do as `SCHEDULER_MODE` says: `serve`, or with `legacy` `run_once`."""
    act = run_once if settings.scheduler_mode == "legacy" else serve
    return await act(settings, catalog, faces=faces)
