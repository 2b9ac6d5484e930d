"""A lock in Redis: a key with a token of its own and a time to live, extended only by who knows the token.

Redis frees it when nobody extends it in time. A Redis that is emptied or restarted without its data frees it at once,
and the holder learns of that with its next extension: the next one waits for so long before it begins.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, RedisError

from pipelines import elapsed
from pipelines.cancellation import raise_if_cancelled

LIFE_S = 10.0
"""So long, in seconds, the key lives without being extended."""
CERTAIN = 0.8
"""The share of that time for which the holder trusts in it."""
EXTEND_S = 1.0
"""How often, in seconds, the holder extends it; at least three times in its life."""
NOTICE_S = 1.5 * EXTEND_S
"""See `Lock.notice_s`."""
POLL_S = 0.2
"""How often, in seconds, one who waits tries."""
AGAIN_S = 0.5
"""The pause, in seconds, before a server that is away is tried again."""
ANSWER_S = 2.0
"""So long, in seconds, the server may take to connect, and to answer."""

_log = logging.getLogger(__name__)


class RedisLock:
    """The lock under a name in the Redis at `url`."""

    kind = "redis"
    notice_s = NOTICE_S

    def __init__(
        self,
        url: str,
        name: str,
        process: str,
        *,
        life_s: float = LIFE_S,
        clock: Callable[[], float] = elapsed.now_s,
    ) -> None:
        """Connect nothing yet; `process` is told to those who wait, `clock` tells seconds.

        Raises:
            ValueError: the URL cannot be read.
        """
        self._url, self._name, self._process = url, name, process
        self._life_s, self._clock = life_s, clock
        self._client = self._made()
        self._lock: Lock | None = None
        self._sure_until = -math.inf
        self._told = ""

    def _made(self) -> Redis:
        return Redis.from_url(
            self._url,
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            client_name="pipecall-lock",
        )

    @property
    def sure_until(self) -> float:
        """See `Lock`: a share of the key's life, counted from when its last extension was asked for."""
        return self._sure_until

    async def acquire(self) -> None:
        """See `Lock`."""
        while not await self._taken():  # noqa: ASYNC110 - other processes are waited for, and they send no event
            await asyncio.sleep(POLL_S)

    async def _taken(self) -> bool:
        lock = self._client.lock(self._name, timeout=self._life_s, thread_local=False)
        asked_at = self._clock()
        try:
            taken: bool = await lock.acquire(blocking=False, token=f"{self._process} {uuid4().hex}")
        except (RedisError, OSError, TimeoutError) as error:
            raise_if_cancelled()
            self._tell(error)
            await asyncio.sleep(AGAIN_S)
            return False
        self._told = ""
        if taken:
            self._lock, self._sure_until = lock, asked_at + CERTAIN * self._life_s
        return taken

    async def hold(self) -> str:
        """See `Lock`. A server that is away may come back for as long as the key lives for certain."""
        why = "Redis was not asked in time: this process stood still"
        pause_s = rest_s = min(EXTEND_S, self._life_s / 3)
        while self._lock is not None and (left_s := self._sure_until - self._clock()) > 0:
            await asyncio.sleep(min(pause_s, left_s))
            asked_at = self._clock()
            try:
                async with asyncio.timeout(max(self._sure_until - asked_at, 0.0)):
                    await self._lock.extend(self._life_s, replace_ttl=True)
            except LockError:
                raise_if_cancelled()
                why = "Redis does not know of it any more: it was removed, or somebody else has it"
                break
            except (RedisError, OSError, TimeoutError) as error:
                raise_if_cancelled()
                why, pause_s = f"Redis does not answer ({type(error).__name__})", min(AGAIN_S, rest_s)
                continue
            if self._clock() >= self._sure_until:
                break
            self._sure_until, pause_s = asked_at + CERTAIN * self._life_s, rest_s
        self._sure_until = -math.inf
        return why

    async def release(self) -> None:
        """See `Lock`."""
        self._sure_until = -math.inf
        lock, self._lock = self._lock, None
        with suppress(RedisError, OSError, TimeoutError):
            if lock is not None:
                await lock.release()
        with suppress(RedisError, OSError, TimeoutError):
            await self._client.aclose()  # the next question opens a new connection

    async def holder(self) -> str | None:
        """See `Lock`."""
        try:
            token = await self._client.get(self._name)
        except (RedisError, OSError, TimeoutError):
            raise_if_cancelled()
            return None
        text = token.decode(errors="replace") if isinstance(token, bytes) else str(token or "")
        return text.rpartition(" ")[0] or None

    def _tell(self, error: Exception) -> None:
        """Log a reason once, however often it comes in a row; the texts may quote the address, so only names are."""
        if (what := type(error).__name__) != self._told:
            self._told = what
            _log.warning("the lock waits for Redis, which cannot be used (%s)", what)
