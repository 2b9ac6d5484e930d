"""`PipelineScheduler`: wires the parts together, owns their lifetimes, and has one method per verb.

Every door to the engine (terminal, chat, REST, Python) calls these methods; nothing else starts a run or changes one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import Self

from pipelines import health, reports
from pipelines.catalog import Catalog, ScheduleEntry
from pipelines.definition import OnCrash, PipelineDefinition
from pipelines.errors import InvalidTransition, UnknownName
from pipelines.execution import make_executors
from pipelines.health import Health
from pipelines.model import NewRun, Params, Run, RunState, ScheduleRow, ScheduleState, StartedBy, utcnow
from pipelines.redaction import Redactor
from pipelines.runner import LiveRun, Runner
from pipelines.settings import Settings
from pipelines.store import database, ends, history, runs, schedules
from pipelines.store.writer import Reader, Writer
from pipelines.timetable import Scheduled, Timetable
from pipelines.worker import Worker

logger = logging.getLogger(__name__)


class PipelineScheduler:
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
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`env` fills `${NAME}` in keyword arguments (None: nothing does); `clock` tells the time, UTC."""
        self.settings = settings
        self.catalog = catalog
        self._env = env or {}
        self._clock = clock
        self._stack = AsyncExitStack()
        self._final: dict[int, asyncio.Future[Run]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Take the lock, open the store and bring its schema up to date, start writer and executors."""
        async with AsyncExitStack() as stack:
            url = self.settings.scheduler_db_url
            stack.enter_context(database.hold(url))
            engine = await asyncio.to_thread(database.connect, url)
            stack.callback(engine.dispose)
            await asyncio.to_thread(database.migrate, engine)
            self.writer, self.reader = Writer(engine), Reader(engine)
            await self.writer.start()
            stack.push_async_callback(self.writer.close)
            stack.push_async_callback(self.reader.close)
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
        self.timetable = Timetable(writer=self.writer, queued=self._queued, ended=self._ended, clock=self._clock)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close everything; what still runs is stopped at once. Call `drain` first to let it finish."""
        await self.timetable.stop()
        if self._tasks:
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
        requeued, crashed = await self._recover()
        if requeued or crashed:
            logger.warning("the service died under %d run(s): %d tried again", requeued + crashed, requeued)
        self._worker = Worker(
            writer=self.writer,
            reader=self.reader,
            runner=self._runner(),
            slots=self.slots,
            owner=f"{socket.gethostname()}:{os.getpid()}",
            only=frozenset(only) if only is not None else None,
            ended=self._ended,
            clock=self._clock,
        )
        self._tasks.append(asyncio.create_task(self._worker.run(), name="worker"))

    def _runner(self) -> Runner:
        return Runner(
            catalog=self.catalog,
            writer=self.writer,
            reader=self.reader,
            executors=self._executors,
            env=self._env,
            redactor=Redactor(self.catalog.loaded.secrets),
            clock=self._clock,
        )

    async def _recover(self) -> tuple[int, int]:
        at_most_once = frozenset(
            name for name, definition in self.catalog.pipelines.items() if definition.on_crash is OnCrash.FAIL
        )
        at = self._clock()
        requeued, crashed = await self.writer.call(ends.recover, ends.Recover(at=at, fail=at_most_once))
        if crashed:
            for run in await self.reader.read(history.runs, state=RunState.CRASHED, limit=10_000):
                if run.ended_at == at:
                    self._ended(run)
        return requeued, crashed

    async def start_timetable(self) -> list[ScheduleRow]:
        """Store the file's schedules, retire those that vanished from it, start the clockwork; return all schedules."""
        now = self._clock()
        entries = {entry.id: entry for entry in self.catalog.schedules()}
        rows = [entry.row() for entry in entries.values()]
        stored = await self.writer.call(schedules.sync, schedules.SyncFile(rows=rows, at=now))
        active = [row for row in stored if row.state is ScheduleState.ACTIVE and row.id in entries]
        self.timetable.put(self._scheduled(entries[row.id], row, now) for row in active)
        self.timetable.start()
        shown = [_with_next_due(row, entries.get(row.id), now) for row in stored]
        for row in shown:
            if row.created_at == now and row.next_due_at is None:
                logger.warning(
                    "schedule '%s' of %s (%s) lies in the past; it never runs", row.id, row.pipeline, row.words
                )
        return shown

    def _scheduled(self, entry: ScheduleEntry, row: ScheduleRow, now: datetime) -> Scheduled:
        definition = self.catalog.get(entry.pipeline)
        return Scheduled(
            entry=entry,
            last=row.last_due_at or now,
            max_attempts=definition.retry.attempts,
            max_instances=definition.max_instances,
        )

    def start_monitoring(self) -> None:
        """Log the service's health every now and then, as the pipelines file says."""
        monitoring = self.catalog.options.monitoring
        if monitoring.enabled:
            watching = health.watch(self.health, monitoring.health_check_interval)
            self._tasks.append(asyncio.create_task(watching, name="health"))

    async def health(self) -> Health:
        """Read how the service is."""
        return Health(
            loop_lag_s=await health.loop_lag_s(),
            waiting_writes=self.writer.pending,
            dropped_lines=self.writer.dropped,
            running=len(self.live),
            queued=await self.reader.read(history.queue_depth),
            slots=self.slots,
        )

    async def failed(self) -> None:
        """Return when a task that must never end has ended, by raising what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def drain(self, grace_s: float) -> None:
        """Start nothing more; let running pipelines finish for `grace_s` seconds, then cancel them and record it."""
        await self.timetable.stop()
        if self._tasks:
            await self._worker.drain(grace_s)

    async def kill(self) -> None:
        """Stop what runs at once; each run is recorded as cancelled."""
        if self._tasks:
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
        wanted = [self._new_run(self.catalog.get(name), params or {}, actor, started_by) for name in pipelines]
        inserted = asyncio.create_task(self.writer.call(runs.insert_lists, wanted))
        await asyncio.sleep(0)  # they stand in the writer's queue now
        self._queued()  # and the worker's claim right behind them, perhaps in the same transaction
        return await inserted

    @staticmethod
    def _new_run(definition: PipelineDefinition, params: Params, actor: str | None, started_by: StartedBy) -> NewRun:
        return NewRun(
            pipeline=definition.name,
            started_by=started_by,
            params=params,
            actor=actor,
            max_attempts=definition.retry.attempts,
            max_instances=definition.max_instances,
        )

    async def run_unscheduled(self) -> list[Run]:
        """Queue one run of each enabled pipeline that has no schedule, as a service does when it starts."""
        names = [definition.name for definition in self.catalog.unscheduled()]
        return await self.run_now(names, started_by=StartedBy.STARTUP)

    async def cancel(self, run_id: int, *, reason: str = "cancelled") -> None:
        """Cancel a run that is queued, running, or waiting for its next attempt.

        A running chain gets 10 s to close its stages; `wait` tells when it is over.

        Raises:
            UnknownName: there is no such run.
            InvalidTransition: the run is over already.
        """
        live = self.live.get(run_id)
        if live is not None:
            live.request_cancel(reason)
            return
        request = ends.CancelWaiting(run_id=run_id, reason=reason, at=self._clock())
        cancelled = await self.writer.call(ends.cancel_waiting, request)
        run = await self.reader.read(history.run, run_id)
        if run is None:
            raise UnknownName("run", str(run_id), [])
        if not cancelled:
            raise InvalidTransition(f"run #{run_id} of {run.pipeline} is {run.state}; nothing to cancel")
        self._ended(run)

    async def wait(self, run_id: int) -> Run:
        """Return the run once it is over. It must be queued on this scheduler."""
        future = self._final.setdefault(run_id, asyncio.get_running_loop().create_future())
        run = await self.reader.read(history.run, run_id)
        if run is None:
            raise UnknownName("run", str(run_id), [])
        if run.state.final and not future.done():
            future.set_result(run)
        try:
            return await asyncio.shield(future)
        finally:
            self._final.pop(run_id, None)

    @property
    def live(self) -> Mapping[int, LiveRun]:
        """The runs that are being executed here, by id."""
        return self._worker.live if self._tasks else {}

    def _queued(self) -> None:
        if self._tasks:
            self._worker.wake()

    def _ended(self, run: Run) -> None:
        if not run.state.final:
            return
        future = self._final.pop(run.id, None)
        if future is not None and not future.done():
            future.set_result(run)
        self._reporter.ended(run)


def _with_next_due(row: ScheduleRow, entry: ScheduleEntry | None, now: datetime) -> ScheduleRow:
    if entry is None or row.state is not ScheduleState.ACTIVE:
        return row
    return replace(row, next_due_at=entry.trigger.next_after(max(now, row.last_due_at or now)))
