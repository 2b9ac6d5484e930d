"""What is pressed and filled in: buttons that live as long as their message, flows of a minute, and forms.

Long-lived messages carry `Pressable`s only. Mixed with plain buttons they would all die with the view's timeout, since
discord.py 2.7 then forgets their class (`ui/view.py`, `remove_view`). For the same reason a view is sent once: make a
fresh one for each message and each edit.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import discord

from bot.asking import admit
from bot.errors import UserError, explain

if TYPE_CHECKING:
    from bot.client import Pipecall

logger = logging.getLogger(__name__)

FLOW_S = 120.0
NEVER = r"(?!)"


class Pressable(discord.ui.DynamicItem[discord.ui.Button[Any]], template=NEVER):
    """A button that works after a restart: all it knows is in its id, `p1:<verb>:<id>[:<arg>]`, at most 100 characters.

    A subclass names its `template=`, builds its button in `__init__` (`super().__init__(discord.ui.Button(...))`) with
    the template's named groups as arguments, and implements `pressed`. The id is no authority: who presses is checked
    each time, and the object looked up anew. The class is made known with `bot.add_dynamic_items`.
    """

    @classmethod
    def of(cls, match: re.Match[str]) -> Self:
        """Make the button anew from its id: the named groups, as text, are the arguments. Override for other types."""
        arguments: dict[str, Any] = match.groupdict()
        return cls(**arguments)

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Make the button that was pressed; what goes wrong is answered."""
        try:
            return cls.of(match)
        except Exception as error:
            await explain(interaction, error)
            raise

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Call `pressed`; what goes wrong is answered, which the library does for views but not for these."""
        try:
            await admit(interaction)
            await self.pressed(interaction)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the outermost frame of the press, maybe a plugin's
            await explain(interaction, error)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Do what the button says, after checking that the person may, and answer."""
        raise NotImplementedError


class Flow(discord.ui.View):
    """Buttons of an ephemeral question. Unanswered, it becomes "expired, nothing changed".

    `undone` is what it becomes when a press goes wrong; empty where one may press again.
    """

    undone = ""

    def __init__(self, interaction: discord.Interaction[Pipecall], *, timeout_s: float = FLOW_S) -> None:
        """`interaction` is the one whose answer shows the question; `timeout_s` how long it waits, in seconds."""
        super().__init__(timeout=timeout_s)
        self.origin = interaction

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Refuse what does not come from the person who was asked, or from a served server.

        A further press on a question that was just answered changes nothing, whichever its button.
        """
        await admit(interaction)
        if interaction.user.id != self.origin.user.id:
            raise UserError("This question was put to somebody else.", "Use the command yourself.")
        if self.is_finished():
            await interaction.response.defer()
            return False
        return True

    async def on_timeout(self) -> None:
        """Say that nothing was done."""
        await self.close("⌛ Expired, nothing changed.")

    async def close(self, text: str, pressed: discord.Interaction[Any] | None = None) -> None:
        """End the flow: its message becomes `text`, without buttons. `pressed` is the press that ends it, if any."""
        self.stop()
        changes: Any = {"content": text, "embeds": [], "view": None, "allowed_mentions": discord.AllowedMentions.none()}
        try:
            if pressed is not None and not pressed.response.is_done():
                await pressed.response.edit_message(**changes)
            else:
                await self.origin.edit_original_response(**changes)
        except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.debug("a question could not be closed: %s", type(error).__name__)

    async def on_error(
        self, interaction: discord.Interaction[Any], error: Exception, _item: discord.ui.Item[Any], /
    ) -> None:
        """Answer what went wrong, and take the buttons away where the question says what became of it."""
        await explain(interaction, error)
        if self.undone:
            await self.close(self.undone)


class Form(discord.ui.Modal, title="Form"):
    """A form (modal); a subclass implements `on_submit`."""

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Refuse what does not come from a served server."""
        await admit(interaction)
        return True

    async def on_error(  # type: ignore[override]  # discord.py's own Modal takes no item either
        self, interaction: discord.Interaction[Any], error: Exception, /
    ) -> None:
        """Answer what went wrong."""
        await explain(interaction, error)


async def answer_unknown(interaction: discord.Interaction[Pipecall], *, after_s: float) -> None:
    """Tell somebody that what they pressed or sent is not there any more, if nobody answered within `after_s`.

    A button of an earlier version, or a question that a restart ended: Discord itself would only say that it failed.
    """
    await asyncio.sleep(after_s)
    if interaction.response.is_done():
        return
    text = "✗ This is from before I was restarted or updated; nothing was changed.\nUse the command again, or /jobs."
    try:
        await interaction.response.send_message(text, ephemeral=True)
    except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
        logger.debug("an old button could not be answered: %s", type(error).__name__)
