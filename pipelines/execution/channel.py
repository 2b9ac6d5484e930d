"""The worker process's end of the socket: frames out and in, log records and questions of a running chain on their way.

`worker_process` is the main that uses it; the service's end is `process_worker`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from pipelines.execution.lines import FLUSH_AT, FLUSH_EVERY_S, Lines, line_of
from pipelines.execution.wire import LENGTH, BadFrame, Frame, decoded, encoded, lines_to_json, message_to_json
from pipelines.model import JSON, LogLine, Message

BURST_S = 0.02
"""A flood of log lines is sent in bursts this far apart, the oldest lines dropped in between. In seconds."""


class Channel:
    """The socket to the service. Sending may be done from any thread."""

    def __init__(self, sock: socket.socket) -> None:
        """Use this socket, blocking."""
        self._sock = sock
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @property
    def copied(self) -> bool:
        """True in a copy of the process that a stage made with `os.fork`: the socket is not the copy's to use."""
        return os.getpid() != self._pid

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send one frame; raises BadFrame when it is not JSON."""
        self.send_bytes(encoded(frame))

    def send_bytes(self, data: bytes) -> None:
        """Send frames that are encoded already; a copy of the process sends nothing."""
        if not self.copied:
            with self._lock:
                self._sock.sendall(data)

    def receive(self, wait: Callable[[socket.socket], None]) -> Frame:
        """Return the next frame from the service, for each part of which `wait` waits.

        Raises:
            EOFError: the service is gone.
        """
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, wait))
        return decoded(self._exactly(length, wait))

    def _exactly(self, size: int, wait: Callable[[socket.socket], None]) -> bytes:
        data = bytearray()
        while len(data) < size:
            wait(self._sock)
            try:
                piece = self._sock.recv(min(size - len(data), 2**20))
            except InterruptedError:
                continue
            except OSError as error:
                raise EOFError from error
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


class LogSender(logging.Handler):
    """Gathers every logger's records and sends them, soon but not one by one."""

    def __init__(self, channel: Channel) -> None:
        """Send over `channel`."""
        super().__init__()
        self._channel = channel
        self._lines = Lines()
        self._sent = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; send what waits if it is enough, for a stage that never lets the loop run."""
        self._take(line_of(record))

    def _take(self, line: LogLine) -> None:
        self._lines.add(line)
        waited_s = time.monotonic() - self._sent
        if waited_s >= FLUSH_EVERY_S or (waited_s >= BURST_S and len(self._lines) >= FLUSH_AT):
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        self._sent = time.monotonic()
        lines = self._lines.take()
        for at in range(0, len(lines), FLUSH_AT):
            self._channel.send({"kind": "log", "lines": lines_to_json(lines[at : at + FLUSH_AT])})


class WirePort:
    """A run's port that asks the service over the socket."""

    def __init__(self, channel: Channel) -> None:
        """Ask over `channel`."""
        self._channel = channel
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._progress: tuple[float | None, str] | None = None

    async def lookup(self, collection: str, keys: Sequence[str]) -> Mapping[str, JSON]:
        """See `RunPort.lookup`."""
        return dict(await self._ask(what="lookup", collection=collection, keys=list(keys)))

    async def scan(self, collection: str, after: str, limit: int) -> Sequence[tuple[str, JSON]]:
        """See `RunPort.scan`."""
        return [(key, value) for key, value in await self._ask("scan", collection=collection, after=after, limit=limit)]

    def emit(self, message: Message) -> None:
        """Tell of it; the chain keeps it for the outcome, where one that is no JSON fails the run."""
        with suppress(BadFrame):
            self._channel.send({"kind": "emitted", "message": message_to_json(message)})

    def progress(self, done: float | None, note: str) -> None:
        """Remember it; only the newest is sent, with the next flush."""
        self._progress = (float(done) if done is not None else None, str(note))

    def flush(self) -> None:
        """Send the newest progress if there is any."""
        if self._progress is not None:
            (done, note), self._progress = self._progress, None
            self._channel.send({"kind": "progress", "done": done, "note": note})

    def answered(self, frame: Frame) -> None:
        """Hand an answer to the one who asked."""
        future = self._asked.pop(frame["number"], None)
        if future is None or future.done():
            return
        if "error" in frame:
            future.set_exception(RuntimeError(f"the service could not answer: {frame['error']}"))
        else:
            future.set_result(frame["answer"])

    async def _ask(self, what: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._channel.send({"kind": "ask", "number": number, "what": what, **arguments})
        return await future
