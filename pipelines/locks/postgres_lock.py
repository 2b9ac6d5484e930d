"""An advisory lock of a PostgreSQL session of its own: the server frees it as soon as the session is over.

The session ends with its process; when the process is frozen or cannot be reached, the server ends it after `life_s`
seconds without a question (`idle_session_timeout`). A server of version 13 knows no such limit: there whoever waits for
the lock ends the session of a holder that has been silent for as long. Nobody waits inside a statement: that would hold
back vacuum. Through a pgbouncer it needs session pooling.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection

from pipelines import elapsed
from pipelines.cancellation import raise_if_cancelled
from pipelines.store import conninfo

LIFE_S = 10.0
"""So long, in seconds, the server waits for a question before it frees the lock."""
CERTAIN = 0.8
"""The share of that time for which the holder trusts in it: clocks and networks are not exact."""
PING_S = 1.0
"""How often, in seconds, the holder asks; at least three times in its life."""
NOTICE_S = 0.25
"""See `Lock.notice_s`: a server that ends the session tells the holder at once."""
POLL_S = 0.2
"""How often, in seconds, one who waits tries."""
AGAIN_S = 0.5
"""The pause, in seconds, before a server that is away is tried again."""
ANSWER_S = 5.0
"""So long, in seconds, the server may take to answer one who waits."""
NAME = "pipecall lock "
"""What sessions call themselves in `pg_stat_activity`, before their process."""
_IDLE_TIMEOUT_SINCE = 140_000
_KEY = 7_306_004

_OURS = f"{_KEY}, hashtext(coalesce(current_schema(), ''))"
_LOCKS = f"""
    FROM pg_locks WHERE locktype = 'advisory' AND classid = {_KEY} AND granted
    AND objid = hashtext(coalesce(current_schema(), ''))::bit(32)::bigint
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""  # noqa: S608 - constants
_TRY = f"SELECT pg_try_advisory_lock({_OURS})"
_STILL = f"SELECT EXISTS (SELECT {_LOCKS} AND pid = pg_backend_pid())"
_HOLDER = f"SELECT application_name FROM pg_stat_activity WHERE pid IN (SELECT pid {_LOCKS})"  # noqa: S608 - constants
_FREE = f"""
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE pid IN (SELECT pid {_LOCKS})
      AND state = 'idle' AND clock_timestamp() - state_change > make_interval(secs => %s)
"""  # noqa: S608 - constants
_SET = "SELECT set_config(%s, %s, false)"

_log = logging.getLogger(__name__)


