"""Runs chains in the service's own event loop: no start-up cost, no protection from a stage that blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from pipelines.chain import Chain, StageBuilder
from pipelines.execution.lease import NOT_BEGUN, Lease
from pipelines.execution.lines import FLUSH_EVERY_S, Lines, RunLogs
from pipelines.execution.protocol import Listener, ListenerPort, Stop, supervise
from pipelines.model import Job, Outcome, RunState

COUNTS_EVERY = 5
"""Counts are told with every fifth flush of the log."""


class InlineExecutor:
    """Runs each chain as a task of the loop it is called from."""

    def __init__(self, registry: StageBuilder, *, close_s: float = 10.0) -> None:
        """Build stages with `registry`; a cancelled chain has `close_s` seconds to close its stages."""
        self._registry = registry
        self._close_s = close_s
        self._logs = RunLogs()
        self._running: set[asyncio.Task[Outcome]] = set()

    async def start(self) -> None:
        """Begin to take what runs log."""
        self._logs.open()

    async def close(self) -> None:
        """Cancel what is still running, and wait for as long as stages may take to close."""
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=self._close_s)
        self._logs.close()

    def grow(self, at_once: int) -> None:
        """See `Executor.grow`: nothing limits it here."""

    def renew(self, stages: Iterable[str], *, plugins: bool) -> None:  # noqa: ARG002 - to look again is cheap
        """See `Executor.renew`."""
        self._registry.renew(stages)

    async def execute(
        self,
        job: Job,
        listener: Listener,
        *,
        timeout_s: float | None,
        cancel: asyncio.Future[None],
        lease: Lease | None = None,
    ) -> Outcome:
        """See `Executor.execute`."""
        chain = Chain(job, self._registry, ListenerPort(listener))
        task = asyncio.create_task(reported(chain, job, listener, self._logs, lease), name=f"run {job.run_id}")
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


async def reported(chain: Chain, job: Job, listener: Listener, logs: RunLogs, lease: Lease | None = None) -> Outcome:
    """Run a chain in this loop and tell the listener what it logs and counts; cancelled, say so in the outcome.

    It does not begin where its lease is over: this process slept just now, and another may execute it.
    """
    if lease is not None and lease.over:
        return NOT_BEGUN
    report = _Report(chain, listener)
    with logs.taking(job.run_id, report.lines.add):
        try:
            return await chain.run()
        except asyncio.CancelledError:
            return Outcome(state=RunState.CANCELLED, stages=chain.counts(), messages=chain.messages)
        finally:
            report.end()


class _Report:
    """Tells a listener every now and then what its chain did. A timer, as a task would cost half a short run."""

    def __init__(self, chain: Chain, listener: Listener) -> None:
        self.lines = Lines()
        self._chain = chain
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._flushes = 0
        self._timer = self._loop.call_later(FLUSH_EVERY_S, self._tell)

    def end(self) -> None:
        """Tell the rest."""
        self._timer.cancel()
        self._flush()

    def _tell(self) -> None:
        self._timer = self._loop.call_later(FLUSH_EVERY_S, self._tell)
        self._flush()
        self._flushes += 1
        if self._flushes % COUNTS_EVERY == 0:
            self._listener.stages(self._chain.counts())

    def _flush(self) -> None:
        if lines := self.lines.take():
            self._listener.log(lines)
