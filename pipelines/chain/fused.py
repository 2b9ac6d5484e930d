"""Runs plain functions that follow each other in one loop, with no hop between them.

A function takes an item and returns what becomes of it; None drops it. Only the drops are counted per function, as all
else follows from them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from inspect import isawaitable, isgenerator
from itertools import islice
from time import perf_counter
from types import TracebackType
from typing import Any

from pipelines.chain.counts import SLOW_S, Pacer, Recent

END = object()
Function = Callable[[Any], Any]


class Slot:
    """One plain function of a run: how many items it dropped, and its share of the run's time."""

    __slots__ = ("dropped", "index", "sampled_s")

    def __init__(self, index: int) -> None:
        """Stand at place `index` of the run."""
        self.index = index
        self.dropped = 0
        self.sampled_s = 0.0


class FusedRun:
    """Plain functions in a row, perhaps after a function that gives many items for one (`source`)."""

    def __init__(self, functions: Sequence[Function]) -> None:
        """Take the functions in order; there may be none when a source comes before them."""
        self.functions = tuple(_told_apart(functions))
        self.slots = {function: Slot(index) for index, function in enumerate(self.functions)}
        self.outs = 0
        self.source_s = 0.0
        self.gap = 1
        """Until the next item that is timed."""
        self._recent = Recent()

    @property
    def dropped(self) -> int:
        """How many items all of them dropped."""
        return sum(slot.dropped for slot in self.slots.values())

    def sampled(self, item: Any) -> Any:
        """Do one item with each function timed; it stands for the untimed ones before it."""
        began = last = perf_counter()
        for function in self.functions:
            item = function(item)
            now = perf_counter()
            self.slots[function].sampled_s += self._weighed(now - last)
            last = now
            if item is None:
                self.slots[function].dropped += 1
                break
            if isawaitable(item) or isgenerator(item):
                raise TypeError(_not_plain(function, item))
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
            drained(islice(source, self.gap - 1), self)
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


def drained(items: Iterable[Any], run: FusedRun) -> None:
    """Do the items, and count those that come out."""
    functions = run.functions
    outs = 0
    try:
        for item in items:
            out = item
            for function in functions:
                if (out := function(out)) is None:
                    run.slots[function].dropped += 1
                    break
            else:
                outs += 1
    finally:
        run.outs += outs


def streamed(items: Iterable[Any], run: FusedRun) -> Iterator[Any]:
    """Do the items, and yield those that come out."""
    functions = run.functions
    for item in items:
        out = item
        for function in functions:
            if (out := function(out)) is None:
                run.slots[function].dropped += 1
                break
        else:
            yield out


async def each(items: AsyncIterator[Any], run: FusedRun) -> AsyncIterator[Any]:
    """Do items that come one by one, and yield those that come out."""
    left = 1
    async for item in items:
        out = item
        left -= 1
        if left:
            for function in run.functions:
                if (out := function(out)) is None:
                    run.slots[function].dropped += 1
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
            for function in run.functions:
                if (out := function(out)) is None:
                    run.slots[function].dropped += 1
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
                for out in streamed(islice(source, run.gap - 1), run):
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


def slot_of(trace: TracebackType, run: FusedRun) -> int | None:
    """Return the place of the function that was at work in this frame of ours; None when the source was, or none."""
    if trace.tb_frame.f_code not in AT_WORK or "function" not in trace.tb_frame.f_locals:
        return None
    return run.slots[trace.tb_frame.f_locals["function"]].index


def is_loop(trace: TracebackType) -> bool:
    """Tell whether this frame is one of the loops above that call the user's functions."""
    return trace.tb_frame.f_code in LOOPS


def _not_plain(function: Function, result: Any) -> str:
    name = getattr(function, "__name__", repr(function))
    return (
        f"{name} is a plain function but returned a {type(result).__name__}; expected an item or None. "
        "Write it with `async def`, or with `yield` in its own body, so that this can be seen before it is called"
    )


def _told_apart(functions: Sequence[Function]) -> Iterator[Function]:
    """Yield the functions, those that come a second time in a wrapping of their own: each is the key to its slot."""
    seen: set[Function] = set()
    for function in functions:
        each = partial(function) if function in seen else function
        seen.add(each)
        yield each


AT_WORK = frozenset(loop.__code__ for loop in (drained, streamed, each, each_drained, FusedRun.sampled))
"""The loops that hold the function at work in a variable `function`."""
LOOPS = AT_WORK | frozenset(loop.__code__ for loop in (many, many_drained, FusedRun.pull, FusedRun.turn))
