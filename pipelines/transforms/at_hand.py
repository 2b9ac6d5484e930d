"""Reading a stream in slices of what is at hand, so that a stage can ask a database about many items at once.

A slice never waits to become full: an item of a slow stream is handed on when it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self


class AtHand:
    """Reads `items` ahead by at most `size`, in one task of its own that ends with the `async with` block.

    ```python
    async with AtHand(items, 500) as stream:
        while batch := await stream.take(): ...
    ```
    """

    def __init__(self, items: AsyncIterator[Any], size: int) -> None:
        """Prepare to read; nothing is asked of `items` before the block is entered."""
        self._items = items
        self._size = size
        self._held: list[Any] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to read."""
        self._reader = asyncio.create_task(self._read(), name="read ahead")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to read and wait until the stream has let go.

        An error of the stream that `take` has not come to is dropped: nobody asked for that item.
        """
        if self._reader is None:
            return
        self._reader.cancel()
        await asyncio.wait([self._reader])
        if not self._reader.cancelled():
            self._reader.exception()

    async def take(self) -> list[Any]:
        """Return what has come since the last call: 1 to `size` items, or none when the stream has ended.

        Raises:
            Exception: what the stream raised, once all items before it were taken.
        """
        if self._reader is None:
            raise RuntimeError("AtHand is read inside its async with block only")
        await self._arrived.wait()
        batch, self._held = self._held, []
        if not batch:
            await self._reader
        if not self._reader.done():
            self._arrived.clear()
            self._room.set()
        return batch

    async def _read(self) -> None:
        try:
            async for item in self._items:
                self._held.append(item)
                self._arrived.set()
                if len(self._held) >= self._size:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._arrived.set()
