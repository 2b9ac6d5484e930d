"""Tells people in the alerts' channel what a reload put in force or refused; a row of refusals is one message."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from pipelines.catalog import Catalog
from pipelines.changes import Change
from pipelines.errors import PipecallError, StoreError
from pipelines.redaction import Redactor
from pipelines.store import outbox
from pipelines.store.outbox import Post
from pipelines.store.writer import Writer

logger = logging.getLogger(__name__)

WANTED = timedelta(hours=12)
"""A message that could not be delivered within this time is not delivered any more."""


class Notices:
    """Writes notices into the outbox. `posted` is called after each."""

    def __init__(
        self,
        catalog: Catalog,
        writer: Writer,
        *,
        redactor: Redactor,
        posted: Callable[[], None],
        clock: Callable[[], datetime],
        may: Callable[[], bool] = lambda: True,
    ) -> None:
        """`redactor` hides secrets that an error may quote; `clock` gives the time now, UTC.

        While `may` says no another process tells: each of several schedulers reads the same files.
        """
        self._catalog, self._writer = catalog, writer
        self._redactor, self._posted, self._clock, self._may = redactor, posted, clock, may
        self._trouble: str | None = None
        self._writing: set[asyncio.Task[None]] = set()

    def reloaded(self, what: Change | PipecallError) -> None:
        """Tell of a change that is in force, or of one that was refused."""
        channel = self._catalog.loaded.file.alerts.channel_id
        now = self._clock()
        key, edits = self._trouble or f"reload:{now.isoformat()}", self._trouble is not None
        self._trouble = None if isinstance(what, Change) else key
        if channel is None or not self._may():
            return
        good = isinstance(what, Change)
        body = {"good": good, "text": self._redactor.text(str(what))}
        post = Post(f"discord:{channel}", "reload", key, body, now, expires_at=now + WANTED, replace=edits)
        task = asyncio.create_task(self._write(post), name="notice")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, post: Post) -> None:
        try:
            await self._writer.call(outbox.post, post)
        except StoreError as error:
            logger.error("people cannot be told of a reload: %s", error)
        self._posted()
