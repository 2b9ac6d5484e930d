"""What people read when something did not work; the one place that turns an error into an answer.

Expected errors are told in their own words. Of an unexpected one nobody in chat sees more than a reference, under which
its traceback stands in the log, with secrets hidden there as well.
"""

from __future__ import annotations

import logging
import secrets
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord import app_commands

from bot.lengths import cut
from bot.safe_text import inline, plain
from pipelines import Denied, PipecallError

if TYPE_CHECKING:
    from bot.client import Pipecall

logger = logging.getLogger(__name__)

LONGEST = 1900
GONE = 10062
ANSWERED = 40060
"""Discord's codes for an interaction whose time is over, and for one that has its answer."""


class UserError(app_commands.AppCommandError):
    """Something that the person can mend; it needs neither a log line nor a reference.

    Both texts are shown as markdown, so what is not ours in them must have gone through `safe_text`.
    """

    def __init__(self, what: str, hint: str = "") -> None:
        """`what` is wrong, and a `hint` at the next step."""
        super().__init__(f"{what} {hint}".strip())
        self.what = what
        self.hint = hint


async def explain(interaction: discord.Interaction[Pipecall], error: BaseException) -> None:
    """Answer an interaction that went wrong, visible to its person only; never raises."""
    error = _root(error)
    if isinstance(error, discord.NotFound) and error.code == GONE:
        logger.warning("an interaction was over before it could be answered: %s", _subject(interaction))
        return
    if isinstance(error, app_commands.CommandNotFound | app_commands.CommandSignatureMismatch):
        interaction.client.register_again()
    hide = interaction.client.redactor.text
    text = hide(words(error, hide) or _reference(interaction, error))
    try:
        await _answer(interaction, cut(text, LONGEST))
    except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as failure:
        logger.warning("an answer could not be delivered: %s", type(failure).__name__)


def words(error: BaseException, hide: Callable[[str], str] = str) -> str | None:
    """Return what to tell people of an expected error; None for one that was not. `hide` takes the secrets out."""
    match error:
        case UserError():
            told = _told(error.what, error.hint)
        case Denied():
            asked = str(error).removesuffix(error.missing)
            told = _told(f"{_sentence(asked)} {plain(error.missing)}.")
        case PipecallError():
            told = _told("\n".join(_sentence(line) for line in hide(str(error)).splitlines()))
        case app_commands.CommandOnCooldown():
            told = _told(f"That was a lot at once; I listen again <t:{int(time.time() + error.retry_after) + 1}:R>.")
        case app_commands.CommandNotFound() | app_commands.CommandSignatureMismatch():
            told = _told("I was updated since your Discord learned this command.", "Try again in a minute.")
        case app_commands.TransformerError():
            told = _told("I cannot read one of the options.", "Choose one of the suggestions.")
        case discord.Forbidden():
            hint = "Ask an admin to check my role and this channel's permissions; `python -m bot doctor` names them."
            told = _told("Discord does not let me do that here.", hint)
        case app_commands.CheckFailure():
            told = _told("You may not use this command.", "`/whoami` says what you may do.")
        case _:
            return None
    return told


def log_unexpected(bot: Pipecall, error: BaseException, subject: str) -> str:
    """Log an error's traceback with secrets hidden, and return the reference under which it stands: `E-7F3A`."""
    reference = f"E-{secrets.token_hex(2).upper()}"
    trace = "".join(traceback.format_exception(error))
    logger.error("%s in %s\n%s", reference, subject, bot.redactor.text(trace))
    return reference


def _reference(interaction: discord.Interaction[Pipecall], error: BaseException) -> str:
    reference = log_unexpected(interaction.client, error, _subject(interaction))
    return _told(f"Something broke on my side. Reference {reference} (logged).", "Tell it to whoever runs me.")


def _root(error: BaseException) -> BaseException:
    """Return what discord.py wrapped: the error of a command, or ours in that of an option's transformer."""
    if isinstance(error, app_commands.CommandInvokeError):
        return error.original
    if isinstance(error, app_commands.TransformerError) and isinstance(error.__cause__, PipecallError):
        return error.__cause__
    return error


def _told(what: str, hint: str = "") -> str:
    return f"✗ {what}\n{hint}".strip()


def _sentence(text: str) -> str:
    safe = inline(text)
    return f"{safe[0].upper()}{safe[1:]}"


def _subject(interaction: discord.Interaction[Any]) -> str:
    """Name an interaction in the log, without anything that was typed into it."""
    data: Any = interaction.data or {}
    name = interaction.command.qualified_name if interaction.command else data.get("custom_id") or data.get("name")
    return f"{interaction.type.name} {plain(str(name))[:100]!r} by {interaction.user.id} in {interaction.guild_id}"


async def _answer(interaction: discord.Interaction[Pipecall], text: str) -> None:
    nobody = discord.AllowedMentions.none()
    response = interaction.response
    if interaction.type is discord.InteractionType.autocomplete:
        if not response.is_done():
            await response.autocomplete([])
        return
    if not response.is_done():
        try:
            await response.send_message(text, ephemeral=True, allowed_mentions=nobody)
            return
        except discord.HTTPException as error:
            if error.code != ANSWERED:
                raise
    await interaction.followup.send(text, ephemeral=True, allowed_mentions=nobody)
