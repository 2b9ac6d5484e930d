"""What waits for the writer, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection

A = TypeVar("A")
R = TypeVar("R")
Write: TypeAlias = Callable[[Connection, Sequence[A]], Sequence[R]]
"""A function that writes for each of its arguments, in the transaction of its caller, and returns a result for each."""


@dataclass(frozen=True, slots=True)
class Item:
    """One write that waits. `done` is None where nobody waits for it."""

    fn: Write[Any, Any]
    arg: Any
    durable: bool
    done: asyncio.Future[Any] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an item: a result or an error."""

    item: Item
    result: Any = None
    error: Exception | None = None


def grouped(batch: Iterable[Item]) -> list[list[Item]]:
    """Put items of one function together, in the order in which the functions first appear."""
    groups: dict[Any, list[Item]] = {}
    for item in batch:
        groups.setdefault(item.fn, []).append(item)
    return list(groups.values())
