"""The tasks that must go on as long as the service does: each has a name, is held, and is watched."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Background tasks of one service."""

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start a task that is to go on until `cancel`."""
        self._tasks.append(asyncio.create_task(work, name=name))

    async def failed(self) -> None:
        """Return when a task that must never end has ended, by raising what ended it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def cancel(self) -> None:
        """Cancel all, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def first_failure(*failed: Coroutine[Any, Any, None]) -> None:
    """Return when the first of several watches has ended, by raising what it raised."""
    watches = [asyncio.create_task(each) for each in failed]
    try:
        done, _ = await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for watch in watches:
            watch.cancel()
    for watch in done:
        watch.result()
