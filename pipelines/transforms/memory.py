"""Stages that remember earlier runs of their pipeline: OnlyNew and Diff.

What they remember lies in the pipeline's durable collections and is committed with the end of a run that succeeded; a
run that fails leaves no trace, so the next one sees the same items as new.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from hashlib import blake2b
from typing import Any, TypeAlias

from pipelines.model import JSON
from pipelines.transform import PAGE, Collection, Transform, current_run
from pipelines.transforms.at_hand import AtHand
from pipelines.transforms.values import as_list, canonical, getter, readable, shortened

KeyOf: TypeAlias = Callable[[Any], Any]


def key_reader(key: str | list[str]) -> KeyOf:
    """Return a function that reads an item's key: one value for a text, a list of values for a list.

    Raises:
        ValueError: `key` is empty or wrong; or, from the function returned, an item that has no such value.
    """
    reads = [getter(text, argument="key") for text in as_list(key, argument="key")]
    first = reads[0]

    def read_key(item: Any) -> Any:
        value = first(item) if isinstance(key, str) else [read(item) for read in reads]
        if value is None or (isinstance(value, list) and all(part is None for part in value)):
            raise ValueError(f"key: {key!r} is missing in the item {shortened(item)}")
        return value

    return read_key


def digest(value: Any) -> str:
    """Return 16 bytes of BLAKE2b of the value's canonical JSON, as 32 hexadecimal digits.

    Raises:
        ValueError: the value cannot be written as JSON.
    """
    return blake2b(canonical(value).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def check_name(name: str) -> str:
    """Return a collection's name if it is one.

    Raises:
        ValueError: it is empty or not a text.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name: found {name!r}, expected a name for what is remembered, such as 'seen'")
    return name


class OnlyNew(Transform):
    """Lets an item through once: not if an earlier successful run let it through, nor twice in the same run.

    What was seen is kept as 16 bytes per item and never forgotten. Items are looked up together with those that are at
    hand, at most 500 at a time; an item of a slow source does not wait for others.

    ```yaml
    class: pipelines.transforms.OnlyNew
    kwargs:
      key: id
    ```

    Args:
        key: A field's name or a JMESPath expression that tells items apart, or a list of them. Default: none, the whole
            item counts. The number 1 and the text "1" are different keys.
        name: Where the pipeline keeps what was seen. Two OnlyNew in one pipeline need two names. Default: seen.

    Raises:
        ValueError: `key` is wrong or missing in an item, or an item cannot be written as JSON.
    """

    def __init__(self, key: str | list[str] | None = None, name: str = "seen") -> None:
        """Read the key's expressions."""
        self._key = None if key is None else key_reader(key)
        self._name = check_name(name)

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the items not seen before."""
        seen = current_run().collection(self._name)
        async with AtHand(items, PAGE) as stream:
            while batch := await stream.take():
                keys = self._keys(batch)
                known = await seen.known(keys)
                for key, item in zip(keys, batch, strict=True):
                    if key not in known:
                        known[key] = None
                        seen.put(key)
                        yield item

    def _keys(self, batch: list[Any]) -> list[str]:
        if self._key is None:
            return [digest(item) for item in batch]
        return [digest(self._key(item)) for item in batch]


class Diff(Transform):
    """Tells what was added, changed and removed since the pipeline's last successful run.

    Each change is a dict of `change` (`added`, `changed` or `removed`), `key`, `item` (as it is now, None when removed)
    and `before` (as it was, None when added). Items that stayed the same do not come out. On the first run all are
    added. Removed ones come after the last item, by an order of their own; if a later stage asks for no more before
    that, as Limit does, they are not looked for in this run.

    The snapshot holds the items as JSON (times and decimals as text), without the ignored fields. Of several items with
    the same key the first counts; the run's log says how many others there were. A run holds 16 bytes per key in
    memory, besides what it changes.

    ```yaml
    class: pipelines.transforms.Diff
    kwargs:
      key: id
      ignore: [fetched_at]
    ```

    Args:
        key: A field's name or a JMESPath expression that tells items apart, or a list of them.
        name: Where the pipeline keeps the snapshot. Two Diff in one pipeline need two names. Default: snapshot.
        ignore: Fields whose changes do not count. Default: none.

    Raises:
        ValueError: `key` is wrong or missing in an item, or an item cannot be written as JSON.
    """

    def __init__(self, key: str | list[str], name: str = "snapshot", ignore: list[str] | None = None) -> None:
        """Read the key's expressions."""
        self._key = key_reader(key)
        self._name = check_name(name)
        self._ignore = frozenset(as_list(ignore, argument="ignore") if ignore else ())

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[dict[str, Any]]:
        """Yield a dict for each change."""
        snapshot = current_run().collection(self._name)
        present: set[bytes] = set()
        async with aclosing(self._new_and_changed(items, snapshot, present)) as changes:
            async for change in changes:
                yield change
        async for entry, before in snapshot.stored():
            if bytes.fromhex(entry) not in present:
                snapshot.remove(entry)
                yield self._change("removed", None, before)

    async def _new_and_changed(
        self, items: AsyncIterator[Any], snapshot: Collection, present: set[bytes]
    ) -> AsyncGenerator[dict[str, Any], None]:
        doubles = 0
        async with AtHand(items, PAGE) as stream:
            while batch := await stream.take():
                entries = self._entries(batch, present)
                doubles += len(batch) - len(entries)
                known = await snapshot.known(entries)
                for entry, item in entries.items():
                    if change := self._compared(item, known.get(entry), is_known=entry in known):
                        snapshot.put(entry, self._kept(item))
                        yield change
        if doubles:
            current_run().log.warning("Diff: %d items had the key of an earlier item and were left out", doubles)

    def _entries(self, batch: list[Any], present: set[bytes]) -> dict[str, JSON]:
        entries: dict[str, JSON] = {}
        for item in batch:
            value = as_json(item)
            entry = digest(self._key(value))
            if (short := bytes.fromhex(entry)) not in present:
                present.add(short)
                entries[entry] = value
        return entries

    def _compared(self, item: JSON, before: JSON, *, is_known: bool) -> dict[str, Any] | None:
        if not is_known:
            return self._change("added", item, None)
        return self._change("changed", item, before) if self._kept(item) != self._kept(before) else None

    def _change(self, change: str, item: JSON, before: JSON) -> dict[str, Any]:
        return {"change": change, "key": self._key(before if item is None else item), "item": item, "before": before}

    def _kept(self, item: JSON) -> JSON:
        if not self._ignore or not isinstance(item, dict):
            return item
        return {name: value for name, value in item.items() if name not in self._ignore}


def as_json(value: Any) -> JSON:
    """Return the value as it comes back from a database: JSON types only, NaN and infinities as None.

    Raises:
        ValueError: the value cannot be written as JSON.
    """
    loaded: JSON = json.loads(readable(value), parse_constant=lambda _: None)
    return loaded
