"""The life of a worker: it executes runs that have tickets until it is told to stop, then ends what it has begun.

It has neither timetable nor faces. What it shares with a scheduler, leases, progress, reports, hot reload, taking up
the runs of those that died, are the same parts.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace

from pipelines import membership, progress, stopping, systemd
from pipelines.cancels import Cancels
from pipelines.catalog import Catalog
from pipelines.distributed import requirements
from pipelines.distributed.condition import Condition
from pipelines.distributed.fetching import Fetching
from pipelines.errors import nearest
from pipelines.interpreter import settle_memory, take_turns
from pipelines.loader import Loaded
from pipelines.membership import Member
from pipelines.model import DEFAULT_QUEUE, ProcessRole, Run, RunState, utcnow
from pipelines.presence import Presence
from pipelines.redaction import Redactor
from pipelines.reload import Reload
from pipelines.reports import Reporter
from pipelines.settings import Settings
from pipelines.signals import Handlers, Signals
from pipelines.store import tickets
from pipelines.store.listening import listener_at
from pipelines.store.opening import opened
from pipelines.store.signals import Signal, SignalKind
from pipelines.store.tickets import Dispatch, Drop, ProcrastinateTickets
from pipelines.store.writer import Reader, Writer
from pipelines.tasks import Tasks
from pipelines.work import Work

logger = logging.getLogger(__name__)

OK, FAILED = 0, 1
FETCHED_S = 5.0
"""So long, in seconds, fetching may take to end."""


async def serve_worker(
    settings: Settings, catalog: Catalog, *, concurrency: int | None = None, queues: frozenset[str] | None = None
) -> int:
    """Execute runs until SIGTERM or SIGINT, then drain; a second signal stops at once. Returns the exit code.

    `concurrency` runs go on at one time (None: `max_parallel_jobs` of the pipelines file), of `queues` (None: all).

    Raises:
        ConfigError: with these settings a worker has nothing to do, or cannot.
        StoreError: the database cannot be used.
    """
    requirements.check_worker(settings)
    take_turns()
    stop = stopping.signals()
    member = membership.member(settings, catalog)
    async with AsyncExitStack() as stack:
        url = settings.scheduler_db_url
        writer, reader = await stack.enter_async_context(opened(url, role="worker", sharing=member.sharing))
        await member.prepare(writer)
        service = WorkerService(settings, catalog, writer, reader, member=member, slots=concurrency, queues=queues)
        stack.push_async_callback(service.close)
        await service.start(stack)
        settle_memory()
        manager = await stack.enter_async_context(systemd.attended(os.environ, service.condition))
        named = f"queues {', '.join(sorted(queues))}" if queues is not None else "all queues"
        _tell_unnamed(queues or frozenset(), catalog)
        logger.info("ready: %d run(s) at one time, of %s; Ctrl-C stops", service.work.slots, named)
        code = await stopping.until(stop, service)
        manager.stopping()
        await stopping.drain(stop, service, settings.scheduler_drain_s)
    logger.info("stopped")
    return code


def _tell_unnamed(queues: frozenset[str], catalog: Catalog) -> None:
    """Warn of queues that no pipeline names: their names may be misspelt."""
    known = sorted({DEFAULT_QUEUE, *(each.queue for each in catalog.pipelines.values())})
    for name in sorted(queues.difference(known)):
        hint = f"did you mean '{found}'?" if (found := nearest(name, known)) else f"known are: {', '.join(known)}"
        logger.warning("--queues: no pipeline of the file has the queue '%s'; %s", name, hint)


class WorkerService:
    """One worker process on an open store."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        writer: Writer,
        reader: Reader,
        *,
        member: Member,
        slots: int | None,
        queues: frozenset[str] | None,
    ) -> None:
        """Begin nothing yet; `member` is this process in its store, which it shares with tickets."""
        self._settings, self._catalog, self._member = settings, catalog, member
        self._writer, self._reader = writer, reader
        if not isinstance(member.tickets, ProcrastinateTickets):
            raise TypeError(f"expected a member that gives tickets, got {member.tickets!r}")
        self._tickets = member.tickets
        self._redactor = Redactor({*catalog.loaded.secrets, settings.bot_token() or "", settings.admin_token() or ""})
        self._tasks = Tasks()
        self._strange: set[tuple[str, str]] = set()
        self._reporter = Reporter(settings.output_dir, reader)
        self.work = Work(
            settings,
            catalog,
            env=os.environ,
            redactor=self._redactor,
            registry=None,
            happened=self._happened,
            clock=utcnow,
            place=replace(member.place, slots=slots, queues=queues),
        )
        self._fetching = Fetching(
            settings.scheduler_db_url, queues=queues, slots=lambda: self.work.slots, take=self._take
        )
        self.presence = self._presence(queues)

    def _presence(self, queues: frozenset[str] | None) -> Presence:
        return Presence(
            self._writer,
            role=ProcessRole.WORKER,
            settings=self._settings,
            running=lambda: len(self.work.live),
            slots=lambda: self.work.slots,
            queues=queues,
            leads=lambda: False,
            web=lambda: None,
            versions=self._member.code,
            clock=utcnow,
            id=self._member.id,
        )

    async def start(self, stack: AsyncExitStack) -> None:
        """Take up what those left who died, then execute what is due; `stack` closes the executors."""
        await self.work.open(stack)
        sweeping = self._member.sweeping(self._writer, self._reader, self._taken_up, utcnow)
        await self.presence.beat()
        for name, work in self.work.start(self._writer, self._reader, claiming=False).items():
            self._tasks.begin(name, work)
        await sweeping.start()
        self._dispatch()
        await self._follow()
        self._tasks.begin("sweeping", sweeping.keep(self._member.lease))
        self._tasks.begin("presence", self.presence.keep())
        self._tasks.begin("progress", progress.keep(self._writer, lambda: self.work.live, utcnow))
        self._fetched = asyncio.create_task(self._fetching.run(), name="fetching")

    async def _follow(self) -> None:
        """Follow the signals that concern a worker, and the files."""
        self._reload = Reload(self._settings, self._catalog, os.environ, apply=self._put_in_force, clock=utcnow)
        cancels = Cancels(
            self._writer,
            self._reader,
            live=lambda: self.work.live,
            cancelled=lambda _: self._dispatch(),
            clock=utcnow,
        )
        self._signals = Signals(
            self._writer,
            self._reader,
            clock=utcnow,
            process=self._member.id,
            listener=listener_at(self._settings.scheduler_db_url),
        )
        await self._signals.begin()
        handlers: Handlers = {
            SignalKind.CANCEL: cancels.take_up,
            SignalKind.RELOAD: self._reload.take_up,
            SignalKind.TICKET: self._left,
        }
        self._tasks.begin("signals", self._signals.follow(handlers))
        self._tasks.begin("reload", self._reload.run(watch=self._settings.scheduler_reload == "on"))

    async def _put_in_force(self, loaded: Loaded, plugins: bool) -> None:
        self._catalog.replace(loaded)
        self._redactor.learn(loaded.secrets)
        logging.getLogger().setLevel(self._settings.log_level or loaded.file.scheduler.log_level)
        if self._member.versions is not None and plugins:
            await asyncio.to_thread(self._member.versions.renew)
        self.work.adapt(plugins=plugins)
        self._dispatch()

    def _taken_up(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self._happened(run)

    def _happened(self, run: Run) -> None:
        self._reporter.happened(run)
        if run.state is not RunState.RUNNING:
            self._dispatch()  # its place is free for another

    def _dispatch(self) -> None:
        """Have runs that may start given tickets, some time soon; nobody waits for it."""
        self._writer.post(self._tickets.dispatch, Dispatch())

    async def _take(self, run_id: int, ticket: int) -> None:
        """Execute the run of a ticket; one that may not start now is given another ticket once it may."""
        if await self.work.take(run_id):
            return
        self._writer.post(self._tickets.drop, Drop(run_id, ticket))
        wanted = await self._reader.read(tickets.wanted_version, run_id)
        if wanted is not None and self._member.code().get(wanted[0]) != wanted[1]:
            self._signals.tell(SignalKind.TICKET, [run_id])
            self._tell_version(run_id, *wanted)

    async def _left(self, _: Sequence[Signal]) -> None:
        """Have a run that another worker left to others given a ticket, where there is a place for it here."""
        if len(self.work.live) < self.work.slots:
            self._dispatch()

    def _tell_version(self, run_id: int, pipeline: str, version: str) -> None:
        have = self._member.code().get(pipeline, "none")
        if (pipeline, version) not in self._strange:
            self._strange.add((pipeline, version))
            logger.warning(
                "run #%d needs version %s of pipeline '%s'; this worker has %s and leaves it to one that has it",
                *(run_id, version, pipeline, have),
            )

    async def condition(self) -> Condition:
        """Return how the worker is."""
        return Condition(
            len(self.work.live), self.work.slots, fetching=self._fetching.trouble, files=self._reload.problem
        )

    async def failed(self) -> None:
        """Return when a task that must never end has ended, by raising what ended it."""
        ended = asyncio.create_task(self._tasks.failed(), name="side tasks")
        await asyncio.wait({ended, self._fetched}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            ended.cancel()
            self._fetched.result()
            raise RuntimeError("fetching ended, which it must not")
        ended.result()

    async def drain(self, grace_s: float) -> None:
        """Fetch nothing more; let what runs finish for `grace_s` seconds, then give it to others."""
        self.presence.draining()
        self._fetching.stop()
        await self.work.drain(grace_s)
        await self._fetching.settled()
        await self._end_fetching()
        self._dispatch()  # what was fetched in the last moment, and dropped

    async def _end_fetching(self) -> None:
        """Wait until fetching has ended; a server that has fallen silent keeps it for ever, and is not waited for."""
        ended, _ = await asyncio.wait({self._fetched}, timeout=FETCHED_S)
        if not ended:
            logger.warning("the server does not answer: fetching is cut short")
            self._fetched.cancel()
            await asyncio.wait({self._fetched}, timeout=FETCHED_S)

    async def kill(self) -> None:
        """Stop what runs at once, and give it to others."""
        await self.work.kill()

    async def close(self) -> None:
        """End the rest, and tell that this process is gone."""
        self._fetching.stop()
        await self.work.kill()
        await self._tasks.cancel()
        await self._reporter.close()
        await self.presence.leave()
