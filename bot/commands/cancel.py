"""`/cancel`, and the button on a card that cancels its run: each asks first, and tells everybody what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import resolve, texts
from bot.asking import Answer, actor_of, asked, check
from bot.commands.logs import known_run
from bot.errors import UserError
from bot.limits import cut
from bot.pressing import Flow, Pressable
from bot.safe_text import inline_cut
from pipelines import InvalidTransition, Run, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

LONGEST_NAME = 80


class CancelButton(Pressable, template=r"p1:cancel:(?P<run_id>\d{1,18})"):
    """Cancels a run, once the one who presses it has confirmed that."""

    def __init__(self, run_id: int | str) -> None:
        """Make the button of a run."""
        button: ui.Button[Any] = ui.Button(
            label="Cancel", style=discord.ButtonStyle.danger, custom_id=f"p1:cancel:{run_id}"
        )
        super().__init__(button)
        self.run_id = int(run_id)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Ask whether that is meant."""
        await confirm(interaction, await known_run(interaction, self.run_id))


class Question(Flow):
    """Asks whether a run shall be cancelled."""

    undone = "Nothing changed."

    def __init__(self, interaction: discord.Interaction[Pipecall], run: Run) -> None:
        """`interaction` is answered with this question about `run`."""
        super().__init__(interaction)
        self.run_id = run.id
        self.yes.label = f"Cancel #{run.id}"

    @ui.button(style=discord.ButtonStyle.danger)
    async def yes(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Cancel it, in the open."""
        self.stop()
        async with Answer(interaction, ephemeral=False) as answer:
            run = await _cancelled(interaction, self.run_id)
            word = "is being cancelled" if not run.state.final else f"was {texts.look(run.state).word}"
            name, who = inline_cut(run.pipeline, LONGEST_NAME), inline_cut(actor_of(interaction).name, LONGEST_NAME)
            await answer.send(f"🛑 **{name}** · run #{run.id} {word} by {who}")
        await self.close(f"🛑 Run #{run.id}: told to stop.")

    @ui.button(label="Keep it", style=discord.ButtonStyle.secondary)
    async def no(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Leave it alone."""
        await self.close("Nothing changed; the run goes on.", interaction)


def add(bot: Pipecall) -> None:
    """Add the command and the button."""

    @bot.tree.command(description="Cancel a run that waits or goes on")
    @app_commands.describe(run="Which run; its number, or choose one")
    @app_commands.autocomplete(run=resolve.complete_run)
    async def cancel(interaction: discord.Interaction[Pipecall], run: str) -> None:
        await confirm(interaction, await resolve.run(bot, interaction, run))

    bot.add_dynamic_items(CancelButton)


async def confirm(interaction: discord.Interaction[Pipecall], run: Run) -> None:
    """Ask the one who wants to cancel a run whether that is meant; nothing changes before they say so.

    Raises:
        Denied: they may not.
        UserError: the run is over.
    """
    await check(interaction, Verb.CANCEL, run.pipeline)
    if run.state.final:
        raise UserError(over(run))
    since = f"started {texts.ago(run.started_at)}" if run.started_at else f"queued {texts.ago(run.queued_at)}"
    text = f"Cancel run **#{run.id}** of **{inline_cut(run.pipeline, LONGEST_NAME)}**, {since}?"
    async with Answer(interaction) as answer:
        await answer.send(text, view=Question(interaction, run))


def over(run: Run) -> str:
    """Say how a run ended, for those who come too late: `Run #811 is over: ✅ succeeded 3 minutes ago, in 4.1 s`."""
    ago = f" {texts.ago(run.ended_at)}" if run.ended_at else ""
    took = f", in {texts.seconds(run.duration.total_seconds())}" if run.duration else ""
    why = f" ({inline_cut(cut(run.reason, 200), 400)})" if run.reason else ""
    return f"Run #{run.id} is over: {texts.look(run.state)}{ago}{took}{why}."


async def _cancelled(interaction: discord.Interaction[Pipecall], run_id: int) -> Run:
    """Cancel the run as the one who pressed; the rights are looked at anew."""
    bot = interaction.client
    run = await known_run(interaction, run_id)
    await check(interaction, Verb.CANCEL, run.pipeline)
    try:
        return await bot.verbs.cancel(asked(interaction), run_id)
    except InvalidTransition:
        raise UserError(over(await bot.reads.run(run_id))) from None
