"""Reads how the service is: event loop, store, timetable, outbox, faces. `health` judges it; tasks tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from pkgutil import resolve_name
from typing import Any

from pipelines import health, variables
from pipelines.definition import SchedulerSection
from pipelines.errors import StoreError
from pipelines.health import Health
from pipelines.model import Machines
from pipelines.store import notes, vitals
from pipelines.store.notes import Note
from pipelines.store.vitals import StoreVitals
from pipelines.store.writer import Reader, Writer
from pipelines.timetable import Timetable

HEARTBEAT = "pipelines.heartbeat:HeartbeatTask"
"""What sends heartbeats: looked up where they are wanted, as its HTTP client takes 0.2 s to import."""
ANSWER_S = 5.0
"""So long, in seconds, the store may take to write and read a little; then it counts as refusing."""
ALIVE_NOTE = "service.alive"
"""The note that says when the service last looked at itself: written to see whether the store can be."""


class Vitals:
    """Reads the health of one service. `faces`, by name, are asked where they stand; see `faces.Face.state`."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        timetable: Timetable,
        *,
        running: Callable[[], int],
        slots: Callable[[], int],
        outdated: Callable[[], str | None],
        machines: Callable[[], Awaitable[Machines]] | None = None,
        clock: Callable[[], datetime],
    ) -> None:
        """`running` counts the runs that go on, of which there may be `slots()`; `clock` gives the time now, UTC.

        `outdated` says why the newest pipelines file is not in force (None: it is).
        `machines` reads who takes part (None: nobody but this one).
        """
        self._writer = writer
        self._reader = reader
        self._timetable = timetable
        self._running = running
        self._slots = slots
        self._outdated = outdated
        self._machines = machines
        self._leaderless_since: datetime | None = None
        self._divided_since: datetime | None = None
        self._clock = clock
        self.faces: dict[str, Callable[[], str]] = {}

    async def read(self) -> Health:
        """Read all of it; what cannot be read because the store refuses is left out, and the refusal told."""
        lag_s = await health.loop_lag_s()
        now = self._clock()
        known, machines, refused = await self._of_store(now)
        return Health(
            at=now,
            loop_lag_s=lag_s,
            waiting_writes=self._writer.pending,
            dropped_lines=self._writer.dropped,
            queued=known.queued,
            queued_since=known.queued_since,
            retrying=known.retrying,
            tick_age_s=self._timetable.tick_age_s,
            unsent=known.unsent,
            unsent_since=known.unsent_since,
            dead=known.dead,
            refused=refused,
            outdated=self._outdated(),
            faces={name: state() for name, state in self.faces.items()},
            **self._of_machines(machines, now),
        )

    async def watch(self, options: Callable[[], SchedulerSection], changed: asyncio.Event) -> None:
        """Log the health for ever, as `options` says; begin anew when it has `changed`."""

        def work() -> Coroutine[None, None, Any] | None:
            monitoring = options().monitoring
            return health.watch(self.read, monitoring.health_check_interval) if monitoring.enabled else None

        await _anew(work, changed)

    async def beat(
        self, options: Callable[[], SchedulerSection], env: Mapping[str, str], changed: asyncio.Event
    ) -> None:
        """Send heartbeats for ever, as `options` says, as one of several does; begin anew when it has `changed`.

        `env` fills `${NAME}`.
        """

        def work() -> Coroutine[None, None, Any] | None:
            if (beat := options().heartbeat) is None:
                return None
            run: Coroutine[None, None, Any] = resolve_name(HEARTBEAT)(
                variables.filled(beat.url, env), beat.every, self.read
            ).run()
            return run

        await _anew(work, changed)

    async def _of_store(self, now: datetime) -> tuple[StoreVitals, Machines | None, str | None]:
        known, machines = StoreVitals(), None
        try:
            async with asyncio.timeout(ANSWER_S):
                known = await self._reader.read(vitals.read)
                machines = await self._machines() if self._machines is not None else None
                await self._writer.call(notes.put, Note(ALIVE_NOTE, now.isoformat(), now), durable=False)
        except StoreError as error:
            return known, machines, str(error)
        except TimeoutError:
            return known, machines, f"no answer within {ANSWER_S:g} s"
        return known, machines, None

    def _of_machines(self, machines: Machines | None, now: datetime) -> dict[str, Any]:
        """Return the readings of all who share the store, where there is more than this one service."""
        if machines is None or not machines.many:
            self._leaderless_since = self._divided_since = None
            return {"running": self._running(), "slots": self._slots()}
        led = machines.leader is not None
        self._leaderless_since = None if led else self._leaderless_since or now
        self._divided_since = (self._divided_since or now) if machines.divided else None
        return {
            "running": len(machines.leases),
            "slots": machines.places,
            "workers": machines.executing if machines.by_workers else None,
            "unserved": {each.name: each.waiting for each in machines.queues if each.unserved},
            "leaderless_since": self._leaderless_since,
            "divided_since": self._divided_since,
        }


async def _anew(make: Callable[[], Coroutine[None, None, Any] | None], changed: asyncio.Event) -> None:
    """Do what `make` returns for ever, and begin anew with what it then returns when something has `changed`."""
    while True:
        changed.clear()
        made = make()
        works = [asyncio.create_task(each) for each in (made, changed.wait()) if each is not None]
        try:
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
        for work in done:
            work.result()
