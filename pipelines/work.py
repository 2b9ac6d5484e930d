"""Where the runs of one process are executed: executors, worker and leases, from their start to the drain."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pipelines.catalog import Catalog
from pipelines.execution import Executor, make_executors
from pipelines.leases import Leases
from pipelines.live_run import LiveRun
from pipelines.model import ExecutorKind, Run
from pipelines.redaction import Redactor
from pipelines.registry import Registry
from pipelines.runner import Runner
from pipelines.settings import Settings
from pipelines.store.runs import Claim
from pipelines.store.writer import Reader, Writer
from pipelines.worker import Worker


@dataclass(frozen=True, slots=True)
class Place:
    """Who executes, and what. `owner` is the process's id.

    On a store that is `shared`, `versions` gives the version of a pipeline that is here (None: not there): runs that
    need another are left to others. `in_all` says how many runs may go on at once on all machines (None: no limit).
    `slots` go on here at once (None: as many as the pipelines file says), of these `queues` (None: all).
    """

    owner: str
    shared: bool = False
    versions: Callable[[str], str | None] | None = None
    in_all: Callable[[], int | None] = lambda: None
    slots: int | None = None
    queues: frozenset[str] | None = None


class Work:
    """Executes what is queued. `happened` is called with each run as its attempt begins and after it has ended."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        place: Place,
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
        self._happened, self._clock, self.place = happened, clock, place
        self._executors: Mapping[ExecutorKind, Executor] = {}
        self._worker: Worker | None = None

    @property
    def slots(self) -> int:
        """How many runs may go on here at one time."""
        return self.place.slots or self._catalog.options.max_parallel_jobs

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

    def start(
        self, writer: Writer, reader: Reader, only: Iterable[int] | None = None, *, claiming: bool = True
    ) -> Mapping[str, Coroutine[Any, Any, None]]:
        """Return the work itself, to be done for ever, by name; `only` restricts it to these run ids (None: all).

        Without `claiming` it executes what `take` is asked for, and nothing else.
        """
        runner = Runner(
            catalog=self._catalog,
            writer=writer,
            reader=reader,
            executors=self._executors,
            env=self._env,
            redactor=self._redactor,
            clock=self._clock,
        )
        chosen = frozenset(only) if only is not None else None
        leases = Leases(
            writer,
            length=timedelta(seconds=self._settings.run_lease_seconds),
            exclusive=not self.place.shared,
            held=lambda: self._worker.held if self._worker is not None else (),
            lost=self._give_up,
        )
        worker = Worker(
            writer=writer,
            reader=reader,
            runner=runner,
            slots=lambda: self.slots,
            wish=lambda: self._wish(leases.length, chosen),
            leases=leases,
            started=self._happened,
            ended=self._happened,
            clock=self._clock,
        )
        self._worker = worker
        kept = {"leases": leases.keep(), "watchdog of leases": leases.watch()}
        return {"worker": worker.run(), **kept} if claiming else kept

    def _give_up(self, live: LiveRun, why: str) -> None:
        if self._worker is not None:
            self._worker.give_up(live, why)

    def _wish(self, lease: timedelta, only: frozenset[int] | None) -> Claim:
        return Claim(
            limit=self.slots,
            owner=self.place.owner,
            now=self._clock(),
            only=only,
            pools=self._catalog.options.pools,
            lease=lease,
            versions=self.place.versions,
            queues=self.place.queues,
            in_all=self.place.in_all(),
        )

    async def take(self, run_id: int) -> bool:
        """Execute one run to the end of its attempt, if it may start now; tell whether it did.

        Raises:
            StoreError: the store refuses; the run is as it was.
        """
        return self._worker is not None and await self._worker.take(run_id)

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
        """Start nothing more; let what runs finish for `grace_s` seconds, then cancel it.

        That is recorded; on a store that others share, they are given such runs to execute.
        """
        if self._worker is not None:
            await self._worker.drain(grace_s, hand_back=self.place.shared)

    async def kill(self) -> None:
        """Stop what runs at once; each run is recorded as cancelled, or given to others as by `drain`."""
        if self._worker is not None:
            await self._worker.kill(hand_back=self.place.shared)
