"""The HTTP server: uvicorn in the service's own loop, with a bound on connections and on how long one may say nothing.

It takes no signals: the service does. Its sockets are opened here, so that a port that is in use is an error and not
the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

CONNECTIONS = 256
"""So many connections may be open at one time; for a further one that which idles the longest is closed, else it."""
HEAD_S = 15.0
"""So long, in seconds, a request may take until its head is there, counted from when it could begin."""
FINISH_S = 5
"""So long, in seconds, requests under way may take once the service stops."""
SLOW_S = 30.0
"""So long, in seconds, somebody may take nothing of what is sent to them; then they are cut off."""
TICK_S = 0.5
"""So often, in seconds, it is looked whether to end, and the date of answers is brought up to date."""
PROXIES = ["127.0.0.1", "::1"]
"""Who may say on whose behalf a request comes."""


class Connection(H11Protocol):
    """A connection that must come to the point, and take what it asked for."""

    _due: asyncio.TimerHandle | None = None
    _slow: asyncio.TimerHandle | None = None
    since = 0.0
    """When it began to wait for a request, by the loop's clock."""

    @property
    def idle(self) -> bool:
        """Whether no request is under way: at most a part of a head is there."""
        cycle: RequestResponseCycle | None = self.cycle
        return (cycle is None or cycle.response_complete) and self.conn.their_state is h11.IDLE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it; where there are too many, one that idles makes place for it."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._attend()
        if len(self.connections) > CONNECTIONS:
            others = [each for each in self.connections if isinstance(each, Connection) and each is not self]
            min((each for each in others if each.idle), key=lambda each: each.since, default=self).transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        super().data_received(data)
        self._attend()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self.since = self.loop.time()
        self._attend()

    def _attend(self) -> None:
        """Have the head of a request be there in time: one clock runs for it, whatever trickles in."""
        if not self.idle:
            self._rest()
        elif self._due is None:
            self._due = self.loop.call_later(HEAD_S, self.transport.close)

    def _rest(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def pause_writing(self) -> None:
        """Send no more until what waits is taken, and cut it off where that lasts."""
        super().pause_writing()
        self._slow = self.loop.call_later(SLOW_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        self._unhurry()

    def _unhurry(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of it."""
        self._rest()
        self._unhurry()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, and without its haste."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield

    async def main_loop(self) -> None:
        """Look now and then whether it is to end: to do so ten times a second is half of what an idle web costs."""
        while not await self.on_tick(0):  # noqa: ASYNC110 - uvicorn's flag sends no event
            await asyncio.sleep(TICK_S)


def make_server(app: ASGIApp) -> Server:
    """Return a server for an app; `serve(sockets=[…])` runs it until `should_exit` is set."""
    return Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=PROXIES,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=FINISH_S,
        )
    )


async def listening(host: str, port: int) -> socket.socket:
    """Open the port; 0 is a free one.

    Raises:
        OSError: it is in use, or there is no such address.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, address = found[0]
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def address_of(opened: socket.socket) -> str:
    """Return where a socket can be reached: `http://127.0.0.1:8080`."""
    host, port = opened.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
