"""The websocket: sessions with their sequence and replay, and everything that a test may do to a connection."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from tests.fake_discord.waiting import Changes

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT, INVALID, HELLO, ACK = 0, 1, 2, 3, 6, 7, 9, 10, 11
PRIVILEGED = 1 << 1 | 1 << 8 | 1 << 15
"""The intents for members, presences and message content."""

Event = tuple[str, dict[str, Any]]


class Connection:
    """One open websocket; frames leave it in the order in which they were put.

    Attributes:
        session: What was identified or resumed here, or None.
        closing: True once this side began to close: only the bot's own 1000 or 1001 ends a session.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self.session: Session | None = None
        self.closing = False
        self._frames: asyncio.Queue[dict[str, Any] | int] = asyncio.Queue()

    def send(self, op: int, data: Any = None) -> None:
        """Put a frame."""
        self._frames.put_nowait({"op": op, "d": data, "s": None, "t": None})

    def put(self, frame: dict[str, Any] | int) -> None:
        """Put a whole frame, or a close code."""
        self._frames.put_nowait(frame)

    def cut(self) -> None:
        """End the TCP connection without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    async def write(self) -> None:
        """Send what is put until a close code comes."""
        while isinstance(frame := await self._frames.get(), dict):
            await self.socket.send_str(json.dumps(frame))
        self.closing = True
        await self.socket.close(code=frame)


@dataclasses.dataclass(eq=False, slots=True)
class Session:
    """What IDENTIFY began: it outlives a connection, and remembers what it was told."""

    id: str
    intents: int
    connection: Connection | None
    log: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def tell(self, event: str, data: dict[str, Any]) -> None:
        """Number an event, remember it, and send it where there is a connection."""
        frame = {"op": DISPATCH, "s": len(self.log) + 1, "t": event, "d": data}
        self.log.append(frame)
        if self.connection is not None:
            self.connection.put(frame)


class Gateway:
    """The gateway and its faults.

    Args:
        token: The bot token that is right now.
        greet: READY's data for a session id, and the events that follow it.
        changes: Told of everything that arrives.

    Attributes:
        identifies: Every IDENTIFY's data; `resumes` every RESUME's.
        handshakes: How many connections were tried, the refused ones too.
        heartbeats: How many heartbeats came.
        most: The highest number of bots that were connected at one time.
        presences: Every presence that the bot set.
        heartbeat_interval_s: What HELLO asks for.
        acknowledges: False leaves heartbeats unanswered, as a dead connection does.
        granted: The privileged intents that the application may ask for; others close with 4014.
    """

    def __init__(self, *, token: Callable[[], str], greet: Callable[[str], Iterable[Event]], changes: Changes) -> None:
        self._token, self._greet, self._changes = token, greet, changes
        self._sessions: dict[str, Session] = {}
        self._connections: set[Connection] = set()
        self._refused: list[int] = []
        self.identifies: list[dict[str, Any]] = []
        self.resumes: list[dict[str, Any]] = []
        self.presences: list[dict[str, Any]] = []
        self.handshakes = 0
        self.heartbeats = 0
        self.most = 0
        self.heartbeat_interval_s = 41.25
        self.acknowledges = True
        self.granted = PRIVILEGED

    @property
    def connected(self) -> bool:
        """Whether a bot is connected and identified."""
        return self.bots > 0

    async def ready(self, *, timeout_s: float = 5.0) -> None:
        """Wait until a bot is connected and identified. Raises: TimeoutError."""
        await self._changes.until(lambda: self.connected, timeout_s=timeout_s, what="a bot on the gateway")

    @property
    def bots(self) -> int:
        """How many bots are connected and identified at this moment."""
        return sum(session.connection is not None for session in self._sessions.values())

    def dispatch(self, event: str, data: dict[str, Any], *, intents: int = 0) -> None:
        """Tell every session that asked for one of the intents (0: every session); replayed to those that resume."""
        for session in self._sessions.values():
            if not intents or session.intents & intents:
                session.tell(event, data)

    def refuse(self, times: int = 1, *, status: int = 503) -> None:
        """Answer the next handshakes with an HTTP status instead of a websocket."""
        self._refused += [status] * times

    def reconnect(self) -> None:
        """Op 7: ask every bot to reconnect and resume."""
        self._every(lambda connection: connection.send(RECONNECT))

    def invalidate(self, *, resumable: bool = False) -> None:
        """Op 9: end the sessions; a resumable one may be resumed."""
        if not resumable:
            self._sessions.clear()
        self._every(lambda connection: connection.send(INVALID, resumable))

    def close(self, code: int = 4000, *, forget: bool = False) -> None:
        """Close every connection with a code; with `forget` a RESUME is answered by op 9 false."""
        if forget:
            self._sessions.clear()
        self._every(lambda connection: connection.put(code))

    def drop(self) -> None:
        """Cut every connection without a close frame."""
        self._every(lambda connection: connection.cut())

    def ask_for_heartbeat(self) -> None:
        """Op 1: ask every bot for a heartbeat now."""
        for connection in self._connections:
            connection.send(HEARTBEAT)

    def _every(self, act: Callable[[Connection], None]) -> None:
        for connection in list(self._connections):
            if connection.session is not None:
                connection.session.connection = None
            act(connection)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection from handshake to close."""
        self.handshakes += 1
        self._changes.notify()
        if self._refused:
            return web.Response(status=self._refused.pop(0))
        socket = web.WebSocketResponse(timeout=1.0)
        await socket.prepare(request)
        connection = Connection(socket, request.transport)
        self._connections.add(connection)
        connection.send(HELLO, {"heartbeat_interval": int(self.heartbeat_interval_s * 1000)})
        writer = asyncio.create_task(connection.write(), name="fake gateway writer")
        try:
            async for message in socket:
                self._receive(connection, json.loads(message.data))
                self._changes.notify()
        finally:
            await self._ended(connection, writer)
        return socket

    async def _ended(self, connection: Connection, writer: asyncio.Task[None]) -> None:
        self._connections.discard(connection)
        session = connection.session
        if session is not None and session.connection in {connection, None}:
            session.connection = None
            if connection.socket.close_code in {1000, 1001} and not connection.closing:
                self._sessions.pop(session.id, None)
        if not connection.closing:
            writer.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await writer
        self._changes.notify()

    def _receive(self, connection: Connection, frame: dict[str, Any]) -> None:
        op, data = frame["op"], frame.get("d") or {}
        if op == HEARTBEAT:
            self.heartbeats += 1
            if self.acknowledges:
                connection.send(ACK)
        elif op == IDENTIFY:
            self._identify(connection, data)
        elif op == RESUME:
            self._resume(connection, data)
        elif op == PRESENCE:
            self.presences.append(data)
        else:
            connection.put(4001)

    def _identify(self, connection: Connection, data: dict[str, Any]) -> None:
        self.identifies.append(data)
        if data["token"] != self._token():
            connection.put(4004)
        elif data["intents"] & PRIVILEGED & ~self.granted:
            connection.put(4014)
        elif connection.session is not None:
            connection.put(4005)
        else:
            session = Session(secrets.token_hex(8), data["intents"], connection)
            self._sessions[session.id] = connection.session = session
            self.most = max(self.most, self.bots)
            for event, told in self._greet(session.id):
                session.tell(event, told)

    def _resume(self, connection: Connection, data: dict[str, Any]) -> None:
        self.resumes.append(data)
        session = self._sessions.get(data["session_id"])
        if data["token"] != self._token():
            connection.put(4004)
        elif session is None:
            connection.send(INVALID, False)
        elif data["seq"] > len(session.log):
            connection.put(4007)
        else:
            connection.session, session.connection = session, connection
            self.most = max(self.most, self.bots)
            for frame in session.log[data["seq"] :]:
                connection.put(frame)
            session.tell("RESUMED", {})
