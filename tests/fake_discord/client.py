"""Points the real discord.py at a fake, and back again: two class attributes, nothing patched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route


@contextlib.contextmanager
def point_at(api_base: str, gateway_url: str) -> Iterator[None]:
    """Let every discord.py client of this process speak to these addresses within the block.

    Args:
        api_base: Such as `http://127.0.0.1:4000/api/v10`.
        gateway_url: Such as `ws://127.0.0.1:4000/gateway`.
    """
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = api_base, yarl.URL(gateway_url)
    try:
        yield
    finally:
        Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = before
