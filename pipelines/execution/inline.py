"""Runs chains in the service's own event loop: no start-up cost, no protection from a stage that blocks."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from pipelines.chain import Chain, StageBuilder
from pipelines.execution.lines import FLUSH_EVERY_S, Lines, RunLogHandler
from pipelines.execution.protocol import Listener, ListenerPort, Stop, supervise
from pipelines.model import Job, LogLine, Outcome, RunState

COUNTS_EVERY = 5
"""Counts are told with every fifth flush of the log."""


class InlineExecutor:
    """Runs each chain as a task of the loop it is called from."""

    def __init__(self, registry: StageBuilder, *, close_s: float = 10.0) -> None:
        """Build stages with `registry`; a cancelled chain has `close_s` seconds to close its stages."""
        self._registry = registry
        self._close_s = close_s
        self._running: set[asyncio.Task[Outcome]] = set()

    async def start(self) -> None:
        """There is nothing to get ready."""

    async def close(self) -> None:
        """Cancel what is still running, and wait for as long as stages may take to close."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._close_s)

    async def execute(self, job: Job, listener: Listener, *, timeout_s: float | None, cancel: asyncio.Event) -> Outcome:
        """See `Executor.execute`."""
        chain = Chain(job, self._registry, ListenerPort(listener))
        task = asyncio.create_task(reported(chain, job, listener), name=f"run {job.run_id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

        def ask_to_stop() -> None:
            task.cancel()

        def give_up(stop: Stop) -> Outcome:
            return stop.outcome(chain.counts(), note="a stage ignores this and is still running in the service itself")

        try:
            return await supervise(
                task,
                timeout_s=timeout_s,
                cancel=cancel,
                close_s=self._close_s,
                ask_to_stop=ask_to_stop,
                give_up=give_up,
            )
        except asyncio.CancelledError:
            task.cancel()
            raise


async def reported(chain: Chain, job: Job, listener: Listener) -> Outcome:
    """Run a chain in this loop and tell the listener what it logs and counts; cancelled, say so in the outcome."""
    lines = Lines()
    with RunLogHandler(job.run_id, job.pipeline, lines.add):
        teller = asyncio.create_task(_tell(chain, lines, listener), name=f"report of run {job.run_id}")
        try:
            return await chain.run()
        except asyncio.CancelledError:
            return Outcome(state=RunState.CANCELLED, stages=chain.counts(), messages=chain.messages)
        finally:
            teller.cancel()
            with suppress(asyncio.CancelledError):
                await teller
            flush(lines.take(), listener)


async def _tell(chain: Chain, lines: Lines, listener: Listener) -> None:
    flushes = 0
    while True:
        await asyncio.sleep(FLUSH_EVERY_S)
        flushes += 1
        flush(lines.take(), listener)
        if flushes % COUNTS_EVERY == 0:
            listener.stages(chain.counts())


def flush(lines: list[LogLine], listener: Listener) -> None:
    """Hand on lines if there are any."""
    if lines:
        listener.log(lines)
