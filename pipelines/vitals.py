"""Reads how the service is: event loop, store, timetable, outbox, faces. `health` judges it; tasks tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime

from pipelines import health, variables
from pipelines.definition import SchedulerSection
from pipelines.errors import StoreError
from pipelines.health import Health
from pipelines.heartbeat import HeartbeatTask
from pipelines.store import notes, vitals
from pipelines.store.notes import Note
from pipelines.store.vitals import StoreVitals
from pipelines.store.writer import Reader, Writer
from pipelines.timetable import Timetable

ANSWER_S = 5.0
"""So long, in seconds, the store may take to write and read a little; then it counts as refusing."""
ALIVE_NOTE = "service.alive"
"""The note that says when the service last looked at itself: written to see whether the store can be."""


class Vitals:
    """Reads the health of one service. `faces` are asked where they stand, in words; see `service.Face.state`."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        timetable: Timetable,
        *,
        running: Callable[[], int],
        slots: int,
        clock: Callable[[], datetime],
    ) -> None:
        """`running` counts the runs that go on, of which there may be `slots`; `clock` gives the time now, UTC."""
        self._writer = writer
        self._reader = reader
        self._timetable = timetable
        self._running = running
        self._slots = slots
        self._clock = clock
        self.faces: list[Callable[[], str]] = []

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
            slots=self._slots,
            queued=known.queued,
            queued_since=known.queued_since,
            retrying=known.retrying,
            tick_age_s=self._timetable.tick_age_s,
            unsent=known.unsent,
            unsent_since=known.unsent_since,
            dead=known.dead,
            refused=refused,
            faces=tuple(state() for state in self.faces),
        )

    def watching(self, options: SchedulerSection, env: Mapping[str, str]) -> Mapping[str, Coroutine[None, None, None]]:
        """Return what goes on as long as the service does, by name, as the pipelines file says; `env` fills `${NAME}`.

        Raises:
            PipecallError: a variable is not set.
        """
        work: dict[str, Coroutine[None, None, None]] = {}
        if options.monitoring.enabled:
            work["health"] = health.watch(self.read, options.monitoring.health_check_interval)
        if (beat := options.heartbeat) is not None:
            work["heartbeat"] = HeartbeatTask(variables.filled(beat.url, env), beat.every, self.read).run()
        return work

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
