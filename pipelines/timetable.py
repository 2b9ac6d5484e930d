"""When is what due: APScheduler's clockwork over our own triggers, turning each due instant into one row.

One APScheduler job per distinct trigger; its body fans out over the schedules that share it, in slices, so that no
burst holds the event loop. The jobs only insert rows; nothing runs here. APScheduler's own misfire handling and
coalescing are off: what was due is worked out from each schedule's last handled instant, which is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.base import STATE_PAUSED

from pipelines.definition import MisfirePolicy
from pipelines.errors import StoreError
from pipelines.misfire import CATCH_UP, decide
from pipelines.model import Overlap, Run, RunState, utcnow
from pipelines.scheduled import Scheduled, new_run
from pipelines.store import occurrences
from pipelines.store.writer import Writer
from pipelines.triggers import Trigger, interval, later

logger = logging.getLogger(__name__)

SLICE = 200
"""How many due instants are handled between two turns of the event loop."""

NAP = timedelta(seconds=30)
"""The clock is read at least so often, so that a suspended machine or a clock set forward is noticed."""

AGAIN_S = 5
"""How soon recording is tried again after the store refused, in seconds."""


@dataclass(slots=True)
class Group:
    """The schedules, by id, that share one trigger, and so much later start than they are due."""

    trigger: Trigger
    offset: timedelta
    members: dict[str, Scheduled]

    @property
    def alarm(self) -> Trigger:
        """When the group is looked at."""
        return later(self.trigger, self.offset)


class Timetable:
    """Turns due instants into queued runs.

    `queued` is called with those that wait for their start, `ended` with each run that is over already, as missed or
    skipped, `newer` with each whose schedule wants no older one to go on; `clock` gives the time now, UTC.
    """

    def __init__(
        self,
        *,
        writer: Writer,
        queued: Callable[[Sequence[Run]], None],
        ended: Callable[[Run], None],
        newer: Callable[[Run], Awaitable[None]] | None = None,
        clock: Callable[[], datetime] = utcnow,
    ) -> None:
        """Start with nothing on the timetable; see `put` and `start`."""
        self._writer = writer
        self._queued = queued
        self._ended = ended
        self._newer = newer or _nothing_older
        self._clock = clock
        self._groups: dict[str, Group] = {}
        self._firing: dict[str, asyncio.Task[None]] = {}
        self._keys: dict[str, str] = {}
        self._ticked_s: float | None = None
        self._apscheduler = AsyncIOScheduler(
            timezone=UTC,
            executors={"default": DebugExecutor()},  # calls our jobs where they are due; they only start a task
            job_defaults={"misfire_grace_time": None, "coalesce": True},
        )

    def start(self) -> None:
        """Start the clockwork, or go on. What was due since each schedule's last handled instant is handled now."""
        self._tick()
        if self._apscheduler.running:
            self._apscheduler.resume()
            return
        self._apscheduler.add_job(self._tick, interval(NAP, "UTC"), id="wake-up")
        self._apscheduler.start()

    def _tick(self) -> None:
        """Note that the clockwork moves: being due is what makes APScheduler read the clock and look at other jobs."""
        self._ticked_s = monotonic()

    @property
    def tick_age_s(self) -> float | None:
        """How long ago, in seconds, the clockwork last moved; None while it was not started."""
        return None if self._ticked_s is None else monotonic() - self._ticked_s

    async def rest(self) -> None:
        """Let nothing become due until `start`; what is being recorded is recorded."""
        self._ticked_s = None
        if self._apscheduler.running:
            self._apscheduler.pause()
        if self._firing:
            await asyncio.wait(self._firing.values())

    async def stop(self) -> None:
        """Let nothing become due any more; what is being recorded is recorded."""
        if self._apscheduler.running:
            self._apscheduler.shutdown(wait=False)
        if self._firing:
            await asyncio.wait(self._firing.values())

    def put(self, schedules: Iterable[Scheduled]) -> None:
        """Put schedules on the timetable, or replace those of the same id."""
        changed: dict[str, datetime] = {}
        for scheduled in schedules:
            self.remove(scheduled.entry.id)
            trigger, offset = scheduled.entry.trigger, scheduled.entry.offset
            key = later(trigger, offset).key
            self._keys[scheduled.entry.id] = key
            group = self._groups.setdefault(key, Group(trigger, offset, {}))
            group.members[scheduled.entry.id] = scheduled
            changed[key] = min(changed.get(key, scheduled.last), scheduled.last)
        for key, oldest in changed.items():
            group = self._groups[key]
            self._set_alarm(group.alarm, oldest + group.offset)

    def _set_alarm(self, trigger: Trigger, last: datetime) -> None:
        """Have the group of `trigger` looked at when its first instant after `last` has come, or earlier."""
        due_at = trigger.next_after(last)
        if due_at is None:
            return
        job = self._apscheduler.get_job(trigger.key)
        if job is None:
            self._apscheduler.add_job(
                self._ring, trigger, args=[trigger.key], id=trigger.key, name=trigger.words, next_run_time=due_at
            )
        elif due_at < job.next_run_time:
            job.modify(next_run_time=due_at)

    def remove(self, schedule_id: str) -> None:
        """Take a schedule off the timetable; one that is not on it is fine."""
        key = self._keys.pop(schedule_id, None)
        if key is None:
            return
        members = self._groups[key].members
        del members[schedule_id]
        if not members:
            del self._groups[key]
            with contextlib.suppress(JobLookupError):  # a trigger that never fires again has no job any more
                self._apscheduler.remove_job(key)

    def _ring(self, key: str) -> None:
        """Have what is due recorded by a task of our own, as APScheduler cancels its own when it is shut down.

        A trigger that rings while its task still works needs no second one: the task looks again before it ends. One
        that rings while the clockwork rests is heard when it goes on.
        """
        if key not in self._firing and self._apscheduler.state != STATE_PAUSED:
            self._firing[key] = task = asyncio.create_task(self._fire(key), name=f"timetable {key}")
            task.add_done_callback(lambda done: self._fired(key, done))

    def _fired(self, key: str, task: asyncio.Task[None]) -> None:
        del self._firing[key]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            trace = None if isinstance(error, StoreError) else error
            logger.error("what is due cannot be recorded: %s; tried again in %d s", error, AGAIN_S, exc_info=trace)
            if self._apscheduler.running:
                asyncio.get_running_loop().call_later(AGAIN_S, self._ring, key)

    async def _fire(self, key: str) -> None:
        """Record all that is due for the schedules of one trigger, until nothing is."""
        while (group := self._groups.get(key)) is not None and await self._record_due(group):
            pass

    async def _record_due(self, group: Group) -> bool:
        """Record what is due now, slice by slice; tell whether there was anything."""
        now = self._clock() - group.offset
        found = False
        waiting: list[tuple[Scheduled, occurrences.Due]] = []
        for pair in _due_now(group, now):
            found = True
            waiting.append(pair)
            if len(waiting) == SLICE:
                await self._record(waiting)
                waiting = []
        if waiting:
            await self._record(waiting)
        return found

    async def _record(self, due: Sequence[tuple[Scheduled, occurrences.Due]]) -> None:
        made = await self._writer.call(occurrences.record_slices, [row for _, row in due])
        for scheduled, row in due:
            scheduled.last = max(scheduled.last, row.run.due_at or scheduled.last)
        runs = [run for run in made if run is not None]
        unrun = [run for run in runs if run.state.final]
        _tell_unrun(unrun)
        for run in unrun:
            self._ended(run)
        self._queued([run for run in runs if not run.state.final])
        for (scheduled, _), new in zip(due, made, strict=True):
            if scheduled.overlap is Overlap.CANCEL_RUNNING and new is not None and not new.state.final:
                await self._newer(new)


