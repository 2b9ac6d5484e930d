"""Waiting for what the bot does, without sleeping for a guessed time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")

LOOK_AGAIN_S = 0.01
"""A condition on the bot's own state is looked at this often even if nothing reached the fake."""


class Changes:
    """Wakes whoever waits each time that something reached the fake."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Something happened."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], Seen], *, timeout_s: float = 5.0, what: str = "it") -> Seen:
        """Wait until the condition is true, and return what it then returned.

        Raises:
            TimeoutError: It was not within `timeout_s` seconds.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (seen := condition()):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                raise TimeoutError(f"waited {timeout_s} s for {what}")
            changed = self._changed
            try:
                await asyncio.wait_for(changed.wait(), min(left, LOOK_AGAIN_S))
            except TimeoutError:
                continue
        return seen
