"""The buttons under a question about missed runs: run the latest, run all, skip. The first press decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot.asking import Answer, actor_of, asked, check
from bot.errors import UserError
from bot.pressing import Pressable
from bot.question_message import CHOICES
from bot.safe_text import inline_cut
from pipelines import MakeUp, UnknownName, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

LONGEST_NAME = 80


class MakeUpButton(Pressable, template=r"p1:makeup:(?P<choice>latest|all|skip):(?P<question_id>\d{1,18})"):
    """Decides what becomes of missed runs."""

    def __init__(self, choice: str, question_id: int | str) -> None:
        """Make the button of a question; `choice` is one of `CHOICES`."""
        button: ui.Button[Any] = ui.Button(label=CHOICES[choice], custom_id=f"p1:makeup:{choice}:{question_id}")
        super().__init__(button)
        self.choice, self.question_id = MakeUp(choice), int(question_id)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Decide as the one who pressed, and tell everybody; the question itself is changed on its own way."""
        bot = interaction.client
        try:
            question = await bot.reads.question(self.question_id)
        except UnknownName:
            raise UserError("This question is no longer recorded.") from None
        await check(interaction, Verb.RUN, question.pipeline)
        async with Answer(interaction, ephemeral=False) as answer:
            decided = await bot.verbs.make_up(asked(interaction), self.question_id, self.choice)
            name = f"**{inline_cut(question.schedule_id, LONGEST_NAME)}**"
            who = inline_cut(actor_of(interaction).name, LONGEST_NAME)
            numbers = [f"#{run.id}" for run in decided.runs]
            if not numbers:
                await answer.send(f"⏭️ {who} skipped the missed runs of {name}.")
                return
            runs = numbers[0] if len(numbers) == 1 else f"{len(numbers):,} runs, {numbers[0]} to {numbers[-1]}"
            await answer.send(f"▶️ {who} makes up for what {name} missed: {runs}.")


def add(bot: Pipecall) -> None:
    """Add the buttons."""
    bot.add_dynamic_items(MakeUpButton)