class PostgresLock:
    """The lock of the store at `url`: of its database and schema."""

    kind = "postgres"
    notice_s = NOTICE_S

    def __init__(
        self, url: str, process: str, *, life_s: float = LIFE_S, clock: Callable[[], float] = elapsed.now_s
    ) -> None:
        """Connect nothing yet; `process` is how the session calls itself, `clock` tells seconds.

        Raises:
            StoreError: the URL cannot be read.
        """
        self._where = conninfo.arguments(url)
        self._process = process
        self._life_s = life_s
        self._clock = clock
        self._conn: AsyncConnection[tuple[Any, ...]] | None = None
        self._sure_until = -math.inf
        self._told = ""

    @property
    def sure_until(self) -> float:
        """See `Lock`: a share of the server's patience, counted from when the holder last asked."""
        return self._sure_until

    async def acquire(self) -> None:
        """See `Lock`."""
        while not await self._taken():  # noqa: ASYNC110 - other processes are waited for, and they send no event
            await asyncio.sleep(POLL_S)

    async def _taken(self) -> bool:
        """Try once; a session that fails is closed, and another is opened the next time."""
        try:
            conn = self._conn = self._conn or await self._connected()
            asked_at = self._clock()
            (taken,) = await _ask(conn, _TRY, within_s=ANSWER_S)
            if not taken and conn.info.server_version < _IDLE_TIMEOUT_SINCE:
                await _ask(conn, _FREE, (self._life_s,), within_s=ANSWER_S)
        except (psycopg.Error, OSError) as error:
            raise_if_cancelled()
            await self.release()
            self._tell(error)
            await asyncio.sleep(AGAIN_S)
            return False
        self._told = ""
        if taken:
            self._sure_until = asked_at + CERTAIN * self._life_s
        return bool(taken)

    async def hold(self) -> str:
        """See `Lock`. A server that ends the session is noticed at once, one that is silent after a while."""
        why = "the PostgreSQL server was not asked in time: this process stood still, or the server was silent"
        while self._conn is not None and (left_s := self._sure_until - self._clock()) > 0:
            try:
                await _listen(self._conn, min(PING_S, self._life_s / 3, left_s))
                asked_at = self._clock()
                (held,) = await _ask(self._conn, _STILL, within_s=max(self._sure_until - asked_at, 0.0))
            except (psycopg.Error, OSError) as error:
                raise_if_cancelled()
                why = f"the session with the PostgreSQL server ended: {_line(error)}"
                break
            if not held:
                why = "the PostgreSQL server does not know of it; a pgbouncer in between needs pool_mode = session"
                break
            if self._clock() >= self._sure_until:
                break
            self._sure_until = asked_at + CERTAIN * self._life_s
        self._sure_until = -math.inf
        return why

    async def release(self) -> None:
        """See `Lock`."""
        self._sure_until = -math.inf
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(psycopg.Error, OSError):
                await conn.close()

    async def holder(self) -> str | None:
        """See `Lock`."""
        if self._conn is None or self._sure_until > self._clock():
            return self._process if self._conn is not None else None
        try:
            name = (await _ask(self._conn, _HOLDER, within_s=ANSWER_S))[0]
        except (psycopg.Error, OSError):
            raise_if_cancelled()
            return None
        return str(name).removeprefix(NAME)

    async def _connected(self) -> AsyncConnection[tuple[Any, ...]]:
        """Open a session that its server gives up when it is not heard of for a while."""
        patience_ms = int(CERTAIN * self._life_s * 1000)
        wanted = {
            "application_name": f"{NAME}{self._process}"[:63],  # the server cuts it there
            "connect_timeout": 5,
            "keepalives_idle": 2,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": patience_ms,
        }
        conn = await AsyncConnection.connect(**{**self._where, **wanted}, autocommit=True)
        life_ms, idle_s = math.ceil(self._life_s * 1000), math.ceil(self._life_s / 2)
        kept = {"tcp_keepalives_idle": idle_s, "tcp_keepalives_interval": idle_s, "tcp_keepalives_count": 2}
        kept["tcp_user_timeout"] = life_ms
        if conn.info.server_version >= _IDLE_TIMEOUT_SINCE:
            kept["idle_session_timeout"] = life_ms
        try:
            for name, value in kept.items():
                await _ask(conn, _SET, (name, str(value)), within_s=ANSWER_S)
        except BaseException:
            await conn.close()
            raise
        return conn

    def _tell(self, error: Exception) -> None:
        """Log a reason once, however often it comes in a row."""
        if (what := _line(error)) != self._told:
            self._told = what
            _log.warning("the lock waits for the PostgreSQL server: %s", what)


async def _ask(
    conn: AsyncConnection[tuple[Any, ...]], query: str, parameters: tuple[Any, ...] = (), *, within_s: float
) -> tuple[Any, ...]:
    """Return the row that answers a question.

    Not by a timeout that cancels: psycopg then asks the server to cancel, and waits for that, for up to ten seconds
    where no packet arrives. The connection is cut instead.

    Raises:
        psycopg.Error: the server refused, is gone, or did not answer within so many seconds.
    """

    async def answer() -> tuple[Any, ...]:
        cursor = await conn.execute(query, parameters or None)
        row = await cursor.fetchone()
        if row is None:
            raise psycopg.OperationalError("no answer")
        return row

    asking = asyncio.create_task(answer(), name="question of a lock")
    try:
        await asyncio.wait({asking}, timeout=within_s)
    finally:
        in_time = asking.done()
        if not in_time:
            _cut(conn)
            await asyncio.wait({asking})
            asking.cancelled() or asking.exception()  # it was looked at: nobody shall warn of it
    if not in_time:
        raise psycopg.OperationalError(f"no answer within {within_s:.1f} s")
    return asking.result()


async def _listen(conn: AsyncConnection[tuple[Any, ...]], seconds: float) -> None:
    """Wait so many seconds, or until the server ends the session. Raises psycopg.Error then."""
    async for _ in conn.notifies(timeout=seconds):
        pass


def _cut(conn: AsyncConnection[tuple[Any, ...]]) -> None:
    """End the TCP connection, so that whoever waits for an answer learns at once that none will come."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(conn.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
