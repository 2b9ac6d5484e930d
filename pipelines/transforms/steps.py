"""Stages that shape a stream and remember nothing between runs: Select, Filter, Template, Limit, Sort, Batch.

Those that compare with earlier runs live in `memory`; how values are read out of items, in `values` and `expressions`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from pipelines.transform import Transform, current_run
from pipelines.transforms.expressions import Expression
from pipelines.transforms.values import Placeholders, as_list, check_count, field, getter, shortened

SortKey: TypeAlias = tuple[tuple[int, Any], ...]

LAST = 9
"""The rank in sorting of what has no value."""


class Select(Transform):
    """Makes a new dict of each item: keeps some fields, renames them, or brings nested values up.

    What an item does not have becomes None, so all dicts that come out have the same keys in the same order.

    ```yaml
    class: pipelines.transforms.Select
    kwargs:
      fields:
        title: title
        seller: seller.name
        first_tag: tags[0]
    ```

    Args:
        fields: A list keeps the fields with these names. A mapping gives each new field the value of a field's name or
            a JMESPath expression (https://jmespath.org), read once when the file is loaded.

    Raises:
        ValueError: `fields` is empty, an expression is wrong, or it fails on an item.
    """

    def __init__(self, fields: dict[str, str] | list[str]) -> None:
        """Read the expressions."""
        if not isinstance(fields, dict | list) or not fields:
            raise ValueError(f"fields: found {fields!r}, expected a list of names or a mapping of name to expression")
        if isinstance(fields, list):
            self._fields = [(name, field(name)) for name in as_list(fields, argument="fields")]
        else:
            self._fields = [(name, getter(text, argument=f"fields.{name}")) for name, text in fields.items()]

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield one dict for each item."""
        fields = self._fields
        async for item in items:
            yield {name: read(item) for name, read in fields}


class Filter(Transform):
    """Lets the items through for which an expression is true.

    Names are the item's fields, `item` is the whole item, `params` the run's parameters; `a.b`, `a["b"]` and `a[0]`
    reach into dicts and lists. There are numbers, texts, lists, `+ - * / // %`, comparisons, `in`, `and`, `or`, `not`,
    `x if y else z`, and the functions abs, contains, endswith, float, int, len, lower, max, min, round, startswith,
    str, strip and upper; `contains(whole, part)` is for texts and lists. Nothing else of Python can be reached.

    A missing field is None. Arithmetic and functions of None give None; a comparison by order, `in`, contains,
    startswith and endswith with None are False, not an error. Values from CSV are texts: write `float(price) < 20`.

    ```yaml
    class: pipelines.transforms.Filter
    kwargs:
      where: price < 20 and contains(lower(title), "lamp")
    ```

    Args:
        where: The expression, read once when the file is loaded.

    Raises:
        ValueError: `where` is not an expression or uses what is not allowed, or it fails on an item, which is shown.
    """

    def __init__(self, where: str) -> None:
        """Read the expression."""
        self._where = Expression(where, argument="where")

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the items that fit."""
        where = self._where
        if where.needs_params:
            where.bind(current_run().params)
        async for item in items:
            if where(item):
                yield item


class Template(Transform):
    """Makes a text of each item.

    A `{placeholder}` is a field's name or a JMESPath expression, with one of Python's format specifications if wanted:
    `{price:.2f}`, `{seller.name:>20}`. `{item}` is the item itself; a brace that stands for itself is doubled. What is
    missing or None becomes empty text, lists and dicts become JSON.

    ```yaml
    class: pipelines.transforms.Template
    kwargs:
      text: "{title} now costs {price:.2f}"
      field: message
    ```

    Args:
        text: The text with its placeholders.
        field: Adds the text to a copy of the item under this name; the item must be a dict. Default: none, the text
            takes the item's place.

    Raises:
        ValueError: a placeholder cannot be read or does not go with its value, or `field` is given and an item is not
            a dict.
    """

    def __init__(self, text: str, field: str | None = None) -> None:
        """Read the placeholders."""
        self._text = Placeholders(text, argument="text")
        self._field = field

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the text, or the item with it."""
        fill = self._text.fill
        name = self._field
        async for item in items:
            yield fill(item) if name is None else {**_as_dict(item), name: fill(item)}


def _as_dict(item: Any) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise ValueError(f"field: found {shortened(item)}, expected a dict to add the text to; leave out field")
    return item


class Limit(Transform):
    """Lets the first items through and then asks for no more.

    ```yaml
    class: pipelines.transforms.Limit
    kwargs:
      count: 10
    ```

    Args:
        count: How many items; 0 lets none through.

    Raises:
        ValueError: `count` is negative or not a whole number.
    """

    def __init__(self, count: int) -> None:
        """Check the number."""
        self._count = check_count(count, argument="count", at_least=0)

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield up to `count` items; the one after them is never asked for."""
        left = self._count
        while left:
            try:
                item = await anext(items)
            except StopAsyncIteration:
                return
            left -= 1
            yield item


class Sort(Transform):
    """Sorts all items; the first comes out after the last came in, so all of them are held in memory.

    Numbers come before texts, texts before times, those before anything else; what has no value (None, missing, NaN)
    comes last, also in reverse. Items that are equal stay in the order they came. Texts sort by their characters, so
    "10" comes before "9": write `to_number(price)` for numbers from CSV.

    ```yaml
    class: pipelines.transforms.Sort
    kwargs:
      by: [category, price]
      reverse: true
    ```

    Args:
        by: A field's name or a JMESPath expression, or a list of them, the most important first.
        reverse: Largest first. Default: false.
        max_items: How many items may be held. Default: 1000000.

    Raises:
        ValueError: `by` is empty or wrong, or more than `max_items` items came.
    """

    def __init__(self, by: str | list[str], reverse: bool = False, max_items: int = 1_000_000) -> None:
        """Read the expressions."""
        self._by = [getter(text, argument="by") for text in as_list(by, argument="by")]
        self._reverse = reverse
        self._max_items = check_count(max_items, argument="max_items", at_least=1)

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the items in order; the sorting itself is done in a thread."""
        held: list[Any] = []
        async for item in items:
            if len(held) == self._max_items:
                raise ValueError(
                    f"max_items: more than {self._max_items:,} items came, and Sort holds all of them in memory; "
                    "put a Filter or Limit before it, or set max_items higher"
                )
            held.append(item)
        await asyncio.to_thread(held.sort, key=self._key, reverse=self._reverse)
        for item in held:
            yield item

    def _key(self, item: Any) -> SortKey:
        last = -1 if self._reverse else LAST
        return tuple([sort_key(read(item), last) for read in self._by])


def sort_key(value: Any, last: int = LAST) -> tuple[int, Any]:
    """Return what any two values can be compared by: a rank by kind of value, then the value.

    `last` is the rank of None and NaN. Times without a zone count as UTC.
    """
    if value is None or (isinstance(value, float | Decimal) and Decimal(value).is_nan()):
        return (last, 0)
    if isinstance(value, int | float | Decimal):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, datetime):
        return (2, (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return (2, datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    return (3, repr(value))


class Batch(Transform):
    """Gathers items into lists; the last list may be shorter.

    ```yaml
    class: pipelines.transforms.Batch
    kwargs:
      size: 100
    ```

    Args:
        size: How many items to a list, at least 1.

    Raises:
        ValueError: `size` is less than 1 or not a whole number.
    """

    def __init__(self, size: int) -> None:
        """Check the size."""
        self._size = check_count(size, argument="size", at_least=1)

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[list[Any]]:
        """Yield a list whenever it is full, and what is left at the end."""
        batch: list[Any] = []
        async for item in items:
            batch.append(item)
            if len(batch) == self._size:
                yield batch
                batch = []
        if batch:
            yield batch
