"""Looks in a channel for the card of a run that was sent, and not noted down before the service died."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

import discord

from bot import card
from pipelines import Wish

SEARCHED = 50
"""So many messages after the request may stand between it and its card."""
EARLIER = timedelta(seconds=5)
"""The clock of Discord, which ids are made by, may be behind ours by so much."""


class Editor(Protocol):
    """What the keeper needs of Discord; each raises DeliveryFault."""

    async def edit_message(self, channel_id: str, message_id: str, payload: Mapping[str, Any]) -> Any:
        """Change a message of ours."""

    async def messages_after(self, channel_id: str, after_id: str, limit: int) -> list[dict[str, Any]]:
        """Return messages of a channel that are newer than an id, as Discord's JSON."""

    async def me(self) -> dict[str, Any]:
        """Return the bot's own user."""


async def find(rest: Editor, wish: Wish) -> int | None:
    """Return the id of the message that is the card of a run, or None where there is none.

    Raises:
        DeliveryFault: Discord does not say.
    """
    after = discord.utils.time_snowflake(wish.at - EARLIER)
    me = str((await rest.me())["id"])
    for message in await rest.messages_after(str(wish.channel_id), str(after), SEARCHED):
        if str(message["author"]["id"]) == me and card.belongs_to(message, wish.run_id):
            return int(message["id"])
    return None
