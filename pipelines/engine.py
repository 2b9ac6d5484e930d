"""`Engine`: wires the parts together, owns their lifetimes, and has one method per verb.

Every door to the engine (terminal, chat, REST, Python) calls these methods; nothing else starts a run or changes one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Self

from pipelines import endings, reports
from pipelines.cancels import Cancels
from pipelines.catalog import Catalog
from pipelines.channels import Channel
from pipelines.delivery import Delivery
from pipelines.endings import Endings
from pipelines.execution import make_executors
from pipelines.health import Health
from pipelines.jobs import Jobs
from pipelines.messages import Messages
from pipelines.model import Params, Run, ScheduleRow, StartedBy, utcnow
from pipelines.overview import Overview
from pipelines.reads import Reads
from pipelines.redaction import Redactor
from pipelines.retention import Retention
from pipelines.runner import LiveRun, Runner
from pipelines.settings import Settings
from pipelines.store import runs
from pipelines.store.opening import opened
from pipelines.timetable import Timetable
from pipelines.vitals import Vitals
from pipelines.worker import Worker

logger = logging.getLogger(__name__)


class Engine:
    """A scheduler over a catalog of pipelines and one store. Use it as an async context manager, then `start` it.

    Raises on entry:
        StoreLocked: another service holds the SQLite file.
        StoreError: the database cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        *,
        env: Mapping[str, str] | None = None,
        channels: Mapping[str, Channel] | None = None,
        absent: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`env` fills `${NAME}` in keyword arguments (None: nothing does); `clock` tells the time, UTC.

        `channels` deliver messages, by the first part of their targets; `absent` says why one is not there.
        """
        self.settings = settings
        self.catalog = catalog
        self.clock = clock
        self.redactor = Redactor({*catalog.loaded.secrets, settings.bot_token() or ""})
        self._env = env or {}
        self._channels, self._absent = channels or {}, absent or {}
        self._watchers: list[Callable[[Run], None]] = []
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._worker: Worker | None = None

    async def __aenter__(self) -> Self:
        """Take the lock, open the store and bring its schema up to date, start writer and executors."""
        async with AsyncExitStack() as stack:
            self.writer, self.reader = await stack.enter_async_context(opened(self.settings.scheduler_db_url))
            self._reporter = reports.Reporter(self.settings.output_dir, self.reader)
            stack.push_async_callback(self._reporter.close)
            self._executors = make_executors(
                plugins=self.settings.plugins_folder,
                allow=self.settings.allowed_modules,
                processes=self.slots,
                max_runs_per_worker=self.settings.worker_max_runs,
            )
            for executor in self._executors.values():
                stack.push_async_callback(executor.close)
                await executor.start()
            self._stack = stack.pop_all()
        self._wire()
        return self

    def _wire(self) -> None:
        self.reads = Reads(self.reader)
        self._cancels = Cancels(
            self.writer, self.reader, live=lambda: self.live, cancelled=self.queued, clock=self.clock
        )
        self.timetable = Timetable(
            writer=self.writer, queued=self.queued, ended=self._happened, newer=self._cancels.older, clock=self.clock
        )
        self.jobs = Jobs(self.catalog, self.writer, self.reader, self.timetable, clock=self.clock)
        self.overview = Overview(catalog=self.catalog, jobs=self.jobs, clock=self.clock)
        self._endings = Endings(self.reader)
        self.messages = Messages(
            self.writer,
            self.reader,
            self.catalog,
            channels=self._channels,
            absent=self._absent,
            upcoming=self.overview.upcoming,
            clock=self.clock,
        )
        self.vitals = Vitals(
            self.writer, self.reader, self.timetable, running=lambda: len(self.live), slots=self.slots, clock=self.clock
        )
        for part in (self.jobs, self.overview, self._endings, self._reporter, self.messages):
            self.watch(part.happened)

    @property
    def delivery(self) -> Delivery:
        """What brings messages to people."""
        return self.messages.delivery

    def watch(self, callback: Callable[[Run], None]) -> None:
        """Have `callback` called with each run as it is queued, starts, waits for an attempt, and ends.

        It is called in the event loop: it must be quick and must not raise.
        """
        self._watchers.append(callback)

    async def __aexit__(self, *_: object) -> None:
        """Close everything; what still runs is stopped at once. Call `drain` first to let it finish."""
        await self.timetable.stop()
        if self._worker is not None:
            await self._worker.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    @property
    def slots(self) -> int:
        """How many runs may go on at one time."""
        return self.catalog.options.max_parallel_jobs

    async def start(self, *, only: Iterable[int] | None = None) -> None:
        """Take up what an earlier service left behind, then execute what is queued.

        `only` restricts execution to these run ids (None: whatever is queued).
        """
        requeued, crashed = await endings.recover(
            catalog=self.catalog, writer=self.writer, reader=self.reader, at=self.clock()
        )
        if requeued or crashed:
            logger.warning("the service died under %d run(s): %d tried again", requeued + len(crashed), requeued)
        for run in crashed:
            self._happened(run)
        self._worker = Worker(
            writer=self.writer,
            reader=self.reader,
            runner=self._runner(),
            slots=self.slots,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            only=frozenset(only) if only is not None else None,
            pools=lambda: self.catalog.options.pools,
            started=self._happened,
            ended=self._happened,
            clock=self.clock,
        )
        self._begin("worker", self._worker.run())
        for name, work in self.messages.work().items():
            self._begin(name, work)

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))

    def _runner(self) -> Runner:
        return Runner(
            catalog=self.catalog,
            writer=self.writer,
            reader=self.reader,
            executors=self._executors,
            env=self._env,
            redactor=self.redactor,
            clock=self.clock,
        )

    async def start_timetable(self) -> list[ScheduleRow]:
        """Put all jobs on the timetable and start the clockwork; return the jobs with their next run."""
        jobs = await self.jobs.start()
        await self.overview.load(self.reader)
        self.timetable.start()
        self._begin("jobs", self.jobs.keep())
        return jobs

    def start_monitoring(self) -> None:
        """Log the service's health, send heartbeats and remove what is old, as the pipelines file says."""
        for name, work in self.vitals.watching(self.catalog.options, self._env).items():
            self._begin(name, work)
        old = Retention(self.writer, self.reader, self.catalog, reports=self.settings.output_dir, clock=self.clock)
        self._begin("retention", old.run())

    async def health(self) -> Health:
        """Read how the service is."""
        return await self.vitals.read()

    async def failed(self) -> None:
        """Return when a task that must never end has ended, by raising what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def drain(self, grace_s: float) -> None:
        """Start nothing more; let running pipelines finish for `grace_s` seconds, then cancel them and record it."""
        await self.timetable.stop()
        if self._worker is not None:
            await self._worker.drain(grace_s)

    async def flush(self, timeout_s: float) -> str:
        """Deliver messages for up to `timeout_s` seconds; return in words what waits then, empty where nothing does."""
        return await self.messages.flush(timeout_s)

    async def kill(self) -> None:
        """Stop what runs at once; each run is recorded as cancelled."""
        if self._worker is not None:
            await self._worker.kill()

    async def run_now(
        self,
        pipelines: Sequence[str],
        *,
        params: Params | None = None,
        actor: str | None = None,
        started_by: StartedBy = StartedBy.MANUAL,
    ) -> list[Run]:
        """Queue one run of each named pipeline and return the runs, in the same order.

        `params` go over the pipeline's own; `actor` names who asked, for people.

        Raises:
            UnknownName: a pipeline is not in the catalog; nothing is queued.
        """
        wanted = [self.catalog.get(name).new_run(params or {}, actor, started_by) for name in pipelines]
        inserted = asyncio.create_task(self.writer.call(runs.insert_lists, wanted))
        await asyncio.sleep(0)  # they stand in the writer's queue now
        self._wake()  # and the worker's claim right behind them, perhaps in the same transaction
        self.queued(made := await inserted)
        return made

    async def run_unscheduled(self) -> list[Run]:
        """Queue one run of each enabled pipeline that has no schedule, as a service does when it starts."""
        return await self.run_now([each.name for each in self.catalog.unscheduled()], started_by=StartedBy.STARTUP)

    async def cancel(self, run_id: int, *, reason: str = "cancelled") -> None:
        """Cancel a run that is queued, running, or waiting for its next attempt.

        A running chain gets 10 s to close its stages; `wait` tells when it is over.

        Raises:
            UnknownName: there is no such run.
            InvalidTransition: the run is over already.
        """
        await self._cancels.cancel(run_id, reason)

    async def wait(self, run_id: int) -> Run:
        """Return the run once it is over. It must be queued on this scheduler.

        Raises:
            UnknownName: there is no such run.
        """
        return await self._endings.wait(run_id)

    @property
    def live(self) -> Mapping[int, LiveRun]:
        """The runs that are being executed here, by id."""
        return self._worker.live if self._worker is not None else {}

    def queued(self, made: Sequence[Run]) -> None:
        """Take up runs that were just queued, or start others in the places of those that no longer wait."""
        self._wake()
        for run in made:
            if run.id not in self.live:
                self._happened(run)

    def _wake(self) -> None:
        if self._worker is not None:
            self._worker.wake()

    def _happened(self, run: Run) -> None:
        for watcher in self._watchers:
            watcher(run)