def _tell_unrun(runs: Sequence[Run]) -> None:
    """Log instants that are recorded but do not run: a line for each schedule and kind, with the first one's reason."""
    told: dict[tuple[str | None, RunState], list[Run]] = {}
    for run in runs:
        told.setdefault((run.schedule_id, run.state), []).append(run)
    for (schedule_id, state), same in told.items():
        first = f"{same[0].due_at:%Y-%m-%d %H:%M:%S}Z: {same[0].reason}"
        logger.warning("schedule '%s': %d instant(s) recorded as %s, from %s", schedule_id, len(same), state, first)


def _due_now(group: Group, now: datetime) -> Iterator[tuple[Scheduled, occurrences.Due]]:
    """Yield what is due for each schedule of the group; those with the same last instant share the reckoning."""
    reckoned: dict[datetime, tuple[list[datetime], int]] = {}
    for scheduled in list(group.members.values()):
        if scheduled.last not in reckoned:
            reckoned[scheduled.last] = group.trigger.instants(scheduled.last, now, CATCH_UP)
        instants, left_out = reckoned[scheduled.last]
        entry = scheduled.entry
        policy = entry.definition.misfire_policy
        if policy is MisfirePolicy.ASK and scheduled.ask is None:
            policy = MisfirePolicy.NONE
        for decision in decide(
            instants,
            left_out=left_out,
            now=now,
            grace=entry.definition.misfire_grace,
            policy=policy,
        ):
            state = RunState.MISSED if decision.missed else RunState.QUEUED
            new, replay = new_run(scheduled, decision.due_at), policy is MisfirePolicy.ALL
            yield (
                scheduled,
                occurrences.Due(
                    run=new,
                    state=state,
                    reason=decision.missed,
                    replay=replay,
                    overlap=scheduled.overlap,
                    ask=scheduled.ask if decision.asked else None,
                ),
            )


async def _nothing_older(run: Run) -> None:
    """Leave all as it is."""
