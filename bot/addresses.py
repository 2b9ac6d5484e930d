"""Where Discord is: its own addresses, unless the settings name others (a proxy, or the tests' fake)."""

from __future__ import annotations

import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from pipelines import Settings


def use(settings: Settings) -> None:
    """Point discord.py, for the whole process, at the addresses that the settings name; without any, nothing changes.

    To be called before a client is opened.
    """
    if settings.discord_api_base is not None:
        Route.BASE = settings.discord_api_base
    if settings.discord_gateway_url is not None:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)
