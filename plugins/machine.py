"""An example of your own stages: readings of this machine, and an inventory of its Python packages.

Every file in this folder is a module that `pipelines.yml` can name: the class below is `machine.Readings` there. A
stage is a `Fetcher` (yields items), a `Transform` (items in, items out), a `Sink` (takes items), or a plain function
per item.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from importlib.metadata import distributions
from typing import Any, Self

import psutil

from pipelines import Fetcher, Sink, Skip, current_run

Item = dict[str, Any]


class Readings(Fetcher):
    """Yield one item with the machine's load, memory and disk as they are now."""

    def __init__(self, *, disk: str = "/") -> None:
        """`disk` is a path on the disk to look at. Keyword arguments come from `kwargs:` in the file."""
        self.disk = disk

    async def fetch(self) -> AsyncIterator[Item]:
        """Yield the item."""
        yield {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "load_percent": round(100 * psutil.getloadavg()[0] / (os.cpu_count() or 1), 1),
            "memory_percent": psutil.virtual_memory().percent,
            "disk_percent": psutil.disk_usage(self.disk).percent,
        }


def flag(item: Item) -> Item:
    """Add which readings are over the limits that the run's parameters name: a plain function is a stage as well."""
    limits = current_run().params.get("limits", {})
    return item | {"high": ", ".join(name for name, limit in limits.items() if item.get(name, 0) > limit)}


def packages(_start: None) -> Iterator[Item]:
    """Yield an item for each installed Python package; a generator function may yield any number of items."""
    for found in distributions():
        yield {"name": found.metadata["Name"].lower(), "version": found.version, "files": len(found.files or ())}


class Summary(Sink):
    """Say in the run's log how many packages and files there are; entered before the first item, closed at the end."""

    async def __aenter__(self) -> Self:
        """Start counting."""
        self.count = self.files = 0
        return self

    async def handle(self, item: Item) -> None:
        """Add one package."""
        self.count += 1
        self.files += item["files"]

    async def __aexit__(self, *_: object) -> None:
        """Say the sums."""
        current_run().log.info("%d packages with %d files in all", self.count, self.files)


class SkipWhenEmpty:
    """End the run as skipped when nothing came in. Any class with this `__call__` is a stage, base class or not."""

    async def __call__(self, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        """Pass items on; there being none is no success and no failure either."""
        empty = True
        async for item in items:
            empty = False
            yield item
        if empty:
            raise Skip("nothing has changed")
