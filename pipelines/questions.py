"""The task that closes questions about missed runs which nobody has answered in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from pipelines.errors import StoreError
from pipelines.store import questions
from pipelines.store.writer import Reader, Writer

logger = logging.getLogger(__name__)

EVERY_S = 30.0
"""So often, in seconds, it looks."""


class Questions:
    """Closes what has waited too long. `run` is its task; `posted` is called when messages were stored."""

    def __init__(
        self, writer: Writer, reader: Reader, *, clock: Callable[[], datetime], posted: Callable[[], None]
    ) -> None:
        """Look through `reader` and close through `writer`; `clock` tells the time, UTC."""
        self._writer, self._reader = writer, reader
        self._clock, self._posted = clock, posted

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                logger.error("questions about missed runs wait: %s", error)
            await asyncio.sleep(EVERY_S)

    async def look(self) -> int:
        """Close what has waited too long now; return how many those were.

        Raises:
            StoreError: the database refused; they are closed the next time.
        """
        now = self._clock()
        if not await self._reader.read(questions.overdue, now):
            return 0
        closed: int = await self._writer.call(questions.expire, now)
        logger.info("%d question(s) about missed runs closed: nobody answered within 24 hours", closed)
        self._posted()
        return closed
