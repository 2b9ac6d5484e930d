"""Counts and times the items that pass from one stage to the next, for as good as nothing per item.

Any object of a Python class between two async generators doubles the price of a hop. So most pulls go through iterators
written in C alone: `map(anext, repeat(stream, n))` gives the stream's own awaitables, and `repeat` knows how many of
its n are left, which is the count. When such a window is used up, one pull is timed, the event loop gets its turn if it
has waited long, and the next window opens. A stream whose pulls are slow is timed at every pull: there it costs nothing
either.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from itertools import chain, repeat
from operator import length_hint
from random import random
from time import perf_counter
from types import AsyncGeneratorType
from typing import Any

BREATH_S = 0.004
"""A chain that has not let the event loop run for so long does so at the next occasion. In seconds."""
SLOW_S = 50e-6
"""From here on a pull is slow, and all are timed. In seconds."""
WINDOW = 320
"""At most so many pulls in a row go untimed."""
WINDOW_S = 0.002
"""And at most for about so long. In seconds."""
FEW = 60
"""A stream with longer windows than this is worth a class of its own."""
MEMORY = 1024
"""Over about so many pulls the average is taken that tells a slow stream from a fast one."""


class Pacer:
    """Sees to it that a chain with everything in memory lets the event loop run now and then."""

    __slots__ = ("_due", "slept_s")

    def __init__(self) -> None:
        """Start the clock."""
        self.slept_s = 0.0
        self._due = perf_counter() + BREATH_S

    def due(self, now: float) -> bool:
        """Tell whether the event loop should get its turn; `now` is `perf_counter()`."""
        return now >= self._due

    async def rest(self) -> None:
        """Let the event loop run once; the time it takes counts for no stage."""
        began = perf_counter()
        await asyncio.sleep(0)
        now = perf_counter()
        self.slept_s += now - began
        self._due = now + BREATH_S


class Recent:
    """The average time of a pull over the last thousand or so."""

    __slots__ = ("_pulls", "_spent_s")

    def __init__(self) -> None:
        """Know nothing yet, which counts as slow."""
        self._pulls = 1.0
        self._spent_s = SLOW_S

    def add(self, pulls: int, spent_s: float) -> None:
        """Take in some more pulls."""
        self._pulls += pulls
        self._spent_s += spent_s
        if self._pulls > MEMORY:
            self._pulls, self._spent_s = self._pulls / 2, self._spent_s / 2

    def window(self) -> int:
        """Return how many pulls may go untimed next: none where timing each would not be noticed."""
        average_s = self._spent_s / self._pulls
        if average_s > SLOW_S:
            return 0
        # Windows of uneven length keep boundaries from timing the same pull, one measuring the other's measuring.
        most = min(WINDOW, WINDOW_S / average_s, self._pulls)
        return int(most * (0.5 + random() / 2))  # noqa: S311 - a sample, not a secret


class Items:
    """What a stage is given as `items`. Only the stage holds on to it: its end is how we learn of the stage's."""

    __slots__ = ("__weakref__", "_boundary", "_feed")

    def __init__(self, boundary: Boundary, feed: Iterator[Awaitable[Any]]) -> None:
        """Give out what `feed` has: one awaitable for each pull."""
        self._boundary = boundary
        self._feed = feed

    def __aiter__(self) -> Items:
        return self

    def __anext__(self) -> Awaitable[Any]:
        return next(self._feed)

    async def aclose(self) -> None:
        """Close the stream behind it, as `contextlib.aclosing` does with an async generator."""
        await self._boundary.close()


