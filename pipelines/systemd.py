"""What systemd is told of a service or a worker: that it is ready, how it is, that it stops; see sd_notify(3).

Each is one datagram to the socket that `NOTIFY_SOCKET` names; without that variable nothing is told. While a watchdog
is set, a sign of life goes out in half its time, but only while the service is of use; a held event loop gives none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from pipelines.health import Status

logger = logging.getLogger(__name__)


class Condition(Protocol):
    """How a service or a worker is, told in one line by its text."""

    @property
    def status(self) -> Status:
        """The verdict on it."""


@dataclass(frozen=True, slots=True)
class Systemd:
    """Who started the service; `address` is its socket (None: it does not listen), `watchdog_s` how patient it is.

    `watchdog_s` is in seconds; None: it does not watch.
    """

    address: str | None = None
    watchdog_s: float | None = None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Systemd:
        """Read what it put into the environment `env`."""
        address = env.get("NOTIFY_SOCKET") or None
        mine = env.get("WATCHDOG_PID") in (None, "", str(os.getpid()))
        patience = env.get("WATCHDOG_USEC", "")
        return cls(address, int(patience) / 1e6 if mine and patience.isdecimal() and int(patience) else None)

    def tell(self, *states: str) -> None:
        """Send states such as `READY=1`. What cannot be sent is told in the log: the service goes on."""
        if self.address is None:
            return
        path = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(states).encode(), path)
        except OSError as error:
            logger.warning("systemd was not told %s: %s", states[0], error)

    def ready(self) -> None:
        """Say that the service serves."""
        self.tell("READY=1", f"MAINPID={os.getpid()}", "STATUS=ready")

    def stopping(self) -> None:
        """Say that it was told to stop, and finishes what runs."""
        self.tell("STOPPING=1", "STATUS=stopping")

    async def watched(self, health: Callable[[], Awaitable[Condition]]) -> None:
        """Give a sign of life in half the time of the watchdog, for ever; none while `health` says that it is down."""
        if self.address is None or self.watchdog_s is None:
            return
        while True:
            try:
                well = await health()
                alive = () if well.status is Status.DOWN else ("WATCHDOG=1",)
                self.tell(*alive, "STATUS=" + " ".join(str(well).split()))  # a line each
            except Exception:  # the task's outermost frame: no sign of life is what systemd understands
                logger.exception("the service could not be asked how it is")
            await asyncio.sleep(self.watchdog_s / 2)


@asynccontextmanager
async def attended(env: Mapping[str, str], health: Callable[[], Awaitable[Condition]]) -> AsyncIterator[Systemd]:
    """Say that the service is ready, and give signs of life until it is left; `env` says to whom."""
    systemd = Systemd.of(env)
    systemd.ready()
    watched = asyncio.create_task(systemd.watched(health), name="watchdog")
    try:
        yield systemd
    finally:
        watched.cancel()
        with suppress(asyncio.CancelledError):
            await watched
