"""What only one of several schedulers does, the leader. One with a store of its own leads from its start.

Those are *duties*, tasks such as delivery, and *parts* of which there may be one only, such as the timetable and the
bot. They are taken up when this process begins to lead, and laid down when it no longer does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from pipelines.leadership import Leadership

logger = logging.getLogger(__name__)

Duty = Callable[[], Coroutine[Any, Any, None]]
"""Makes a task of a leader; it goes on until it is cancelled."""


class Part(Protocol):
    """Something that is begun and ended with the lead, such as the bot; what is ended may be begun again."""

    async def begin(self) -> None:
        """Begin; it must neither block nor raise for what is out of reach."""

    async def end(self) -> None:
        """End, soon; what never began is fine."""


class Leading:
    """Leads by turns with others, or alone."""

    def __init__(self, leadership: Leadership) -> None:
        """Lead not yet; see `begin`, for one who has no others beside it, and `compete`."""
        self.leadership = leadership
        self._duties: dict[str, Duty] = {}
        self._parts: list[Part] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed = asyncio.Event()
        self._error: BaseException | None = None
        self._turns: asyncio.Task[None] | None = None
        self._leads = False

    def add(self, name: str, duty: Duty) -> None:
        """Have a duty done while this process leads, from now on if it leads already."""
        self._duties[name] = duty
        if self._leads:
            self._take_up(name, duty)

    async def join(self, part: Part) -> None:
        """Have a part begun and ended with the lead; where this process leads already, it begins now."""
        self._parts.append(part)
        if self._leads:
            await part.begin()

    def compete(self) -> None:
        """Lead by turns with others, from now on."""
        self._turns = asyncio.create_task(self.leadership.run(self.begin, self.end), name="leadership")
        self._turns.add_done_callback(self._ended)

    async def take_the_lead(self, within_s: float) -> None:
        """Compete if that was never done, and return once this process leads, or after so many seconds."""
        if self._turns is not None:
            return
        begun = asyncio.Event()
        self.leadership.watch(lambda leads: begun.set() if leads else None)
        self.compete()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await begun.wait()

    async def begin(self) -> None:
        """Take up all that a leader does; one who leads already has nothing to do."""
        if self._leads:
            return
        self._leads = True
        for part in self._parts:
            await part.begin()
        for name, duty in self._duties.items():
            self._take_up(name, duty)

    def _take_up(self, name: str, duty: Duty) -> None:
        self._tasks[name] = task = asyncio.create_task(duty(), name=name)
        task.add_done_callback(self._ended)

    async def end(self, why: str) -> None:
        """Lay all of it down."""
        logger.debug("laying down what a leader does: %s", why)
        self._leads = False
        for part in reversed(self._parts):
            await part.end()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def retire(self, why: str) -> None:
        """Lead no more, now or later, and let another lead at once."""
        if self._turns is not None:
            self._turns.cancel()
            await asyncio.wait({self._turns})  # what ended it before is `failed`'s to tell
        await self.end(why)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            ended = RuntimeError(f"{task.get_name()} ended, which it must not")
            self._error = self._error or task.exception() or ended
            self._failed.set()

    async def failed(self) -> None:
        """Return when something that must never end has ended, by raising what ended it."""
        await self._failed.wait()
        if self._error is not None:
            raise self._error
