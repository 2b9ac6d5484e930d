"""Which of several schedulers on one store leads: it alone speaks with the chat and delivers messages.

Whoever has the lock leads. A process that was frozen for longer than the lock is certain does not lead when it wakes,
before anything else of it gets to run: `leads` looks at a clock, and asks nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pipelines import elapsed
from pipelines.locks import Lock

BREATH_S = 0.25
"""How often, in seconds, one who waits looks who leads while that is not known."""
LOOK_S = 2.0
"""How often, in seconds, one who waits looks who leads."""

_log = logging.getLogger(__name__)


class Leadership:
    """Whether this process leads. `run` is a task of the service; without a lock it leads always."""

    def __init__(
        self, lock: Lock | None, clock: Callable[[], float] = elapsed.now_s, *, breath_s: float | None = None
    ) -> None:
        """Compete for nothing yet; `clock` is the one by which the lock says how long it is sure.

        A new leader waits `breath_s` seconds before it begins: the one before may be about to learn that it is over
        (None: as long as that takes with this lock).
        """
        self._lock = lock
        self._clock = clock
        self._breath_s = breath_s if breath_s is not None else lock.notice_s if lock is not None else 0.0
        self._begun = False
        self._holder: str | None = None
        self._watchers: list[Callable[[bool], None]] = []

    @property
    def leads(self) -> bool:
        """Whether this process leads at this instant, and nobody else."""
        return self._lock is None or (self._begun and self._clock() < self._lock.sure_until)

    @property
    def holder(self) -> str | None:
        """The process that leads while this one waits, as last seen; None where that is not known."""
        return None if self.leads else self._holder

    @property
    def kind(self) -> str:
        """What is competed for, for people; `none` where there are no others."""
        return "none" if self._lock is None else self._lock.kind

    def watch(self, callback: Callable[[bool], None]) -> None:
        """Have `callback` called when this process begins to lead (True) and when it learns that it no longer does."""
        self._watchers.append(callback)

    async def run(self, begin: Callable[[], Awaitable[None]], end: Callable[[str], Awaitable[None]]) -> None:
        """Compete for ever: `begin` is called when this process leads, `end`, with the reason, when no longer.

        After each `begin`, also one that is cut short or was about to be called, `end` is called; the lock is given up
        after that. It is so when this task is cancelled, too.

        Raises:
            StoreError: the lock can never be acquired here.
            Exception: what `begin` or `end` raised.
        """
        if self._lock is None:
            self._tell(True)
            await begin()
            await asyncio.Event().wait()
            return
        try:
            while True:
                await self._wait_turn(self._lock)
                why = "it stops"
                try:
                    why = await self._term(self._lock, begin)
                finally:
                    await end(why)
                await self._lock.release()
                await asyncio.sleep(2 * self._breath_s)  # others go first: something was wrong with this one
        finally:
            self._tell(False)
            await self._lock.release()

    async def _wait_turn(self, lock: Lock) -> None:
        """Return once the lock is ours, and look now and then who has it."""
        turn = asyncio.create_task(lock.acquire(), name="turn of the leader")
        try:
            while not (await asyncio.wait({turn}, timeout=LOOK_S if self._holder else BREATH_S))[0]:
                self._holder = await lock.holder()
        finally:
            turn.cancel()
            await asyncio.wait({turn})
        turn.result()

    async def _term(self, lock: Lock, begin: Callable[[], Awaitable[None]]) -> str:
        """Lead for as long as the lock is held; return why no longer."""
        held = asyncio.create_task(lock.hold(), name="hold of the leader")
        duties = asyncio.create_task(self._begin(lock, begin), name="duties of the leader")
        try:
            await asyncio.wait({held, duties}, return_when=asyncio.FIRST_COMPLETED)
            if not held.done():
                duties.result()  # what it raised ends the service
                await asyncio.wait({held})
            why = held.result()
        finally:
            self._tell(False)
            for task in (held, duties):
                task.cancel()
            await asyncio.wait({held, duties})
        _log.warning("this process no longer leads: %s", why)
        return why

    async def _begin(self, lock: Lock, begin: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(self._breath_s)
        self._holder = None
        _log.info("this process leads: it has the lock (%s)", lock.kind)
        self._tell(True)
        await begin()

    def _tell(self, leads: bool) -> None:
        if leads is not self._begun:
            self._begun = leads
            for watcher in self._watchers:
                watcher(leads)
