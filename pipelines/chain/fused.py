"""Runs plain functions that follow each other in one loop, with no hop between them.

A function takes an item and returns what becomes of it; None drops it. Only the drops are counted per function, as all
else follows from them. The loops over many items in memory are written out for four functions at a time, because a loop
over the functions would cost half as much again as the calls themselves.
"""

from __future__ import annotations

import dis
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from inspect import isawaitable, isgenerator
from itertools import islice
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any

from pipelines.chain.counts import SLOW_S, Pacer, Recent

END = object()
FOUR = 4
SLOT_NAMES = ("a", "b", "c", "d")
"""What the unrolled loops call their functions; `slot_of` looks for these names."""

Function = Callable[[Any], Any]


class Slot:
    """One plain function of a run: how many items it dropped, and its share of the run's time."""

    __slots__ = ("dropped", "function", "index", "sampled_s")

    def __init__(self, index: int, function: Function) -> None:
        """Stand at place `index` of the run."""
        self.index = index
        self.function = function
        self.dropped = 0
        self.sampled_s = 0.0


class Four:
    """Up to four slots, and their functions filled up with None."""

    __slots__ = ("functions", "slots")

    def __init__(self, slots: Sequence[Slot]) -> None:
        """Group one to four slots."""
        self.slots = slots
        self.functions: tuple[Any, ...] = (*(slot.function for slot in slots), *(None,) * (FOUR - len(slots)))


class FusedRun:
    """Plain functions in a row, perhaps after a function that gives many items for one (`source`)."""

    def __init__(self, functions: Sequence[Function]) -> None:
        """Take the functions in order; there may be none when a source comes before them."""
        self.slots = tuple(Slot(index, function) for index, function in enumerate(functions))
        self.outs = 0
        self.source_s = 0.0
        self.gap = 1
        """Until the next item that is timed."""
        self._recent = Recent()
        self._fours = tuple(Four(self.slots[at : at + FOUR]) for at in range(0, len(self.slots), FOUR))

    @property
    def dropped(self) -> int:
        """How many items all of them dropped."""
        return sum(slot.dropped for slot in self.slots)

    def sampled(self, item: Any) -> Any:
        """Do one item with each function timed; it stands for the untimed ones before it."""
        began = last = perf_counter()
        for slot in self.slots:
            item = slot.function(item)
            now = perf_counter()
            slot.sampled_s += self._weighed(now - last)
            last = now
            if item is None:
                slot.dropped += 1
                break
            if isawaitable(item) or isgenerator(item):
                raise TypeError(_not_plain(slot.function, item))
        self._choose_gap(last - began)
        return item

    def pull(self, source: Iterator[Any]) -> Any:
        """Take one item from the source, timed, and do it; END when there is none left."""
        began = perf_counter()
        item = next(source, END)
        took_s = perf_counter() - began
        self.source_s += self._weighed(took_s)
        if item is END:
            return END
        item = self.sampled(item)
        self._choose_gap(perf_counter() - began)
        return item

    def turn(self, source: Iterator[Any]) -> bool:
        """Take a handful of items from the source and do them; False when there is none left."""
        began = perf_counter()
        item = self.pull(source)
        if item is END:
            return False
        self.outs += item is not None
        if self.gap > 1:
            self._drain(islice(source, self.gap - 1))
        self.spent(perf_counter() - began)
        return True

    def spent(self, spent_s: float) -> None:
        """Remember how long the items since the last timed one took, so that slow ones are all timed."""
        self._recent.add(self.gap, spent_s)

    def _weighed(self, took_s: float) -> float:
        """Let a timed item stand for the untimed ones, but what made it slow only for itself: they were not."""
        return took_s + min(took_s, SLOW_S) * (self.gap - 1)

    def _choose_gap(self, took_s: float) -> None:
        self.gap = 1 if took_s > SLOW_S else self._recent.window() + 1

    def stream(self, source: Iterator[Any]) -> Iterator[Any]:
        """Yield what becomes of the next handful of items from the source."""
        items: Iterator[Any] = islice(source, self.gap - 1)
        for four in self._fours:
            items = four_streamed(items, four)
        return items

    def _drain(self, items: Iterator[Any]) -> None:
        for four in self._fours[:-1]:
            items = four_streamed(items, four)
        if self._fours:
            four_drained(items, self._fours[-1], self)
        else:
            unchanged_drained(items, self)


def unchanged_drained(items: Iterable[Any], run: FusedRun) -> None:
    """Count the items out."""
    for _ in items:
        run.outs += 1


