"""Runs each chain in a thread of its own with an event loop of its own: a blocking stage blocks nobody else.

A thread cannot be killed. One whose chain does not close in time is left behind, and the outcome says so.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pipelines.chain import Chain, StageBuilder
from pipelines.chain.failure import failed, message_of
from pipelines.execution.inline import reported
from pipelines.execution.lease import Lease
from pipelines.execution.lines import RunLogs
from pipelines.execution.protocol import Listener, ListenerPort, Stop, supervise
from pipelines.model import JSON, Job, LogLine, Message, Outcome, StageCount

T = TypeVar("T")


class _Across:
    """A listener for the chain's thread: hands everything over to the service's loop."""

    def __init__(self, listener: Listener, home: asyncio.AbstractEventLoop) -> None:
        self._listener = listener
        self._home = home
        self.counts: tuple[StageCount, ...] = ()

    def _post(self, told: Any, *args: Any) -> None:
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(told, *args)

    def log(self, lines: Sequence[LogLine]) -> None:
        self._post(self._listener.log, lines)

    def stages(self, counts: Sequence[StageCount]) -> None:
        self.counts = tuple(counts)
        self._post(self._listener.stages, counts)

    def progress(self, done: float | None, note: str) -> None:
        self._post(self._listener.progress, done, note)

    def message(self, message: Message) -> None:
        self._post(self._listener.message, message)

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        asked = asyncio.run_coroutine_threadsafe(self._listener.lookup(collection, keys), self._home)
        return await asyncio.wrap_future(asked)

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        asked = asyncio.run_coroutine_threadsafe(self._listener.scan(collection, after, limit), self._home)
        return await asyncio.wrap_future(asked)


class _ThreadedRun:
    """One chain in its thread."""

    def __init__(
        self, job: Job, registry: StageBuilder, listener: Listener, logs: RunLogs, lease: Lease | None
    ) -> None:
        self._job = job
        self._logs = logs
        self._lease = lease
        self._home = asyncio.get_running_loop()
        self._across = _Across(listener, self._home)
        self._chain = Chain(job, registry, ListenerPort(self._across))
        self._task: asyncio.Task[Outcome] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self.done: asyncio.Future[Outcome] = self._home.create_future()
        thread = threading.Thread(target=self._main, name=f"run {job.run_id} {job.pipeline}", daemon=True)
        thread.start()

    def stop(self) -> None:
        """Cancel the chain; it may not have begun."""
        self._stopping = True
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    def left_behind(self, stop: Stop) -> Outcome:
        """Return the outcome of a chain that did not stop."""
        return stop.outcome(
            self._across.counts or self._chain.counts(), note="still running in a thread that cannot be stopped"
        )

    def _main(self) -> None:
        try:
            outcome = asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - the thread's outermost frame: its run must end in any case
            outcome = failed(type(error).__name__, message_of(error))
        if not self._home.is_closed():
            self._home.call_soon_threadsafe(self._end, outcome)

    async def _run(self) -> Outcome:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(reported(self._chain, self._job, self._across, self._logs, self._lease))
        if self._stopping:
            self._task.cancel()
        return await self._task

    def _end(self, outcome: Outcome) -> None:
        if not self.done.done():
            self.done.set_result(outcome)


class ThreadExecutor:
    """Runs each chain in a new thread."""

    def __init__(self, registry: StageBuilder, *, close_s: float = 10.0) -> None:
        """Build stages with `registry`; a cancelled chain has `close_s` seconds to close its stages."""
        self._registry = registry
        self._close_s = close_s
        self._logs = RunLogs()
        self._running: set[_ThreadedRun] = set()

    async def start(self) -> None:
        """Begin to take what runs log."""
        self._logs.open()

    async def close(self) -> None:
        """Cancel what is still running, and wait for as long as stages may take to close."""
        for run in self._running:
            run.stop()
        if self._running:
            await asyncio.wait([run.done for run in self._running], timeout=self._close_s)
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
        run = _ThreadedRun(job, self._registry, listener, self._logs, lease)
        self._running.add(run)
        run.done.add_done_callback(lambda _: self._running.discard(run))

        def give_up(stop: Stop) -> Outcome:
            self._running.discard(run)
            return run.left_behind(stop)

        try:
            return await supervise(
                run.done,
                timeout_s=timeout_s,
                cancel=cancel,
                close_s=self._close_s,
                ask_to_stop=run.stop,
                give_up=give_up,
            )
        except asyncio.CancelledError:
            run.stop()
            raise
