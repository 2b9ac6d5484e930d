"""`run NAME --inline`: a chain run in this very process, for who writes it: breakpoints work, and nothing is recorded.

The chain and its executor are the engine's; the store is only read, and only what the run's state was is asked of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from pipelines import parameters
from pipelines.catalog import Catalog
from pipelines.cli import codes, flow_text, frame, printing
from pipelines.cli.flow import Flow
from pipelines.errors import BadParameter
from pipelines.execution.inline import InlineExecutor
from pipelines.model import JSON, Job, LogLine, Message, Outcome, RunState, StageCount
from pipelines.redaction import Redactor
from pipelines.registry import Registry
from pipelines.settings import Settings
from pipelines.store import state
from pipelines.store.peek import peek
from pipelines.store.writer import Reader

RUN_ID = 0
"""The number of a run that is not recorded."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How a chain is to be run: `limit` items from its first stage (None: all), `show` what flows, `dry_run` sinks."""

    params: Mapping[str, str]
    limit: int | None
    show: bool
    dry_run: bool


def run_inline(names: Sequence[str], *, params: Mapping[str, str], limit: int | None, show: bool, dry_run: bool) -> int:
    """Run pipelines here and now, one after the other, and print what came of each.

    Args:
        names: the pipelines, enabled or not.
        params: parameters as they were typed.
        limit: end the first stage after so many items; None: let it come to its end.
        show: print what came out of each stage.
        dry_run: leave out the stages that take items out to somewhere.

    Returns 0, 1 if one failed, 130 if one was interrupted, which ends it all.

    Raises:
        ConfigError: a setting or the pipelines file is wrong.
        UnknownName: there is no such pipeline; nothing was run.
        BadParameter: the parameters do not fit; nothing was run.
        StoreError: there is a store, and it cannot be read.
    """
    if limit is not None and limit < 1:
        raise BadParameter([f"--limit: found {limit}; expected a whole number from 1 on"])
    settings = frame.settings()
    catalog = frame.catalog(settings)
    wish = Wish(params, limit, show, dry_run)
    jobs = [_job(catalog, name, wish) for name in dict.fromkeys(names)]
    worst = codes.OK
    for job in jobs:
        code = _run_one(settings, catalog, job, wish)
        if code == codes.INTERRUPTED:
            return code
        worst = max(worst, code)
    return worst


def _job(catalog: Catalog, name: str, wish: Wish) -> Job:
    definition = catalog.get(name)
    return Job(
        run_id=RUN_ID,
        attempt=1,
        max_attempts=1,
        pipeline=name,
        stages=definition.stage_specs(os.environ),
        params=definition.resolved_params(os.environ, parameters.check_for(definition, wish.params)),
        started_by="manual",
        due_at=None,
        values={},
        secrets=tuple(catalog.loaded.secrets),
    )


def _run_one(settings: Settings, catalog: Catalog, job: Job, wish: Wish) -> int:
    redactor = Redactor(catalog.loaded.secrets)
    width = printing.console().width if printing.on_terminal() else flow_text.PIPED_WIDTH
    flow = Flow(
        Registry(settings.plugins_folder, settings.allowed_modules),
        text_of=lambda item: flow_text.item_text(item, redactor, width),
        show=wish.show,
        dry_run=wish.dry_run,
        limit=wish.limit,
    )
    outcome, read = asyncio.run(_run(settings, replace(job, stages=flow.specs(job.stages)), flow, redactor))
    outcome = redactor.outcome(outcome)
    sys.stdout.flush()
    for text in flow_text.report(job.pipeline, outcome, flow, redactor, show=wish.show, read=read):
        printing.line(text)
    if outcome.state is RunState.CANCELLED or (outcome.error and outcome.error.type == KeyboardInterrupt.__name__):
        return codes.INTERRUPTED
    return codes.OK if outcome.state.good else codes.FAILED


async def _run(settings: Settings, job: Job, flow: Flow, redactor: Redactor) -> tuple[Outcome, bool]:
    """Return how it ended, and whether there was a store to read its state from."""
    with ExitStack() as stack:
        engine = stack.enter_context(peek(settings.scheduler_db_url))
        reader = Reader(engine) if engine is not None else None
        cancel = asyncio.get_running_loop().create_future()
        executor = InlineExecutor(flow)
        await executor.start()
        try:
            if reader is not None:
                job = replace(job, values=await reader.read(state.values, job.pipeline))
            listener = _Terminal(job.pipeline, reader, redactor)
            with _interrupts(cancel):
                outcome = await executor.execute(job, listener, timeout_s=None, cancel=cancel)
        finally:
            await executor.close()
            if reader is not None:
                await reader.close()
        if cancel.done() and outcome.state is RunState.CANCELLED:
            outcome = replace(outcome, reason="; ".join(filter(None, ("interrupted", outcome.reason))))
        return outcome, reader is not None


class _Terminal:
    """Follows a run (`execution.Listener`): what it logs goes to standard error as it comes."""

    def __init__(self, pipeline: str, reader: Reader | None, redactor: Redactor) -> None:
        self._pipeline = pipeline
        self._reader = reader
        self._redactor = redactor

    def log(self, lines: Sequence[LogLine]) -> None:
        for line in map(self._redactor.line, lines):
            at = f"{line.at.astimezone():%H:%M:%S}"
            printing.note(f"{at} {logging.getLevelName(line.level):<7} {line.text}")

    def stages(self, counts: Sequence[StageCount]) -> None:
        """The counts are told at the end."""

    def progress(self, done: float | None, note: str) -> None:
        percent = f"{done:.0%}" if done is not None else ""
        printing.note(" ".join(filter(None, ("progress:", percent, self._redactor.text(note)))))

    def message(self, message: Message) -> None:
        """Messages are shown at the end."""

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        if self._reader is None:
            return {}
        return await self._reader.read(state.lookup, self._pipeline, collection, keys)

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        if self._reader is None:
            return []
        return await self._reader.read(state.scan, self._pipeline, collection, after, limit)


@contextmanager
def _interrupts(cancel: asyncio.Future[None]) -> Iterator[None]:
    """Have the first Ctrl-C ask the chain to stop, and the second break off whatever is running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    pressed: list[int] = []

    def ask() -> None:
        if not cancel.done():
            cancel.set_result(None)

    def interrupted(number: int, _frame: FrameType | None) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)
        printing.note("interrupted: closing the stages; once more breaks off at once")
        loop.call_soon_threadsafe(ask)

    before: Callable[[int, FrameType | None], Any] | int | None = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
