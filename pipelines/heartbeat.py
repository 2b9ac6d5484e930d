"""The outgoing heartbeat: a service elsewhere is called now and then, and raises the alarm when no call comes.

It goes out only while the service is of use. A call that fails is told in the log once, and again when one succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

import aiohttp

from pipelines.health import Health, Status

logger = logging.getLogger(__name__)

TIMEOUT_S = 10.0
"""So long, in seconds, a call may take."""


class HeartbeatTask:
    """Calls `url` every so often; `run` is its task. Calls never overlap, and the address is never logged."""

    def __init__(
        self,
        url: str,
        every: timedelta,
        health: Callable[[], Awaitable[Health]],
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`health` is read before each call: while the service is down, none goes out."""
        self._url = url
        self._every_s = every.total_seconds()
        self._health = health
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._trouble = ""

    async def run(self) -> None:
        """Call for ever, the first time at once."""
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(timeout=self._timeout) as session:
            while True:
                began = loop.time()
                self._tell(await self._beat(session))
                await asyncio.sleep(max(began + self._every_s - loop.time(), 0.0))

    async def _beat(self, session: aiohttp.ClientSession) -> str:
        """Call once, unless the service is down; return what was in the way, empty where nothing was."""
        try:
            if (health := await self._health()).status is Status.DOWN:
                return f"the service is down ({'; '.join(health.faults)})"
            async with session.get(self._url) as answer:
                return "" if answer.status < 400 else f"it was answered with {answer.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return type(error).__name__  # its text may have the address, which is a secret
        except Exception:  # the task's outermost frame: what watches the service must not end it
            logger.exception("the heartbeat failed unexpectedly")
            return "an unexpected error"

    def _tell(self, trouble: str) -> None:
        """Write to the log when it begins to fail, fails otherwise, or is well again."""
        kind, before = trouble.partition(" (")[0], self._trouble.partition(" (")[0]
        if trouble and kind != before:
            logger.warning("the heartbeat is not sent: %s", trouble)
        elif before and not trouble:
            logger.info("the heartbeat is sent again")
        self._trouble = trouble
