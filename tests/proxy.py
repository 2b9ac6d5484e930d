"""A TCP proxy whose network a test can break: nothing answers, all connections are reset, everything takes longer."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

LOOPBACK = "127.0.0.1"
_CHUNK = 65_536
_DONE_S = 0.1
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Forwards `port` of loopback to a server; all methods may be called from any thread and are done on return."""

    def __init__(self, host: str, port: int) -> None:
        """Forward to `host` and `port`; nothing listens before `proxied` starts it."""
        self.port = 0
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._delay_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._look: tuple[Callable[[bytes], bool], bool] | None = None

    def black_hole(self) -> None:
        """From now on nothing passes: connections are accepted and stay open, and nobody hears anything."""
        self._do(self._flows.clear)

    def reset(self) -> None:
        """Reset all connections, those of the server too; new ones are forwarded."""
        self._do(self._reset)

    def heal(self) -> None:
        """Forward again, at once and as it came: what was held back in a black hole too."""
        self._do(self._heal)

    def delay(self, seconds: float) -> None:
        """Forward each piece only after so many seconds."""
        self._do(lambda: setattr(self, "_delay_s", seconds))

    def when_sent(self, text: bytes, then: Callable[[], None] | None = None, *, deliver: bool = True) -> None:
        """Reset all connections once, as soon as a client sends `text`: before or after the server got it.

        Args:
            text: what to look for in one piece of what a client sends.
            then: called in the proxy's thread right before the reset.
            deliver: whether the server gets that piece.
        """

        def look(data: bytes) -> bool:
            if text not in data:
                return False
            self._look = None
            if then is not None:
                then()
            return True

        self._do(lambda: setattr(self, "_look", (look, deliver)))

    def _do(self, what: Callable[[], Any]) -> None:
        async def do() -> None:
            what()

        asyncio.run_coroutine_threadsafe(do(), self._loop).result(10)

    def _heal(self) -> None:
        self._delay_s = 0.0
        self._flows.set()

    def _reset(self) -> None:
        for writer in list(self._writers):
            taken: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._flows.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, LOOPBACK, 0))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self._loop.run_forever()
        server.close()
        self._reset()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        server: asyncio.StreamWriter | None = None
        try:
            await self._flows.wait()
            answers, server = await asyncio.open_connection(*self._target)
            self._writers.add(server)
            await asyncio.gather(self._pass(reader, server, sent=True), self._pass(answers, writer, sent=False))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, server):
                if each is not None:
                    self._writers.discard(each)
                    each.transport.abort()
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, sent: bool) -> None:
        while data := await reader.read(_CHUNK):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await self._flows.wait()
            if sent and self._look is not None:
                look, deliver = self._look
                if look(data):
                    if deliver:
                        await self._deliver(writer, data)
                    self._reset()
                    raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _deliver(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Have the server get and do what it is told, while its answers are held back."""
        self._flows.clear()
        writer.write(data)
        await asyncio.sleep(_DONE_S)
        self._flows.set()


@contextmanager
def proxied(port: int, host: str = LOOPBACK) -> Iterator[Proxy]:
    """A running proxy before a server; its own port is `Proxy.port`."""
    proxy = Proxy(host, port)
    ready = threading.Event()
    thread = threading.Thread(target=proxy._run, args=(ready,), name="proxy", daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield proxy
    finally:
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join(10)
