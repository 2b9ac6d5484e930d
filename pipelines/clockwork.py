"""The timetable as a part of the lead: what is due is recorded by the scheduler that leads.

Should nobody lead, as while the server of the lock is away, every scheduler records what is due. The database lets one
of them through, so that this costs some vain inserts and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pipelines.errors import StoreError
from pipelines.jobs import Jobs
from pipelines.timetable import Timetable

logger = logging.getLogger(__name__)

LOOK_S = 2.0
"""So often, in seconds, one who does not lead looks whether somebody does."""
PATIENCE = 3
"""After so many looks that found nobody, it records what is due."""


class Clockwork:
    """Has what is due recorded for as long as this process leads, or nobody does."""

    def __init__(self, jobs: Jobs, timetable: Timetable, *, shared: bool) -> None:
        """Begin nothing yet; where the store is `shared`, others may record what is due before this process does."""
        self._jobs, self._timetable, self._shared = jobs, timetable, shared
        self._leads = self._stands_in = False

    async def begin(self) -> None:
        """Go on where the leader before this one stopped: what it recorded is in the store.

        A store that is away, as the lock may be elsewhere, is waited for.
        """
        self._leads, self._stands_in = True, False
        while True:
            try:
                return await self._start()
            except StoreError as error:
                logger.error("what is due cannot be read: %s; tried again in %g s", error, LOOK_S)
            await asyncio.sleep(LOOK_S)

    async def end(self) -> None:
        """Let nothing become due here any more."""
        self._leads = False
        await self._timetable.rest()

    async def stand_in(self, led: Callable[[], Awaitable[bool]]) -> None:
        """Record what is due while nobody leads, for ever; `led` says whether somebody does."""
        unled = 0
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                unled = 0 if self._leads or await led() else unled + 1
                await self._look(unled)
            except StoreError as error:
                logger.debug("who leads cannot be seen: %s", error)

    async def _look(self, unled: int) -> None:
        if self._leads:
            return
        if unled >= PATIENCE and not self._stands_in:
            logger.warning("nobody leads: this process records what is due, as do the others, until somebody does")
            await self._start()
            self._stands_in = True
        elif unled == 0 and self._stands_in:
            self._stands_in = False
            await self._timetable.rest()

    async def _start(self) -> None:
        if self._shared:
            await self._jobs.look_again()
        self._timetable.start()
