"""Long lists are made a slice at a time."""

from __future__ import annotations

import asyncio
import json

from web.listing import SLICE, listing
from web.values import Count


async def test_a_long_list_lets_others_have_their_turn():
    """All values are in the answer, in their order, and between slices whoever waits goes on."""
    turns = 0

    async def wait() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(wait())
    answer = await listing(Count(count=number) for number in range(SLICE * 5))
    beside.cancel()
    assert [{"count": number} for number in range(SLICE * 5)] == json.loads(answer.body)
    assert turns >= 4


async def test_an_empty_list_is_an_array():
    """Nothing is told as an empty JSON array."""
    answer = await listing(())
    assert ("application/json", b"[]") == (answer.media_type, answer.body)
