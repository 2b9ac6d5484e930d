"""A pooler of PostgreSQL's sessions, as pgbouncer is one with `pool_mode = transaction`: clients share a few in turns.

It knows as much of the protocol as that takes. Clients are let in without asking the server; a transaction of one gets
whichever session is next, and the next transaction another. One transaction goes on at a time.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import BinaryIO

from tests.servers import LOOPBACK

_ENCRYPTIONS = (80877103, 80877104)
_READY = b"Z"
_IDLE = b"Z\x00\x00\x00\x05I"
_WANT_ANSWER = (b"Q", b"S")


class Pooler:
    """Sessions of the server at `port` of loopback: the one used last comes next, or they come in turns."""

    def __init__(self, port: int, size: int, *, in_turns: bool) -> None:
        """Open `size` sessions, as soon as there is a client in whose name."""
        self._server, self._size, self._in_turns = port, size, in_turns
        self._sessions: list[tuple[socket.socket, BinaryIO]] = []
        self._greeting = b""
        self._turn = threading.Lock()
        self._open = ExitStack()

    def serve(self, listener: socket.socket) -> None:
        """Let clients in until the listener is shut down; whoever is there then is sent away."""
        clients = []
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                clients.append(threading.Thread(target=self._client, args=(client, self._kept(client)), daemon=True))
                clients[-1].start()
        self._open.close()
        for each in clients:
            each.join(10)

    def _kept(self, connection: socket.socket) -> BinaryIO:
        """Keep a connection until the end, and return what comes over it."""
        self._open.enter_context(connection)
        stream = self._open.enter_context(connection.makefile("rb"))
        self._open.callback(_hang_up, connection)
        return stream

    def _client(self, client: socket.socket, says: BinaryIO) -> None:
        with suppress(OSError, EOFError, ValueError):
            startup = _startup(client, says)
            with self._turn:
                while len(self._sessions) < self._size:
                    self._connect(startup)
            client.sendall(self._greeting)
            while True:
                first = _message(says)
                with self._turn:
                    self._transaction(first, client, says)

    def _connect(self, startup: bytes) -> None:
        """Open a session; what the server says to that is what all clients hear."""
        session = socket.create_connection((LOOPBACK, self._server))
        answers = self._kept(session)
        session.sendall(startup)
        self._greeting = b"".join(iter(partial(_message, answers), _IDLE)) + _IDLE
        self._sessions.append((session, answers))

    def _transaction(self, message: bytes, client: socket.socket, says: BinaryIO) -> None:
        """Pass on what both say until no transaction is open."""
        session, answers = self._sessions.pop(0 if self._in_turns else -1)
        self._sessions.append((session, answers))
        while True:
            session.sendall(message)
            if message[:1] in _WANT_ANSWER:
                answer = b""
                while not answer.startswith(_READY):
                    client.sendall(answer := _message(answers))
                if answer == _IDLE:
                    return
            message = _message(says)


@contextmanager
def pooled(port: int, *, size: int = 1, in_turns: bool = False) -> Iterator[int]:
    """A pooler before the server at `port` of loopback; yields its own port."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        pooler = Pooler(port, size, in_turns=in_turns)
        thread = threading.Thread(target=pooler.serve, args=(listener,), name="pooler", daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _startup(client: socket.socket, says: BinaryIO) -> bytes:
    """Return what a client begins with, once it has done without encryption."""
    while True:
        length = _some(says, 4)
        begun = _some(says, int.from_bytes(length) - 4)
        if int.from_bytes(begun[:4]) not in _ENCRYPTIONS:
            return length + begun
        client.sendall(b"N")


def _message(stream: BinaryIO) -> bytes:
    """Read one message: its kind, its length, and the rest. Raises EOFError at the end, and when a client says so."""
    head = _some(stream, 5)
    if head.startswith(b"X"):
        raise EOFError
    return head + _some(stream, int.from_bytes(head[1:]) - 4)


def _some(stream: BinaryIO, count: int) -> bytes:
    if len(found := stream.read(count)) < count:
        raise EOFError
    return found


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
