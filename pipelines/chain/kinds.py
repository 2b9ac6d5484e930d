"""What a stage is, told from the object that the registry built, and the stream that each kind makes of its items.

An instance of a class is a stage object: it is called with an async iterator and gives one (or has `fetch`, or
`handle`). A function, also one with arguments bound, is called per item: plain, `async def`, or with `yield`.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache, partial
from typing import Any

from pipelines.errors import PipecallError


class Kind(Enum):
    """How a stage is called."""

    STREAM = auto()
    """A stage object: items in, items out."""
    PLAIN = auto()
    """A function per item; None drops the item."""
    MANY = auto()
    """A generator function per item."""
    AWAITED = auto()
    """An async function per item; None drops the item."""
    STREAMED = auto()
    """An async generator function per item."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a chain that is being run."""

    position: int
    name: str
    thing: Any
    kind: Kind


def kind_of(thing: Any) -> Kind:
    """Tell how a stage is called.

    Raises:
        PipecallError: it is neither a function nor an object with `__call__`, `fetch` or `handle`.
    """
    if isinstance(thing, partial):
        return _function_kind(thing.func)
    if inspect.isroutine(thing):
        return _function_kind(thing)
    if isinstance(thing, type) or not (callable(thing) or hasattr(thing, "fetch") or hasattr(thing, "handle")):
        raise PipecallError(
            f"{name_of(thing)} cannot be a stage: expected a function, or an object with "
            "`async def __call__(self, items)`, `fetch` or `handle`"
        )
    return Kind.STREAM


@lru_cache(maxsize=1_000)
def _function_kind(function: Any) -> Kind:
    if inspect.isasyncgenfunction(function):
        return Kind.STREAMED
    if inspect.iscoroutinefunction(function):
        return Kind.AWAITED
    return Kind.MANY if inspect.isgeneratorfunction(function) else Kind.PLAIN


def name_of(thing: Any) -> str:
    """Return the name of a function, of a class, or of an object's class."""
    while isinstance(thing, partial):
        thing = thing.func
    return str(getattr(thing, "__name__", None) or type(thing).__name__)


def numbered(names: Sequence[str]) -> list[str]:
    """Tell stages of the same name apart: the second `Select` is `Select#2`."""
    if len(set(names)) == len(names):
        return list(names)
    seen: Counter[str] = Counter()
    numbered_names = []
    for name in names:
        seen[name] += 1
        numbered_names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return numbered_names


async def stream_of(stage: Stage, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Return the stream that a stage of any kind but plain and many makes of `items`.

    Raises:
        TypeError: calling the stage object gave something that is not an async iterator.
    """
    if stage.kind is Kind.AWAITED:
        return awaited(items, stage.thing)
    if stage.kind is Kind.STREAMED:
        return streamed(items, stage.thing)
    if callable(stage.thing):
        return await _called(stage, items)
    return fetched(items, stage.thing) if hasattr(stage.thing, "fetch") else handled(items, stage.thing)


async def _called(stage: Stage, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    stream: Any = stage.thing(items)
    if inspect.isawaitable(stream):
        stream = await stream
    if not hasattr(stream, "__aiter__"):
        raise TypeError(
            f"{stage.name} returned a {type(stream).__name__} when called with its items; expected an async iterator. "
            "Write `async def __call__(self, items)` with `yield` in it"
        )
    iterator: AsyncIterator[Any] = aiter(stream)
    return iterator


async def awaited(items: AsyncIterator[Any], function: Callable[[Any], Any]) -> AsyncIterator[Any]:
    """Await the function for each item; None drops it."""
    async for item in items:
        out = await function(item)
        if out is not None:
            yield out


async def streamed(items: AsyncIterator[Any], function: Callable[[Any], Any]) -> AsyncIterator[Any]:
    """Yield all that the function yields for each item."""
    async for item in items:
        async with aclosing(function(item)) as outs:
            async for out in outs:
                yield out


async def fetched(items: AsyncIterator[Any], fetcher: Any) -> AsyncIterator[Any]:
    """Yield what a class of its own with `fetch` brings in; see `Fetcher`."""
    async for _ in items:
        async for item in fetcher.fetch():
            yield item
        break


async def handled(items: AsyncIterator[Any], sink: Any) -> AsyncIterator[Any]:
    """Hand each item to a class of its own with `handle`; see `Sink`."""
    async for item in items:
        result = sink.handle(item)
        if inspect.isawaitable(result):
            await result
        yield item
