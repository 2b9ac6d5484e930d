"""Runs chains in worker processes that are kept warm: the default, because a process can always be killed.

How many there are, and which of them a run gets, is decided here; `process_worker` is one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from time import monotonic
from typing import Any

from pipelines.chain.failure import failed
from pipelines.errors import PipecallError
from pipelines.execution.lease import Lease
from pipelines.execution.process_worker import Worker
from pipelines.execution.protocol import Listener
from pipelines.execution.system_process import WorkerArguments
from pipelines.model import Job, Outcome, RunError, RunState
from pipelines.registry import Registry

WARM = 2
"""So many processes are started before the first run."""
IDLE_S = 300.0
"""An idle process beyond the first is ended after this time. In seconds."""
LOOK_AFTER_S = 30.0
"""How often idle processes are looked after. In seconds."""


class ProcessExecutor:
    """Runs each chain in one of up to `processes` worker processes; further runs wait for their turn."""

    def __init__(
        self,
        arguments: WorkerArguments,
        registry: Registry | None = None,
        *,
        processes: int,
        max_runs_per_worker: int = 1_000,
        close_s: float = 10.0,
        warm: int | None = None,
    ) -> None:
        """A process is replaced after `max_runs_per_worker`; a cancelled chain has `close_s` seconds to close.

        At most `warm` processes are started before the first run (None: as is usual).

        What the program registered itself in `registry` (None: nothing) is told to the processes with each run.
        """
        self._arguments = arguments
        self._registry = registry
        self._processes = processes
        self._max_runs = max_runs_per_worker
        self._close_s = close_s
        self._warm = processes if warm is None else warm
        self._slots = asyncio.Semaphore(processes)
        self._spawning = asyncio.Lock()
        self._idle: list[Worker] = []
        self._workers: set[Worker] = set()
        self._outdated: set[Worker] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the first worker processes; they get ready on their own.

        Raises:
            OSError: the system does not start another process.
        """
        for _ in range(min(WARM, self._processes, self._warm)):
            self._idle.append(await self._spawn())
        self._do(self._look_after_idle(), "idle workers")

    async def close(self) -> None:
        """Kill all worker processes and wait for their end."""
        self._closed = True
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        workers = list(self._workers)
        for worker in workers:
            worker.kill("the service stopped")
        await asyncio.gather(*(worker.ended() for worker in workers))
        self._workers.clear()
        self._idle.clear()

    def renew(self, stages: Iterable[str], *, plugins: bool) -> None:  # noqa: ARG002 - each process looks them up itself
        """See `Executor.renew`: with other plugins, what is idle ends, and what is busy is not used again."""
        if not plugins:
            return
        self._outdated = set(self._workers)
        for worker in self._idle:
            worker.retire()
        self._idle.clear()

    def grow(self, at_once: int) -> None:
        """See `Executor.grow`."""
        for _ in range(at_once - self._processes):
            self._slots.release()
        self._processes = max(at_once, self._processes)

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
        try:
            own = self._own(job)
        except PipecallError as error:
            return failed(type(error).__name__, str(error), retryable=False)
        if not await self._slot(cancel):
            return Outcome(state=RunState.CANCELLED, reason="it had not begun")
        try:
            worker = await self._worker()
        except OSError as error:
            self._slots.release()
            return _not_started(error)
        except BaseException:
            self._slots.release()
            raise
        try:
            return await worker.run(
                job, listener, own=own, timeout_s=timeout_s, cancel=cancel, close_s=self._close_s, lease=lease
            )
        finally:
            self._give_back(worker)
            self._slots.release()

    def _own(self, job: Job) -> dict[str, Any]:
        return self._registry.own.as_json(stage.path for stage in job.stages) if self._registry is not None else {}

    async def _slot(self, cancel: asyncio.Future[None]) -> bool:
        """Wait for a free place; False if the run was cancelled before."""
        if not self._slots.locked():
            await self._slots.acquire()
            return True
        acquiring = asyncio.ensure_future(self._slots.acquire())
        try:
            await asyncio.wait((acquiring, cancel), return_when=asyncio.FIRST_COMPLETED)
            return acquiring.done()
        except asyncio.CancelledError:
            if acquiring.done() and not acquiring.cancelled():
                self._slots.release()
            raise
        finally:
            acquiring.cancel()

    async def _worker(self) -> Worker:
        if (worker := self._idle_worker()) is not None:
            return worker
        async with self._spawning:
            return self._idle_worker() or await self._spawn()

    def _idle_worker(self) -> Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.usable:
                return worker
        return None

    async def _spawn(self) -> Worker:
        worker = await Worker.spawn(self._arguments)
        self._workers.add(worker)
        self._do(self._forget(worker), f"worker {worker.pid} is forgotten")
        return worker

    async def _forget(self, worker: Worker) -> None:
        await worker.ended()
        self._workers.discard(worker)
        self._outdated.discard(worker)
        with suppress(ValueError):
            self._idle.remove(worker)

    def _give_back(self, worker: Worker) -> None:
        usable = worker.usable and worker not in self._outdated and worker.runs < self._max_runs
        if usable and len(self._idle) < self._processes:
            worker.idle_since = monotonic()
            self._idle.append(worker)
            return
        worker.kill()
        if not self._idle and not self._closed:
            self._do(self._spare(), "spare worker")

    async def _spare(self) -> None:
        """Have a warm process ready in place of one that was used up."""
        async with self._spawning:
            with suppress(OSError):  # the next run tries again, and tells
                if sum(worker.usable for worker in self._workers) < self._processes:
                    self._idle.append(await self._spawn())

    async def _look_after_idle(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AFTER_S)
            self.retire_idle(monotonic() - IDLE_S)

    def retire_idle(self, before: float) -> None:
        """End the processes that have been idle since `before` (`time.monotonic()`), but for the last one used."""
        for worker in [worker for worker in self._idle[:-1] if worker.idle_since < before]:
            self._idle.remove(worker)
            worker.retire()

    def _do(self, chore: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(chore, name=name)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _not_started(error: OSError) -> Outcome:
    message = f"could not start a worker process: {error}"
    return Outcome(state=RunState.CRASHED, error=RunError(type=type(error).__name__, message=message))
