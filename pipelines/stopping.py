"""How a process that serves is stopped: the first signal drains it, the second stops it at once."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Protocol

logger = logging.getLogger(__name__)

OK, FAILED = 0, 1


class Stoppable(Protocol):
    """What serves until it is stopped: a scheduler's engine, or a worker."""

    async def failed(self) -> None:
        """Return when a part that must never end has ended, by raising what ended it."""

    async def drain(self, grace_s: float) -> None:
        """Begin nothing more, and let what goes on end within so many seconds."""

    async def kill(self) -> None:
        """Stop what goes on at once."""


def signals() -> asyncio.Queue[str]:
    """Return where the names of SIGTERM and SIGINT arrive from now on."""
    received: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received.put_nowait, number.name)
    return received


async def until(stop: asyncio.Queue[str], serving: Stoppable) -> int:
    """Wait for a signal, or for a part that has died; return the exit code."""
    told = asyncio.create_task(stop.get(), name="signals")
    failed = asyncio.create_task(serving.failed(), name="watch")
    await asyncio.wait({told, failed}, return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        logger.critical("a part of the service died; stopping", exc_info=failed.exception())
        told.cancel()
        return FAILED
    failed.cancel()
    logger.info("%s: stopping; a second signal stops at once", told.result())
    return OK


async def drain(stop: asyncio.Queue[str], serving: Stoppable, grace_s: float) -> None:
    """Drain what serves; another signal meanwhile stops it at once."""
    drained = asyncio.create_task(serving.drain(grace_s), name="drain")
    again = asyncio.create_task(stop.get(), name="signals")
    await asyncio.wait({drained, again}, return_when=asyncio.FIRST_COMPLETED)
    if not drained.done():
        logger.warning("%s again: stopping at once", again.result())
        await serving.kill()
    again.cancel()
    await drained
