"""Who asks, whether they may, and the answer they get: what every command, button and form does first and last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import discord

from bot.errors import ANSWERED, UserError
from pipelines import Actor, Asked, Denied, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

logger = logging.getLogger(__name__)

DEFER_AFTER_S = 1.5
"""Discord waits 3 s for an answer; after this, it is told that one will come."""

READING = frozenset({Verb.VIEW, Verb.LOGS})
"""Verbs that change nothing: their denials are not audited."""

VERBS: Mapping[str, Verb] = {
    **{verb.value: verb for verb in Verb},
    "again": Verb.RUN,
    "retry": Verb.RUN,
    "makeup": Verb.RUN,
    "plan": Verb.SCHEDULE,
    "undo": Verb.SCHEDULE,
    "unmute": Verb.MUTE,
    "ack": Verb.MUTE,
}
"""What commands ask for by their names, and buttons by the second part of their ids; all others look at something."""

RECEIVED = "received"


def actor_of(interaction: discord.Interaction[Pipecall]) -> Actor:
    """Return who acts. Their roles are unknown (None) while Discord cannot say what roles there are."""
    user = interaction.user
    permissions = interaction.permissions
    guild = interaction.client.get_guild(interaction.guild_id or 0)
    roles: frozenset[int] | None = None
    if guild is not None and not guild.unavailable and isinstance(user, discord.Member):
        roles = frozenset(role.id for role in user.roles)
    return Actor(
        id=f"discord:{user.id}",
        name=user.display_name,
        user=user.id,
        roles=roles,
        manages=permissions.manage_guild or permissions.administrator,
    )


def asked(interaction: discord.Interaction[Pipecall]) -> Asked:
    """Return an interaction as a request; its id makes it take effect once."""
    place = {"guild": str(interaction.guild_id or ""), "channel": str(interaction.channel_id or "")}
    return Asked(actor_of(interaction), "discord", f"discord:{interaction.id}", place)


def verb_of(interaction: discord.Interaction[Pipecall]) -> Verb:
    """Return what an interaction asks for, by the name of the command or button."""
    if interaction.command is not None:
        return VERBS.get(interaction.command.name, Verb.VIEW)
    data: Any = interaction.data or {}
    _, verb, *_ = (*str(data.get("custom_id")).split(":"), "")
    return VERBS.get(verb, Verb.VIEW)


async def admit(interaction: discord.Interaction[Pipecall]) -> None:
    """Refuse whatever does not come from a person on a server that is served; to be called first of all.

    On another server what would change something is audited.

    Raises:
        UserError: why.
    """
    interaction.extras.setdefault(RECEIVED, asyncio.get_running_loop().time())
    bot = interaction.client
    if bot.leaving:
        raise UserError("I am being stopped.", "Try again in a minute.")
    if interaction.guild_id is None or interaction.user.bot:
        raise UserError("I only work for people on a server, not in direct messages.")
    if interaction.guild_id not in bot.served:
        verb = verb_of(interaction)
        if verb not in READING and interaction.type is not discord.InteractionType.autocomplete:
            await record_denial(interaction, verb, None, "the server is not served")
        hint = f"Whoever runs me can add `{interaction.guild_id}` to `discord: guilds:` in the pipelines file."
        raise UserError("This server is not one of those I serve.", hint)


async def check(
    interaction: discord.Interaction[Pipecall], verb: Verb, pipeline: str | None = None, owner: str | None = None
) -> None:
    """Refuse what the policy or the pipeline's channel rule does not allow; what would change something is audited.

    `pipeline` None asks in general; `owner` is the id of who made the job in question.

    Raises:
        Denied: what is missing.
        UserError: the server is not served.
    """
    await admit(interaction)
    missing = lacks(interaction, verb, pipeline, owner)
    if not missing:
        return
    if verb not in READING:
        await record_denial(interaction, verb, pipeline, missing)
    raise Denied(verb.value, pipeline, missing)


async def record_denial(
    interaction: discord.Interaction[Pipecall], verb: Verb, target: str | None, missing: str
) -> None:
    """Audit that somebody is denied something; the interaction is deferred if the store takes long over it."""
    async with Answer(interaction):
        await interaction.client.verbs.deny(asked(interaction), verb, target, missing)


def lacks(
    interaction: discord.Interaction[Pipecall], verb: Verb, pipeline: str | None = None, owner: str | None = None
) -> str:
    """Say what keeps somebody from doing something here; empty where nothing does. Nothing is recorded."""
    decision = interaction.client.verbs.may(actor_of(interaction), verb, pipeline, owner)
    return wrong_channel(interaction, pipeline) if decision.allowed else decision.missing


def wrong_channel(interaction: discord.Interaction[Pipecall], pipeline: str | None) -> str:
    """Say where a pipeline may be used if it may not be used here (`discord: {channels: […]}`); empty if it may."""
    definition = interaction.client.scheduler.catalog.pipelines.get(pipeline or "")
    if definition is None or not definition.discord.channels:
        return ""
    here = {interaction.channel_id, getattr(interaction.channel, "parent_id", None)}
    if here.intersection(definition.discord.channels):
        return ""
    places = ", ".join(f"<#{channel}>" for channel in definition.discord.channels)
    return f"it may be used in {places} only"


class Answer:
    """The answer to an interaction: deferred by itself when it takes long, sent as soon as there is something to say.

    Used as `async with Answer(interaction) as answer:`; whatever is sent pings nobody.
    """

    def __init__(self, interaction: discord.Interaction[Pipecall], ephemeral: bool = True) -> None:
        """`ephemeral`: only the person who asked sees it. It is fixed with the first answer."""
        self._interaction = interaction
        self._ephemeral = ephemeral
        self._deferred = self._answered = False
        self._lock = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the clock."""
        self._timer = asyncio.create_task(self._defer_in_time(), name="defer")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock; a deferral on its way is waited for, so that an error finds it done."""
        async with self._lock:
            if self._timer is not None:
                self._timer.cancel()

    async def send(
        self,
        content: str | None = None,
        *,
        embed: discord.Embed | None = None,
        embeds: Sequence[discord.Embed] = (),
        view: discord.ui.View | discord.ui.LayoutView | None = None,
        files: Sequence[discord.File] = (),
    ) -> int:
        """Show something and return the message's id: the answer itself the first time, a further message after it.

        Raises:
            discord.HTTPException: Discord refused; 10062 when the time for answering is over.
        """
        given: dict[str, Any] = {"content": content} if content is not None else {}
        shown = [embed] if embed is not None else list(embeds)
        given |= {"embeds": shown} if shown else {}
        given |= {"view": view} if view is not None else {}
        async with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            return await self._send(given, list(files))

    async def _send(self, given: dict[str, Any], files: list[discord.File]) -> int:
        nobody = discord.AllowedMentions.none()
        interaction = self._interaction
        if self._deferred:
            self._deferred = False
            given |= {"attachments": files} if files else {}
            return (await interaction.edit_original_response(**given, allowed_mentions=nobody)).id
        given |= {"files": files} if files else {}
        given |= {"ephemeral": self._ephemeral, "allowed_mentions": nobody}
        if self._answered or interaction.response.is_done():
            return (await interaction.followup.send(**given, wait=True)).id
        try:
            sent = await self._respond(given, again=not files)
        except discord.HTTPException as error:
            if error.code != ANSWERED:
                raise
            return await self._answered_before()
        return sent.message_id or (await interaction.original_response()).id

    async def _respond(self, given: Mapping[str, Any], *, again: bool) -> discord.InteractionCallbackResponse[Pipecall]:
        """Give the first answer; `again` where the connection broke: should it have arrived, 40060 comes of that."""
        try:
            return await self._interaction.response.send_message(**given)
        except (aiohttp.ClientError, OSError, TimeoutError):
            if not again:
                raise
        return await self._interaction.response.send_message(**given)

    async def _answered_before(self) -> int:
        """Return the answer that is there already: an earlier try of ours that seemed to have failed, as a rule."""
        logger.warning("an interaction had its answer already; is the same token used by another bot?")
        self._answered = True  # which the library does not know
        return (await self._interaction.original_response()).id

    async def _defer_in_time(self) -> None:
        loop = asyncio.get_running_loop()
        received = self._interaction.extras.get(RECEIVED, loop.time())
        await asyncio.sleep(max(received + DEFER_AFTER_S - loop.time(), 0))
        async with self._lock:
            await self._defer()

    async def _defer(self) -> None:
        if self._interaction.response.is_done():
            return
        try:
            await self._interaction.response.defer(ephemeral=self._ephemeral, thinking=True)
        except discord.HTTPException as error:
            if error.code != ANSWERED:
                logger.warning("an interaction could not be deferred: %s %s", error.status, error.code)
                return
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            logger.warning("an interaction could not be deferred: %s", type(error).__name__)
            return
        self._deferred = True
