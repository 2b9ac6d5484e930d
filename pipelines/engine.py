"""`Engine`: wires the parts together and owns their lifetimes. It executes for a service, or is attached beside one.

Every door (terminal, chat, REST, Python) asks through `verbs` over an engine; nothing else starts a run or changes one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Self

from pipelines import endings, pauses, progress, reports, serving
from pipelines.cancels import Cancels
from pipelines.catalog import Catalog
from pipelines.channels import Channel
from pipelines.delivery import Delivery
from pipelines.elsewhere import Elsewhere
from pipelines.endings import Endings
from pipelines.health import Health
from pipelines.in_force import InForce
from pipelines.jobs import Jobs
from pipelines.messages import Messages
from pipelines.model import Params, Run, ScheduleRow, StartedBy, utcnow
from pipelines.overview import Overview
from pipelines.reads import Reads
from pipelines.redaction import Redactor
from pipelines.registry import Registry
from pipelines.reload import Reload
from pipelines.retention import Retention
from pipelines.runner import LiveRun
from pipelines.serving import Serving
from pipelines.settings import Settings
from pipelines.signals import Signals
from pipelines.store import runs
from pipelines.store.opening import opened
from pipelines.store.signals import SignalKind
from pipelines.tasks import Tasks
from pipelines.timetable import Timetable
from pipelines.vitals import Vitals
from pipelines.work import Work

logger = logging.getLogger(__name__)


class Engine:
    """A scheduler over a catalog of pipelines and one store. Use it as an async context manager, then `start` it.

    An `attached` one works beside a service on the same store, or without one: it holds nothing and executes nothing,
    and what is changed through it is signalled to the service. `attach` it instead of starting it.

    Raises on entry:
        StoreLocked: another service holds the database, and this one is not attached.
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
        attached: bool = False,
        registry: Registry | None = None,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """`env` fills `${NAME}` in keyword arguments (None: nothing does); `clock` tells the time, UTC.

        `channels` deliver messages, by the first part of their targets; `absent` says why one is not there. `registry`
        knows the stages (None: those of the plugins folder).
        """
        self.settings, self.catalog, self.clock = settings, catalog, clock
        self.attached = attached
        self.web_address: str | None = None
        self.redactor = Redactor({*catalog.loaded.secrets, settings.bot_token() or "", settings.admin_token() or ""})
        self._env = env or {}
        self._channels, self._absent = channels or {}, absent or {}
        self._watchers: list[Callable[[Run], None]] = []
        self._stack = AsyncExitStack()
        self._tasks = Tasks()
        self._work = Work(
            settings,
            catalog,
            env=self._env,
            redactor=self.redactor,
            registry=registry,
            happened=self._happened,
            clock=clock,
        )

    async def __aenter__(self) -> Self:
        """Take the lock, open the store and bring its schema up to date, start writer and executors."""
        async with AsyncExitStack() as stack:
            url = self.settings.scheduler_db_url
            self.writer, self.reader = await stack.enter_async_context(opened(url, shared=self.attached))
            self._reporter = reports.Reporter(self.settings.output_dir, self.reader)
            stack.push_async_callback(self._reporter.close)
            if not self.attached:
                await self._work.open(stack)
            self._stack = stack.pop_all()
        self._wire()
        return self

    def _wire(self) -> None:
        self.reads = Reads(self.reader)
        self.signals = Signals(self.writer, self.reader, clock=self.clock)
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
            redactor=self.redactor,
            clock=self.clock,
        )
        self._in_force = InForce(self.settings, self.catalog, jobs=self.jobs, work=self._work, redactor=self.redactor)
        self.reload = Reload(self.settings, self.catalog, self._env, apply=self._in_force.put, clock=self.clock)
        self.vitals = Vitals(
            self.writer,
            self.reader,
            self.timetable,
            running=lambda: len(self.live),
            slots=lambda: self._work.slots,
            outdated=lambda: self.reload.problem,
            clock=self.clock,
        )
        self.reload.watch(self.messages.notices.reloaded)
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
        await self._work.kill()
        await self._tasks.cancel()
        await self._stack.aclose()

    # ------------------------------------------------------------ lifetimes

    async def attach(self, *, file: bool = True) -> None:
        """Take over what the store and (unless it is wrong) the `file` say, for one who works from outside."""
        await self.jobs.look(file=file)
        await self.overview.load(self.reader)

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
        await self.signals.begin()
        await self._cancels.make_good(await self.signals.wishes())
        self._tasks.begin("worker", self._work.start(self.writer, self.reader, only))
        self._tasks.begin("progress", progress.keep(self.writer, lambda: self.live, self.clock))
        self._tasks.begin("signals", self.signals.follow(Elsewhere(self, self._cancels).handlers))
        for name, work in self.messages.work().items():
            self._tasks.begin(name, work)

    async def start_timetable(self) -> list[ScheduleRow]:
        """Put all jobs on the timetable and start the clockwork; return the jobs with their next run."""
        jobs = await self.jobs.start()
        await self.overview.load(self.reader)
        self.timetable.start()
        self._tasks.begin("pauses", pauses.keep(self.jobs, self.writer, self.clock))
        return jobs

    def start_monitoring(self) -> None:
        """Log the health, send heartbeats, remove what is old, as the pipelines file says; tell who serves."""
        watch = self.vitals.watch(lambda: self.catalog.options, self._env, self._in_force.changed)
        self._tasks.begin("monitoring", watch)
        self._tasks.begin("serving", serving.beat(self))
        old = Retention(self.writer, self.reader, self.catalog, reports=self.settings.output_dir, clock=self.clock)
        self._tasks.begin("retention", old.run())
        self._tasks.begin("reload", self.reload.run(watch=self.settings.scheduler_reload == "on"))

    async def serving(self) -> Serving | None:
        """Return what the service on this store last said of itself; None where there never was one."""
        return await serving.read(self.reader)

    async def health(self) -> Health:
        """Read how the service is."""
        return await self.vitals.read()

    async def failed(self) -> None:
        """Return when a task that must never end has ended, by raising what ended it."""
        await self._tasks.failed()

    async def drain(self, grace_s: float) -> None:
        """Start nothing more; let running pipelines finish for `grace_s` seconds, then cancel them and record it."""
        await self.timetable.stop()
        await self._work.drain(grace_s)

    async def flush(self, timeout_s: float) -> str:
        """Deliver messages for up to `timeout_s` seconds; return in words what waits then, empty where nothing does."""
        return await self.messages.flush(timeout_s)

    async def kill(self) -> None:
        """Stop what runs at once; each run is recorded as cancelled."""
        await self._work.kill()

    # ------------------------------------------------------------ runs

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
        self._work.wake()  # and the worker's claim right behind them, perhaps in the same transaction
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
        """Return the run once it is over; it must be queued on this engine. Raises UnknownName where there is none."""
        return await self._endings.wait(run_id)

    @property
    def live(self) -> Mapping[int, LiveRun]:
        """The runs that are being executed here, by id."""
        return self._work.live

    def queued(self, made: Sequence[Run]) -> None:
        """Take up runs that were just queued, or start others in the places of those that no longer wait."""
        self._work.wake()
        if self.attached:
            self.signals.tell(SignalKind.RUN, [run.id for run in made])
        for run in made:
            if run.id not in self.live:
                self._happened(run)

    def people_spoke(self, *, send_again: bool = False) -> None:
        """Take note that people muted, acknowledged or decided something, or (`send_again`) mended a channel."""
        if self.attached:
            self.signals.tell(SignalKind.PEOPLE, detail="again" if send_again else "")
        self.messages.look_again(send_again=send_again)

    def _happened(self, run: Run) -> None:
        for watcher in self._watchers:
            watcher(run)
