"""The HTTP server: uvicorn in the service's own loop, with a bound on connections and on how long one may say nothing.

It takes no signals: the service does. Its sockets are opened here, so that a port that is in use is an error and not
the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

CONNECTIONS = 256
"""So many connections may be open at one time; further ones are closed at once."""
FIRST_S = 15.0
"""So long, in seconds, a new connection may take until its first request is there."""
FINISH_S = 5
"""So long, in seconds, requests under way may take once the service stops."""
PROXIES = ["127.0.0.1", "::1"]
"""Who may say on whose behalf a request comes."""


class Connection(H11Protocol):
    """A connection that must come to the point."""

    _first: asyncio.TimerHandle | None = None

    @property
    def _begun(self) -> bool:
        """Whether a request of it was ever understood."""
        return isinstance(getattr(self, "cycle", None), RequestResponseCycle)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or close it where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.close()
            return
        self._first = self.loop.call_later(FIRST_S, self._hurry)

    def _hurry(self) -> None:
        if not self._begun:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of it."""
        if self._first is not None:
            self._first.cancel()
        super().connection_lost(exc)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield


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