class Boundary:
    """The way from one stage to the next: how many items passed, and how long pulling them took."""

    def __init__(self, stream: AsyncIterator[Any], pacer: Pacer) -> None:
        """Stand behind `stream`; only async generators can be pulled untimed."""
        self.stream = stream
        self.busy_s = 0.0
        """Time that pulls took, all stages before this boundary included. In seconds."""
        self._pacer = pacer
        self._generator = stream if isinstance(stream, AsyncGeneratorType) else None
        self._passed = 0
        self._over = False
        self._window = 0
        self._ticks: Iterator[Any] = iter(())
        self._items: weakref.ref[Items] | None = None
        self._mark = perf_counter()
        self._slept_at_mark = pacer.slept_s
        self._last_s = 0.0
        self._recent = Recent()

    def items(self, stage_gone: Callable[[], None]) -> Items:
        """Return what the next stage pulls from; `stage_gone` is called when nobody holds it any longer."""
        items = Items(self, map(anext, chain.from_iterable(self._pulled())))
        self._items = weakref.ref(items, lambda _: stage_gone())
        self._mark = perf_counter()
        self._slept_at_mark = self._pacer.slept_s
        return items

    @property
    def passed(self) -> int:
        """How many items have passed by now."""
        return self._passed + (0 if self._over else self._passed_in_window())

    def settle(self) -> None:
        """Fix the count if the stream is over, so that pulls beyond its end do not count."""
        if self._generator is not None and self._generator.ag_frame is None:
            self.freeze()

    def freeze(self) -> None:
        """Fix the count for good."""
        self._passed, self._over = self.passed, True

    async def close(self) -> None:
        """Fix the count and close the stream."""
        self.freeze()
        if (aclose := getattr(self.stream, "aclose", None)) is not None:
            await aclose()

    def _passed_in_window(self) -> int:
        pulled = self._window - length_hint(self._ticks)
        return pulled - 1 if pulled and self._last_pull_gave_nothing() else pulled

    def _last_pull_gave_nothing(self) -> bool:
        generator = self._generator
        return generator is not None and (generator.ag_running or generator.ag_frame is None)

    async def drain(self) -> None:
        """Pull until nothing comes any more, as the last in a chain does; what it takes is not timed."""
        gap, look_at, looked = 1, 1, perf_counter()
        async for _ in self.stream:
            self._passed += 1
            if self._passed == look_at:
                now = perf_counter()
                self._recent.add(gap, now - looked)
                gap = self._recent.window() + 1
                look_at, looked = look_at + gap, now
                if self._pacer.due(now):
                    await self._pacer.rest()

    def _pulled(self) -> Generator[Iterable[Any], None, None]:
        """Yield what to pull at, for ever: this once, which times the pull, then the stream itself for a window."""
        while True:
            yield (self,)
            if self._generator is None or self._last_s > SLOW_S:
                continue
            self._window = self._recent.window()
            self._ticks = repeat(self.stream, self._window)
            yield self._ticks
            if self._window > FEW:
                self._speed_up()

    def _speed_up(self) -> None:
        """Spare a stream that goes on the Python frame for each pull: call its iterator's C method at once."""
        items = self._items() if self._items is not None else None
        if items is not None and type(items) is Items:
            feed = items._feed  # noqa: SLF001 - of this module
            items.__class__ = type("Items", (Items,), {"__slots__": (), "__anext__": feed.__next__})

    async def __anext__(self) -> Any:
        now = perf_counter()
        unseen, unseen_s = self._close_window(), now - self._mark - (self._pacer.slept_s - self._slept_at_mark)
        if self._pacer.due(now):
            await self._pacer.rest()
        slept_s, began = self._pacer.slept_s, perf_counter()
        try:
            item = await anext(self.stream)
        finally:
            now = perf_counter()
            self._account(now - began - (self._pacer.slept_s - slept_s), unseen, unseen_s)
            self._mark, self._slept_at_mark = now, self._pacer.slept_s
        self._passed += not self._over
        return item

    def _close_window(self) -> int:
        """Take over what passed in the window, and return its number of pulls."""
        pulled = self._window - length_hint(self._ticks)
        self._passed = self.passed
        self._window, self._ticks = 0, iter(())
        return pulled

    def _account(self, took_s: float, unseen: int, unseen_s: float) -> None:
        """Add a timed pull, and for the untimed ones before it a guess that is never more than the clock allows."""
        self.busy_s += took_s + min(unseen * (took_s + self._last_s) / 2, unseen_s)
        self._last_s = took_s
        self._recent.add(unseen + 1, unseen_s + took_s)


async def only_none() -> AsyncGenerator[None, None]:
    """What a chain starts from."""
    yield None
