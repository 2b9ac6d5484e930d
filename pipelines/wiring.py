"""The parts of an engine, and which of them knows which; what is done with them is `engine`'s business."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Self

from pipelines import endings, reports
from pipelines.cancels import Cancels
from pipelines.catalog import Catalog
from pipelines.channels import Channel
from pipelines.endings import Endings
from pipelines.following import Following
from pipelines.in_force import InForce
from pipelines.jobs import Jobs
from pipelines.leadership import Leadership
from pipelines.leading import Leading
from pipelines.live_run import LiveRun
from pipelines.locks import make_lock
from pipelines.membership import member
from pipelines.messages import Messages
from pipelines.model import ProcessRole, Run, RunState, utcnow
from pipelines.news import News
from pipelines.overview import Overview
from pipelines.presence import Presence
from pipelines.reads import Reads
from pipelines.redaction import Redactor
from pipelines.registry import Registry
from pipelines.reload import Reload
from pipelines.settings import Settings
from pipelines.signals import Signals
from pipelines.store.listening import listener_at
from pipelines.store.opening import opened
from pipelines.store.signals import SignalKind
from pipelines.tasks import Tasks
from pipelines.timetable import Timetable
from pipelines.vitals import Vitals
from pipelines.work import Work

logger = logging.getLogger(__name__)


class Wiring:
    """All parts of one process over one store. Those that need the store are there once it was entered."""

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
        knows the stages (None: those of the plugins folder). `first` says whether no other scheduler was there when
        this one came.
        """
        self.settings, self.catalog, self.clock = settings, catalog, clock
        self.attached = attached
        self.web_address: str | None = None
        self.presence: Presence | None = None
        self.first = True
        self.member = member(settings, catalog, attached=attached)
        self.redactor = Redactor({*catalog.loaded.secrets, settings.bot_token() or "", settings.admin_token() or ""})
        self._env, self._channels, self._absent = env or {}, channels or {}, absent or {}
        self._news = News()
        self.watch = self._news.watch
        self._stack = AsyncExitStack()
        self._tasks = Tasks()
        self._work = Work(
            settings,
            catalog,
            self.member.place,
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
            self.writer, self.reader = await stack.enter_async_context(
                opened(url, role="visitor" if self.attached else "scheduler", sharing=self.member.sharing)
            )
            await self.member.prepare(self.writer)
            self._reporter = reports.Reporter(self.settings.output_dir, self.reader)
            stack.push_async_callback(self._reporter.close)
            if self.member.executes:
                await self._work.open(stack)
            self._stack = stack.pop_all()
        self._wire()
        return self

    def _wire(self) -> None:
        self.reads = Reads(self.reader, self.settings, self.catalog, in_all=self.member.in_all)
        listener = listener_at(self.settings.scheduler_db_url)
        self.signals = Signals(self.writer, self.reader, clock=self.clock, process=self.member.id, listener=listener)
        self.leading = Leading(Leadership(None if self.attached else make_lock(self.settings, self.member.id)))
        self._cancels = Cancels(
            self.writer, self.reader, live=lambda: self.live, cancelled=self.queued, clock=self.clock
        )
        self.timetable = Timetable(
            writer=self.writer, queued=self.queued, ended=self._happened, newer=self._cancels.older, clock=self.clock
        )
        self.jobs = Jobs(self.catalog, self.writer, self.reader, self.timetable, clock=self.clock)
        self.overview = Overview(catalog=self.catalog, jobs=self.jobs, seen=self.reads.seen, clock=self.clock)
        shared = self.attached or self.member.shared
        self._endings = Endings(self.reader, again_s=endings.AGAIN_S if shared else None)
        self.following = Following(self.reader, live=lambda: self.live, elsewhere=shared, clock=self.clock)
        self.messages = Messages(
            self.writer,
            self.reader,
            self.catalog,
            channels=self._channels,
            absent=self._absent,
            upcoming=self.overview.upcoming,
            redactor=self.redactor,
            clock=self.clock,
            may=lambda: self.leading.leadership.leads,
        )
        self.delivery = self.messages.delivery  # brings messages to people
        self._in_force = InForce(
            self.settings,
            self.catalog,
            jobs=self.jobs,
            work=self._work,
            redactor=self.redactor,
            versions=self.member.versions,
        )
        self.reload = Reload(self.settings, self.catalog, self._env, apply=self._in_force.put, clock=self.clock)
        self.vitals = Vitals(
            self.writer,
            self.reader,
            self.timetable,
            running=lambda: self.overview.counts()[RunState.RUNNING],
            slots=lambda: self.slots,
            outdated=lambda: self.reload.problem,
            machines=self.reads.machines,
            clock=self.clock,
        )
        self.reload.watch(self.messages.notices.reloaded)
        for part in (self.jobs, self.overview, self._endings, self.messages):
            self.watch(part.happened)

    def _presence(self) -> Presence:
        """Return what has this process seen by those who share the store."""
        return Presence(
            self.writer,
            id=self.member.id,
            role=ProcessRole.SCHEDULER,
            settings=self.settings,
            running=lambda: len(self.live),
            slots=lambda: self.slots,
            queues=None,
            leads=lambda: self.leading.leadership.leads,
            web=lambda: self.web_address,
            versions=self.member.code,
            clock=self.clock,
        )

    @property
    def slots(self) -> int:
        """How many runs this process executes at one time; 0 where workers do."""
        return self._work.slots if self.member.executes else 0

    @property
    def live(self) -> Mapping[int, LiveRun]:
        """The runs that are being executed here, by id."""
        return self._work.live

    def queued(self, made: Sequence[Run]) -> None:
        """Take up runs that were just queued, or start others in the places of those that no longer wait."""
        self._work.wake()
        if self.attached and not self.member.shared:  # else their rows were told of with them
            self.signals.tell(SignalKind.RUN, [run.id for run in made])
        for run in made:
            self._happened(run)

    def people_spoke(self, *, send_again: bool = False) -> None:
        """Take note that people muted, acknowledged or decided something, or (`send_again`) mended a channel."""
        if self.attached or self.member.shared:
            self.signals.tell(SignalKind.PEOPLE, detail="again" if send_again else "")
        self.messages.look_again(send_again=send_again)

    def news(self, runs: Sequence[Run]) -> None:
        """Take up how runs stand now that other processes queued, began or ended; what is known changes nothing."""
        self._work.wake()
        for run in runs:
            self._news.tell(run)

    def _taken_up(self, made: Sequence[Run]) -> None:
        """Follow runs whose process died: some are over, others wait again."""
        self._work.wake()
        for run in made:
            self._happened(run)

    def _happened(self, run: Run) -> None:
        """Tell what this process recorded of a run; the report is written by who recorded the end."""
        self._reporter.happened(run)
        self._news.tell(run)
