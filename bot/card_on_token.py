"""A card in a channel that the bot may not write into: edited with the token of the interaction that it answers.

Discord takes that token for 15 minutes. A card whose run goes on for longer says so, and stays as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import discord

from bot import card
from bot.card_pace import Waiter, progress_s

if TYPE_CHECKING:
    from bot.card_facts import CardFacts
    from bot.followed import Followed

logger = logging.getLogger(__name__)

NOTICE = (
    "I may not write in this channel, so this card stays as it is now; /history tells how the run ends. "
    "An admin can allow me View Channel and Send Messages here."
)


def may_edit(interaction: discord.Interaction[Any]) -> bool:
    """Tell whether the bot may edit its own messages where somebody asked, without the token of that."""
    allowed = interaction.app_permissions
    in_thread = isinstance(interaction.channel, discord.Thread)
    return allowed.view_channel and (allowed.send_messages_in_threads if in_thread else allowed.send_messages)


async def keep_on_token(
    followed: Followed,
    interaction: discord.Interaction[Any],
    *,
    facts: CardFacts,
    clock: Callable[[], float],
    wait: Waiter,
    until_s: float,
) -> None:
    """Follow a run to its end, or for `until_s` seconds.

    Raises:
        StoreError: the store cannot be read.
    """
    end = clock() + until_s
    while not followed.over.is_set() and clock() < end:
        every_s = progress_s(clock() - followed.began)
        await wait(followed.changed, min(every_s, end - clock()))
        followed.changed.clear()
        if not followed.over.is_set() and clock() < end:
            await _show(followed, interaction, await facts.of(followed.run))
            await wait(followed.over, min(every_s, 2.0))
    notice = "" if followed.over.is_set() else NOTICE
    await _show(followed, interaction, await facts.of(followed.run, notice=notice))


async def _show(followed: Followed, interaction: discord.Interaction[Any], facts: card.Facts) -> None:
    shows = card.digest(card.payload(facts))
    if shows == followed.shows:
        return
    try:
        await interaction.edit_original_response(view=card.view(facts), allowed_mentions=discord.AllowedMentions.none())
    except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
        logger.debug("a card could not be edited with its token: %s", type(error).__name__)
    else:
        followed.shows = shows
