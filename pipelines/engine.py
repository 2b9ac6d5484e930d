"""`Engine`: wires the parts together and owns their lifetimes, for a scheduler, or attached beside those there are.

Every door (terminal, chat, REST, Python) asks through `verbs` over an engine; nothing else starts a run or changes one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from pipelines import pauses, progress, serving
from pipelines.clockwork import Clockwork
from pipelines.elsewhere import Elsewhere
from pipelines.errors import StoreError
from pipelines.health import Health
from pipelines.model import Params, Run, ScheduleRow, StartedBy
from pipelines.retention import Retention
from pipelines.serving import Serving
from pipelines.store import runs
from pipelines.tasks import first_failure
from pipelines.wiring import Wiring

LEAD_S = 5.0
"""So long, in seconds, a program that runs pipelines once waits for the lead if others like it deliver."""

logger = logging.getLogger(__name__)


class Engine(Wiring):
    """A scheduler over a catalog of pipelines and one store. Use it as an async context manager, then `start` it.

    An `attached` one works beside a service on the same store, or without one: it holds nothing and executes nothing,
    and what is changed through it is signalled to the service. `attach` it instead of starting it.

    Raises on entry:
        StoreLocked: another service holds the database, and this one is not attached.
        StoreError: the database cannot be used.
    """

    async def __aexit__(self, *_: object) -> None:
        """Close everything; what still runs is stopped at once. Call `drain` first to let it finish."""
        await self.timetable.stop()
        await self._work.kill()
        await self.leading.retire("the service stops")
        await self._tasks.cancel()
        if self.presence is not None:
            await self.presence.leave()
        await self._stack.aclose()

    # ------------------------------------------------------------ lifetimes

    async def attach(self, *, file: bool = True) -> None:
        """Take over what the store and (unless it is wrong) the `file` say, for one who works from outside."""
        await self.jobs.look(file=file)
        await self.overview.load(self.reader)

    async def start(self, *, only: Iterable[int] | None = None) -> None:
        """Take up what an earlier process left behind, then execute what is queued.

        `only` restricts execution to these run ids (None: whatever is queued).
        """
        sweeping = self.member.sweeping(self.writer, self.reader, self._taken_up, self.clock)
        await sweeping.start()
        await self.signals.begin()
        if not self.member.shared:
            await self._cancels.make_good(await self.signals.wishes())
        if self.member.executes:
            for name, work in self._work.start(self.writer, self.reader, only).items():
                self._tasks.begin(name, work)
        elsewhere = Elsewhere(self, self._cancels)
        self._tasks.begin("sweep", sweeping.keep(self.member.lease))
        self._tasks.begin("progress", progress.keep(self.writer, lambda: self.live, self.clock))
        self._tasks.begin("signals", self.signals.follow(elsewhere.handlers))
        self._tasks.begin("elsewhere", elsewhere.keep_up())
        for name, duty in self.messages.duties().items():
            self.leading.add(name, duty)
        await self._lead_alone()

    async def _lead_alone(self) -> None:
        """Lead, where there are no others who could."""
        if not self.member.shared:
            await self.leading.begin()

    async def start_timetable(self) -> list[ScheduleRow]:
        """Put all jobs on the timetable, and start the clockwork once this process leads; return the jobs."""
        await self._lead_alone()
        jobs = await self.jobs.start()
        await self.overview.load(self.reader)
        self.leading.add("pauses", lambda: pauses.keep(self.jobs, self.writer, self.clock))
        if self.settings.scheduler_lock == "none":
            self.timetable.start()
        else:
            clockwork = Clockwork(self.jobs, self.timetable, shared=self.member.shared)
            await self.leading.join(clockwork)
            self._tasks.begin("stand-in", clockwork.stand_in(lambda: self.member.led(self.reader)))
        self.presence = self._presence()
        self.first = await self.member.arrives(self.presence, self.reader)
        self._tasks.begin("presence", self.presence.keep(alone=not self.member.shared))
        if self.member.shared:
            self.leading.compete()
        return jobs

    def start_monitoring(self) -> None:
        """Log the health, send heartbeats, remove what is old, as the pipelines file says; tell who serves."""
        changed, since = self._in_force.changed, self.clock()
        self._tasks.begin("monitoring", self.vitals.watch(lambda: self.catalog.options, changed))
        self.leading.add("heartbeat", lambda: self.vitals.beat(lambda: self.catalog.options, self._env, changed))
        self.leading.add("serving", lambda: serving.beat(self, since))
        old = Retention(self.writer, self.reader, self.catalog, reports=self.settings.output_dir, clock=self.clock)
        self.leading.add("retention", old.run)
        self._tasks.begin("reload", self.reload.run(watch=self.settings.scheduler_reload == "on"))

    async def serving(self) -> Serving | None:
        """Return what the service on this store last said of itself; None where there never was one."""
        return await serving.read(self.reader)

    async def health(self) -> Health:
        """Read how the service is."""
        return await self.vitals.read()

    async def failed(self) -> None:
        """Return when a task that must never end has ended, by raising what ended it."""
        await first_failure(self._tasks.failed(), self.leading.failed())

    async def drain(self, grace_s: float) -> None:
        """Start nothing more, and let another scheduler lead; let running pipelines finish for `grace_s` seconds.

        What still runs then is cancelled, and that recorded, or, on a store that is shared, given to others.
        """
        await self.timetable.stop()
        if self.presence is not None:
            self.presence.draining()
        if await self._has_others():
            await self.leading.retire("the service stops")
        await self._work.drain(grace_s)

    async def flush(self, timeout_s: float) -> str:
        """Deliver messages for up to `timeout_s` seconds; return in words what waits then, empty where nothing does.

        Where another scheduler is there, that is its business.
        """
        try:
            if await self._has_others():
                return ""
            if not self.leading.leadership.leads:  # a program that runs pipelines once
                await self.leading.take_the_lead(min(timeout_s, LEAD_S))
            return await self.messages.flush(timeout_s)
        except StoreError as error:
            return f"what waits to be delivered cannot be read: {error}"

    async def _has_others(self) -> bool:
        """Say whether another scheduler is there; where the store cannot be asked, none is counted on."""
        try:
            return await self.member.others(self.reader)
        except StoreError as error:
            logger.warning("it is not known whether another scheduler is there: %s", error)
            return False

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
        """Queue one run of each enabled pipeline that has no schedule, as the first scheduler does when it starts."""
        wanted = self.catalog.unscheduled() if self.first else []
        return await self.run_now([each.name for each in wanted], started_by=StartedBy.STARTUP)

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
