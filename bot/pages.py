"""Long lists as pages: which items are on one, and the row of buttons that turns them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from discord import ui

from bot.pressing import Pressable

T = TypeVar("T")

PAGE = r"(?P<page>-?\d{1,6})"
"""A page's number within the template of a button; it counts from 0."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """The items of one page; `number` counts from 0, `count` is how many pages there are, `total` how many items."""

    items: Sequence[T]
    number: int
    count: int
    total: int


def page_of(items: Sequence[T], number: int, size: int) -> Page[T]:
    """Return page `number` of items, or the nearest that there is: a list may have become shorter since."""
    count = max(1, -(-len(items) // size))
    number = min(max(number, 0), count - 1)
    return Page(items[number * size : (number + 1) * size], number, count, len(items))


def turning(page: Page[Any], button: Callable[[int, str, bool], Pressable]) -> ui.ActionRow[Any]:
    """Return the row `‹`, `↻ 2/5`, `›`; `button` makes one from a page's number, its label, and whether it is off.

    A single page needs no turning.
    """
    if page.count == 1:
        return ui.ActionRow(button(0, "↻", False))
    return ui.ActionRow(
        button(page.number - 1, "‹", page.number == 0),
        button(page.number, f"↻ {page.number + 1}/{page.count}", False),
        button(page.number + 1, "›", page.number + 1 == page.count),
    )
