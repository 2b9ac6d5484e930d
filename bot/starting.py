"""How a run is started from chat, whatever was pressed or typed for it: ask where that is wanted, show the card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord import ui

from bot import job_text
from bot.asking import Answer, actor_of, asked, check
from bot.errors import UserError
from bot.pressing import Flow
from bot.safe_text import inline_cut
from pipelines import Run, Verb, check_for

if TYPE_CHECKING:
    from bot.client import Pipecall

LONGEST_NAME = 80


class Question(Flow):
    """Asks whether a pipeline shall be run that is not to be run by accident (`discord: {confirm: true}`)."""

    undone = "Nothing was started."

    def __init__(self, interaction: discord.Interaction[Pipecall], pipeline: str, params: Mapping[str, Any]) -> None:
        """`interaction` is answered with this question."""
        super().__init__(interaction)
        self.pipeline, self.params = pipeline, params
        self.yes.label = f"Run {pipeline}"[:80]

    @ui.button(style=discord.ButtonStyle.primary)
    async def yes(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Run it; rights are looked at anew."""
        self.stop()
        await check(interaction, Verb.RUN, self.pipeline)
        run_id = await start(interaction, self.pipeline, self.params)
        await self.close(f"Started: run #{run_id}.")

    @ui.button(label="Leave it", style=discord.ButtonStyle.secondary)
    async def no(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Do nothing."""
        await self.close("Nothing was started.", interaction)


async def begin(interaction: discord.Interaction[Pipecall], pipeline: str, params: Mapping[str, Any]) -> None:
    """Start a run with the parameters as they were typed, after asking where the pipeline wants that.

    The interaction must have no answer yet: the question or the card becomes it.

    Raises:
        Denied: the person may not.
        UnknownName: there is no such pipeline.
        BadParameter: parameters are missing or wrong; all of them are told.
        UserError: the same person started the very same a moment ago.
    """
    bot = interaction.client
    await check(interaction, Verb.RUN, pipeline)
    definition = bot.scheduler.catalog.get(pipeline)
    given = check_for(definition, params)
    if not definition.discord.confirm:
        await start(interaction, pipeline, given)
        return
    told = job_text.given(given, bot.redactor)
    more = f"\nwith {told}" if told else ""
    async with Answer(interaction) as answer:
        text = f"Run **{inline_cut(pipeline, LONGEST_NAME)}**?{more}"
        await answer.send(text, view=Question(interaction, pipeline, given))


async def start(interaction: discord.Interaction[Pipecall], pipeline: str, params: Mapping[str, Any]) -> int:
    """Start a run, answer with its card, for everybody, and let the card follow it; return the run's number.

    `params` have been checked. The interaction must have no answer yet.

    Raises:
        Denied: the person may not.
        UserError: the same person started the very same a moment ago.
    """
    bot, doubles = interaction.client, interaction.client.cards.doubles
    wish = actor_of(interaction).id, pipeline, params
    if (before := doubles.earlier(*wish)) is not None:
        raise UserError(f"**{inline_cut(pipeline, LONGEST_NAME)}** is {before}.", "Wait a few seconds to run it again.")
    async with Answer(interaction, ephemeral=False) as answer:
        run: Run | None = None
        try:
            run = await bot.verbs.run(asked(interaction), pipeline, params)
            doubles.begun(*wish, run_id=run.id)
        finally:
            if run is None:
                doubles.failed(*wish)
        try:
            message_id = await answer.send(view=await bot.cards.view(run))
        except discord.NotFound:
            bot.cards.look_for_lost()
            raise
        except (discord.HTTPException, aiohttp.ClientError, OSError, TimeoutError) as error:
            bot.cards.look_for_lost()
            what = f"**{inline_cut(pipeline, LONGEST_NAME)}** was started, as #{run.id}, but I could not show its card."
            hint = f"{bot.mention('history', interaction.guild_id)} tells how it goes; do not start it again."
            raise UserError(what, hint) from error
        doubles.begun(*wish, run_id=run.id, link=_link(interaction, message_id))
        await bot.cards.follow(run, interaction, message_id)
    return run.id


def _link(interaction: discord.Interaction[Any], message_id: int) -> str:
    return f"https://discord.com/channels/{interaction.guild_id}/{interaction.channel_id}/{message_id}"
