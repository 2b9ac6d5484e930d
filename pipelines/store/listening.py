"""Hears at once of signals that are written to a PostgreSQL store: `LISTEN` on a connection of its own.

A notification carries nothing: what happened stands in the signals. While there is no connection nobody is told, so who
listens asks the store now and then all the same. Through a pgbouncer that pools transactions nothing is ever heard.
"""

from __future__ import annotations

import asyncio
import logging
import pkgutil
from collections.abc import Callable
from typing import Any

from pipelines.cancellation import raise_if_cancelled
from pipelines.store import conninfo, database
from pipelines.store.signals import CHANNEL

AGAIN_S = 0.5
"""So long, in seconds, after a connection was lost another is made; twice as long after each that fails."""
LONGEST_S = 15.0

_WANTED = {
    "application_name": "pipecall listener",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

logger = logging.getLogger(__name__)


class Listener:
    """Listens at one store. `hears` is True while a connection does, as far as is known."""

    def __init__(self, url: str) -> None:
        """Connect nothing yet; see `run`.

        Raises:
            StoreError: the URL cannot be read.
        """
        self._where = _WANTED | conninfo.arguments(url)
        self.hears = False

    async def run(self, heard: Callable[[], None]) -> None:
        """Call `heard` whenever there may be signals, for ever: at each notification, and after each new connection."""
        failed: type[Exception] = pkgutil.resolve_name("psycopg:Error")
        pause_s = AGAIN_S
        while True:
            try:
                await self._listen(heard)
            except (failed, OSError) as error:
                raise_if_cancelled()
                pause_s = AGAIN_S if self.hears else min(pause_s * 2, LONGEST_S)
                logger.debug("nobody listens for signals, the store is only asked: %s", error)
            finally:
                self.hears = False
            await asyncio.sleep(pause_s)

    async def _listen(self, heard: Callable[[], None]) -> None:
        connect: Callable[..., Any] = pkgutil.resolve_name("psycopg:AsyncConnection.connect")
        name: Callable[[str], Any] = pkgutil.resolve_name("psycopg.sql:Identifier")
        listen: Any = pkgutil.resolve_name("psycopg.sql:SQL")("LISTEN {}")
        async with await connect(**self._where, autocommit=True) as conn:
            (channel,) = await (await conn.execute(f"SELECT {CHANNEL}")).fetchone()
            await conn.execute(listen.format(name(channel)))
            self.hears = True
            heard()
            async for _ in conn.notifies():
                heard()


def listener_at(url: str) -> Listener | None:
    """Return who listens at the store at `url`; None for SQLite, which tells nobody.

    Raises:
        StoreError: the URL cannot be read.
    """
    return Listener(url) if database.file_of(url) is None else None
