"""Reads how the service is: event loop, store, timetable, outbox, faces. `health` judges it; tasks tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from pkgutil import resolve_name
from typing import Any

from pipelines import health, variables
from pipelines.definition import SchedulerSection
from pipelines.errors import StoreError
from pipelines.health import Health
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
        clock: Callable[[], datetime],
    ) -> None:
        """`running` counts the runs that go on, of which there may be `slots()`; `clock` gives the time now, UTC.

        `outdated` says why the newest pipelines file is not in force (None: it is).
        """
        self._writer = writer
        self._reader = reader
        self._timetable = timetable
        self._running = running
        self._slots = slots
        self._outdated = outdated
        self._clock = clock
        self.faces: dict[str, Callable[[], str]] = {}

    async def read(self) -> Health:
        """Read all of it; what cannot be read because the store refuses is left out, and the refusal told."""
        lag_s = await health.loop_lag_s()
        now = self._clock()
        known, refused = await self._of_store(now)
        return Health(
            at=now,
            loop_lag_s=lag_s,
            waiting_writes=self._writer.pending,
            dropped_lines=self._writer.dropped,
            running=self._running(),
            slots=self._slots(),
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
        )

    async def watch(
        self, options: Callable[[], SchedulerSection], env: Mapping[str, str], changed: asyncio.Event
    ) -> None:
        """Log the health and send heartbeats for ever, as `options` says; begin anew when it has `changed`.

        `env` fills `${NAME}`.
        """
        while True:
            changed.clear()
            works = [asyncio.create_task(work) for work in self._works(options(), env)]
            works.append(asyncio.create_task(changed.wait()))
            try:
                done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for work in works:
                    work.cancel()
                await asyncio.gather(*works, return_exceptions=True)
            for work in done:
                work.result()

    def _works(self, options: SchedulerSection, env: Mapping[str, str]) -> list[Coroutine[None, None, Any]]:
        works: list[Coroutine[None, None, Any]] = []
        if options.monitoring.enabled:
            works.append(health.watch(self.read, options.monitoring.health_check_interval))
        if (beat := options.heartbeat) is not None:
            task = resolve_name(HEARTBEAT)(variables.filled(beat.url, env), beat.every, self.read)
            works.append(task.run())
        return works

    async def _of_store(self, now: datetime) -> tuple[StoreVitals, str | None]:
        known = StoreVitals()
        try:
            async with asyncio.timeout(ANSWER_S):
                known = await self._reader.read(vitals.read)
                await self._writer.call(notes.put, Note(ALIVE_NOTE, now.isoformat(), now), durable=False)
        except StoreError as error:
            return known, str(error)
        except TimeoutError:
            return known, f"no answer within {ANSWER_S:g} s"
        return known, None
