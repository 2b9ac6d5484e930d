"""Where the runs of one service are executed: its executors and its worker, from their start to the drain."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from pipelines.catalog import Catalog
from pipelines.execution import make_executors
from pipelines.model import ExecutorKind, Run
from pipelines.redaction import Redactor
from pipelines.registry import Registry
from pipelines.runner import LiveRun, Runner
from pipelines.settings import Settings
from pipelines.store.writer import Reader, Writer
from pipelines.worker import Worker


class Work:
    """Executes what is queued. `happened` is called with each run as its attempt begins and after it has ended."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        *,
        env: Mapping[str, str],
        redactor: Redactor,
        registry: Registry | None,
        happened: Callable[[Run], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`env` fills `${NAME}`; `registry` knows the stages (None: those of the plugins folder)."""
        self._settings, self._catalog, self._env = settings, catalog, env
        self._redactor, self._registry = redactor, registry
        self._happened, self._clock = happened, clock
        self._worker: Worker | None = None

    @property
    def slots(self) -> int:
        """How many runs may go on at one time."""
        return self._catalog.options.max_parallel_jobs

    @property
    def live(self) -> Mapping[int, LiveRun]:
        """The runs that are being executed here, by id."""
        return self._worker.live if self._worker is not None else {}

    async def open(self, stack: AsyncExitStack) -> None:
        """Start the executors; `stack` closes them."""
        self._executors = make_executors(
            plugins=self._settings.plugins_folder,
            allow=self._settings.allowed_modules,
            processes=self.slots,
            max_runs_per_worker=self._settings.worker_max_runs,
            warm=sum(each.executor is ExecutorKind.PROCESS for each in self._catalog.enabled()),
            registry=self._registry,
        )
        for executor in self._executors.values():
            stack.push_async_callback(executor.close)
            executor.renew(self._stages(), plugins=False)
            await executor.start()

    def _stages(self) -> set[str]:
        """Return the class paths that runs within the service may need."""
        inside = (each for each in self._catalog.enabled() if each.executor is not ExecutorKind.PROCESS)
        return {stage.path for each in inside for stage in each.chain}

    def start(self, writer: Writer, reader: Reader, only: Iterable[int] | None) -> Coroutine[Any, Any, None]:
        """Return the work itself, to be done for ever; `only` restricts it to these run ids (None: all)."""
        runner = Runner(
            catalog=self._catalog,
            writer=writer,
            reader=reader,
            executors=self._executors,
            env=self._env,
            redactor=self._redactor,
            clock=self._clock,
        )
        self._worker = Worker(
            writer=writer,
            reader=reader,
            runner=runner,
            slots=lambda: self.slots,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            only=frozenset(only) if only is not None else None,
            pools=lambda: self._catalog.options.pools,
            started=self._happened,
            ended=self._happened,
            clock=self._clock,
        )
        return self._worker.run()

    def wake(self) -> None:
        """Look for queued runs now."""
        if self._worker is not None:
            self._worker.wake()

    def adapt(self, *, plugins: bool) -> None:
        """Keep to the options in force; where `plugins` have changed, runs that begin from now on see them."""
        for executor in self._executors.values():
            executor.grow(self.slots)
            executor.renew(self._stages(), plugins=plugins)
        self.wake()

    async def drain(self, grace_s: float) -> None:
        """Start nothing more; let what runs finish for `grace_s` seconds, then cancel it and record it."""
        if self._worker is not None:
            await self._worker.drain(grace_s)

    async def kill(self) -> None:
        """Stop what runs at once; each run is recorded as cancelled."""
        if self._worker is not None:
            await self._worker.kill()
