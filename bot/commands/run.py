"""`/run`, its form, and the button that runs the same again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import resolve
from bot.asking import Answer, check
from bot.commands.logs import known_run
from bot.errors import UserError, words
from bot.limits import cut
from bot.parameter_form import ParameterForm, fields, missing
from bot.pressing import Flow, Pressable
from bot.safe_text import inline_cut
from bot.starting import begin
from pipelines import BadParameter, Verb, check_for, parse_text

if TYPE_CHECKING:
    from bot.client import Pipecall

LONGEST_PROBLEMS = 1_800


class AgainButton(Pressable, template=r"p1:again:(?P<run_id>\d{1,18})"):
    """Runs a run's pipeline again, with the same parameters."""

    def __init__(self, run_id: int | str) -> None:
        """Make the button of a run."""
        button: ui.Button[Any] = ui.Button(label="🔁 Run again", custom_id=f"p1:again:{run_id}")
        super().__init__(button)
        self.run_id = int(run_id)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Start it as the one who pressed."""
        run = await known_run(interaction, self.run_id)
        await begin(interaction, run.pipeline, run.params)


class Again(Flow):
    """Shows what is wrong with the parameters, and opens the form once more with what was typed."""

    def __init__(self, interaction: discord.Interaction[Pipecall], pipeline: str, typed: Mapping[str, str]) -> None:
        """`typed` are the texts by name."""
        super().__init__(interaction)
        self.pipeline, self.typed = pipeline, typed

    @ui.button(label="Open the form", style=discord.ButtonStyle.primary)
    async def reopen(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Open it; it can be opened as often as one likes."""
        await open_form(interaction, self.pipeline, self.typed)


def add(bot: Pipecall) -> None:
    """Add the command and the button."""

    @bot.tree.command(description="Run a pipeline now")
    @app_commands.describe(
        pipeline="Which pipeline; choose one",
        params="Its parameters, such as: region=eu note='two words'",
        form="Fill the parameters into a form",
    )
    @app_commands.autocomplete(pipeline=resolve.complete_pipeline)
    async def run(
        interaction: discord.Interaction[Pipecall],
        pipeline: str,
        params: str = "",
        form: bool = False,
    ) -> None:
        view = resolve.pipeline(bot, interaction, pipeline)
        await check(interaction, Verb.RUN, view.name)
        typed = parse_text(params)
        if form and not fields(view.definition):
            raise UserError(f"**{inline_cut(view.name, 80)}** takes no parameters.", "Run it without `form`.")
        if form or missing(view.definition, typed):
            await open_form(interaction, view.name, typed)
        else:
            await run_typed(interaction, view.name, typed)

    bot.add_dynamic_items(AgainButton)


async def open_form(interaction: discord.Interaction[Pipecall], pipeline: str, typed: Mapping[str, str]) -> None:
    """Answer with the form for a pipeline's parameters.

    Raises:
        Denied: the person may not run it.
        UnknownName: there is no such pipeline.
    """
    await check(interaction, Verb.RUN, pipeline)
    definition = interaction.client.scheduler.catalog.get(pipeline)

    async def submitted(sent: discord.Interaction[Pipecall], texts: dict[str, str], others: str) -> None:
        try:
            every = {**texts, **parse_text(others)}
        except BadParameter as error:
            await _tell(sent, pipeline, texts, error)
            return
        await run_typed(sent, pipeline, every)

    await interaction.response.send_modal(ParameterForm(definition, typed, submitted))


async def run_typed(interaction: discord.Interaction[Pipecall], pipeline: str, typed: Mapping[str, str]) -> None:
    """Run a pipeline with parameters as they were typed; wrong ones are told, all of them, with a way to mend them.

    Raises:
        Denied: the person may not run it.
        UnknownName: there is no such pipeline.
    """
    definition = interaction.client.scheduler.catalog.get(pipeline)
    try:
        check_for(definition, typed)
    except BadParameter as error:
        if not fields(definition):
            raise
        await _tell(interaction, pipeline, typed, error)
        return
    await begin(interaction, pipeline, typed)


async def _tell(
    interaction: discord.Interaction[Pipecall], pipeline: str, typed: Mapping[str, str], error: BadParameter
) -> None:
    """Say what is wrong, with a button that opens the form as it was filled in."""
    async with Answer(interaction) as answer:
        text = cut(words(error, interaction.client.redactor.text) or "", LONGEST_PROBLEMS)
        await answer.send(text, view=Again(interaction, pipeline, typed))