def four_drained(items: Iterable[Any], four: Four, run: FusedRun) -> None:
    """Do the items with up to four functions, and count those that come out."""
    a, b, c, d = four.functions
    outs = 0
    try:
        for item in items:
            if (out := a(item)) is None:
                four.slots[0].dropped += 1
            elif b is None:
                outs += 1
            elif (out := b(out)) is None:
                four.slots[1].dropped += 1
            elif c is None:
                outs += 1
            elif (out := c(out)) is None:
                four.slots[2].dropped += 1
            elif d is None:
                outs += 1
            elif d(out) is None:
                four.slots[3].dropped += 1
            else:
                outs += 1
    finally:
        run.outs += outs


def four_streamed(items: Iterable[Any], four: Four) -> Iterator[Any]:
    """Do the items with up to four functions, and yield those that come out."""
    a, b, c, d = four.functions
    for item in items:
        if (out := a(item)) is None:
            four.slots[0].dropped += 1
        elif b is None:
            yield out
        elif (out := b(out)) is None:
            four.slots[1].dropped += 1
        elif c is None:
            yield out
        elif (out := c(out)) is None:
            four.slots[2].dropped += 1
        elif d is None:
            yield out
        elif (out := d(out)) is None:
            four.slots[3].dropped += 1
        else:
            yield out


async def each(items: AsyncIterator[Any], run: FusedRun) -> AsyncIterator[Any]:
    """Do items that come one by one, and yield those that come out."""
    left = 1
    async for item in items:
        out = item
        left -= 1
        if left:
            for slot in run.slots:
                out = slot.function(out)
                if out is None:
                    slot.dropped += 1
                    break
        else:
            out = run.sampled(item)
            left = run.gap
        if out is not None:
            yield out


async def each_drained(items: AsyncIterator[Any], run: FusedRun) -> None:
    """As `each` at a chain's end: count what comes out. Not made of `each`, to spare a hop for each item."""
    left = 1
    async for item in items:
        out = item
        left -= 1
        if left:
            for slot in run.slots:
                out = slot.function(out)
                if out is None:
                    slot.dropped += 1
                    break
        else:
            out = run.sampled(item)
            left = run.gap
        run.outs += out is not None


async def many(items: AsyncIterator[Any], function: Function, run: FusedRun, pacer: Pacer) -> AsyncIterator[Any]:
    """Yield what `function` gives for each item and the run makes of it."""
    async for item in items:
        source = iter(function(item))
        while (out := run.pull(source)) is not END:
            began = perf_counter()
            if out is not None:
                run.outs += 1
                yield out
            if run.gap > 1:
                for out in run.stream(source):
                    run.outs += 1
                    yield out
            run.spent(perf_counter() - began)
            if pacer.due(perf_counter()):
                await pacer.rest()


async def many_drained(items: AsyncIterator[Any], function: Function, run: FusedRun, pacer: Pacer) -> None:
    """As `many` at a chain's end: count what comes out."""
    async for item in items:
        source = iter(function(item))
        while run.turn(source):
            if pacer.due(perf_counter()):
                await pacer.rest()


def slot_of(trace: TracebackType) -> int | None:
    """Return the place of the function that was at work in this frame of ours; None when the source was, or none."""
    frame = trace.tb_frame
    if frame.f_code in (each.__code__, each_drained.__code__, FusedRun.sampled.__code__):
        slot = frame.f_locals.get("slot")
        return slot.index if slot is not None else None
    if frame.f_code in (four_drained.__code__, four_streamed.__code__):
        return _unrolled_slot(frame, trace.tb_lasti)
    return None


def is_loop(trace: TracebackType) -> bool:
    """Tell whether this frame is one of the loops above that call the user's functions."""
    return trace.tb_frame.f_code in LOOPS


def _unrolled_slot(frame: FrameType, offset: int) -> int | None:
    """Find the function at work: the last one that was loaded before the instruction at `offset`, which called it."""
    found = None
    for step in dis.get_instructions(frame.f_code):
        if step.offset > offset:
            break
        if step.opname.startswith("LOAD_FAST"):
            names = step.argval if isinstance(step.argval, tuple) else (step.argval,)
            found = next((SLOT_NAMES.index(name) for name in names if name in SLOT_NAMES), found)
    slots = frame.f_locals["four"].slots
    return slots[found].index if found is not None else None


def _not_plain(function: Function, result: Any) -> str:
    name = getattr(function, "__name__", repr(function))
    return (
        f"{name} is a plain function but returned a {type(result).__name__}; expected an item or None. "
        "Write it with `async def`, or with `yield` in its own body, so that this can be seen before it is called"
    )


LOOPS = frozenset(
    loop.__code__ for loop in (each, each_drained, many, many_drained, four_drained, four_streamed, unchanged_drained)
) | frozenset(method.__code__ for method in (FusedRun.sampled, FusedRun.pull, FusedRun.turn, FusedRun.stream))
