"""How often cards may be edited: Discord lets few edits into a channel, and least of all into old messages."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

Waiter: TypeAlias = Callable[[asyncio.Event, float], Awaitable[None]]
"""Waits until an event is set, at most for so many seconds."""

_STEPS = ((60.0, 5.0), (600.0, 10.0), (3_600.0, 30.0))
_OLD_S = 300.0


def progress_s(age_s: float, *, cards: int = 1, alone: int = 3) -> float:
    """Return the seconds between two edits of a card that only show progress.

    5 s in the first minute, 10 s to ten minutes, 30 s to an hour, 5 min after that. Of more than `alone` cards that
    live in a channel each is as much slower as there are more of them.
    """
    every_s = next((step_s for until_s, step_s in _STEPS if age_s < until_s), _OLD_S)
    return every_s * max(1.0, cards / alone)


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait until `event` is set, at most `timeout_s` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


@dataclass(frozen=True, slots=True)
class CardPace:
    """How long cards wait for what, in seconds; only tests are in a hurry.

    Attributes:
        edit_s: Between two edits of one card because its run changed.
        channel_s: Between two edits in one channel.
        retry_s: Before the store is asked once more to record a card's end.
        token_s: So long after it was asked for, a card can be edited with its interaction's token.
    """

    edit_s: float = 2.0
    channel_s: float = 2.0
    retry_s: float = 5.0
    token_s: float = 14 * 60.0


class Turns:
    """Whose turn it is to edit in which channel."""

    def __init__(self, clock: Callable[[], float], every_s: float) -> None:
        """`clock` tells a time in seconds that only rises; in a channel there is one turn each `every_s` seconds."""
        self._clock = clock
        self._every_s = every_s
        self._next: defaultdict[int, float] = defaultdict(float)
        self._all = 0.0

    def take(self, channel_id: int) -> float:
        """Take the next turn in a channel; return in how many seconds it is."""
        now = self._clock()
        at = max(now, self._next[channel_id], self._all)
        self._next = defaultdict(float, {each: then for each, then in self._next.items() if then > now})
        self._next[channel_id] = at + self._every_s
        return at - now

    def rest(self, channel_id: int, after_s: float, *, everywhere: bool = False) -> None:
        """Give no further turns for `after_s` seconds, because Discord asked for that."""
        until = self._clock() + after_s
        if everywhere:
            self._all = max(self._all, until)
        else:
            self._next[channel_id] = max(self._next[channel_id], until)
