"""`/schedule`, and the form that asks the same: makes a job, after showing what was understood and asking for a yes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import job_text, resolve
from bot.asking import Answer, asked, check
from bot.commands.remove import made
from bot.job_keys import KEY
from bot.job_plan import Plan, Typed, hold, plan, preview
from bot.lengths import cut
from bot.pressing import Flow, Form, Pressable
from bot.safe_text import plain
from pipelines import PipelineView, ScheduleRow, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

LONGEST_WHEN = 100


class ScheduleButton(Pressable, template=rf"p1:plan:{KEY}"):
    """Opens the form that makes a job of a pipeline."""

    def __init__(self, key: str) -> None:
        """`key` is the pipeline's name, which is short enough for a button."""
        super().__init__(ui.Button(label="Schedule…", style=discord.ButtonStyle.secondary, custom_id=f"p1:plan:{key}"))
        self.key = key

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Open it."""
        view = await _pipeline(interaction, self.key)
        await interaction.response.send_modal(PlanForm(view.name))


class PlanForm(Form):
    """Asks for what `/schedule` asks for."""

    def __init__(self, pipeline: str) -> None:
        """Ask for a job of `pipeline`."""
        super().__init__(title=cut(f"Schedule {plain(pipeline)}", 45))
        self.pipeline = pipeline
        self.when = ui.TextInput["PlanForm"](
            custom_id="when", max_length=LONGEST_WHEN, placeholder="every day at 06:30"
        )
        self.timezone = ui.TextInput["PlanForm"](
            custom_id="timezone", max_length=80, required=False, placeholder="as the scheduler, or Europe/Stockholm"
        )
        self.params = ui.TextInput["PlanForm"](
            custom_id="params", max_length=1000, required=False, placeholder="region=eu note='two words'"
        )
        self.name = ui.TextInput["PlanForm"](custom_id="name", max_length=80, required=False)
        self.add_item(ui.Label(text="When", component=self.when))
        self.add_item(ui.Label(text="Time zone", component=self.timezone))
        self.add_item(ui.Label(text="Parameters", component=self.params))
        self.add_item(ui.Label(text="Name of the job", component=self.name))

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        """Show what was understood."""
        given = (self.timezone.value, self.params.value, self.name.value)
        await ask(interaction, Typed(self.pipeline, self.when.value, *given))


class Question(Flow):
    """Shows a job as it would be, and makes it when that is confirmed."""

    undone = "Nothing was scheduled."

    def __init__(self, interaction: discord.Interaction[Pipecall], shown: Plan) -> None:
        """`interaction` is answered with this question."""
        super().__init__(interaction)
        self.shown = shown

    @ui.button(label="Confirm", style=discord.ButtonStyle.success)
    async def yes(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Make the job and tell everybody; rights, rules and time are looked at anew."""
        self.stop()
        view = await _pipeline(interaction, self.shown.pipeline)
        now = hold(interaction, view, self.shown.typed, self.shown.understood)
        async with Answer(interaction, ephemeral=False) as answer:
            row = await interaction.client.verbs.schedule(
                asked(interaction),
                now.pipeline,
                now.understood.spec,
                timezone=now.understood.zone,
                params=now.params,
                name=now.name,
            )
            await answer.send(_told(interaction, row), view=made(row))
        await self.close(f"📅 **{job_text.name(row.id)}** is scheduled.")

    @ui.button(label="Cancel", style=discord.ButtonStyle.secondary)
    async def no(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Make nothing."""
        await self.close("Nothing was scheduled.", interaction)


async def ask(interaction: discord.Interaction[Pipecall], typed: Typed) -> None:
    """Show somebody the job that they want, and ask whether it is meant; nothing changes before they say so.

    Raises:
        Denied: they may not.
        UserError, BadParameter: see `job_plan.plan`.
    """
    view = await _pipeline(interaction, typed.pipeline)
    shown = plan(interaction, view, typed)
    async with Answer(interaction) as answer:
        await answer.send(preview(interaction.client, shown), view=Question(interaction, shown))


async def _pipeline(interaction: discord.Interaction[Pipecall], typed: str) -> PipelineView:
    view = resolve.pipeline(interaction.client, interaction, typed)
    await check(interaction, Verb.SCHEDULE, view.name)
    return view


def _told(interaction: discord.Interaction[Any], row: ScheduleRow) -> str:
    params = job_text.given(row.params, interaction.client.redactor, 300)
    with_params = f" with {params}" if params else ""
    when = f"{job_text.words(row)}; {job_text.due(row)}"
    return f"📅 <@{interaction.user.id}> scheduled {job_text.titled(row)}{with_params}: {when}."


def add(bot: Pipecall) -> None:
    """Add the command and the button."""

    @bot.tree.command(description="Make a job: run a pipeline at times of your choice; shows them first")
    @app_commands.describe(
        pipeline="Which pipeline; choose one",
        when="Such as: every weekday at 09:00, in 20 minutes, tomorrow at 8, 0 9 * * 1-5",
        timezone="The time zone of that; the scheduler's if left out",
        params="Parameters of its runs, such as: region=eu note='two words'",
        name="The name of the job; made from the pipeline's if left out",
    )
    @app_commands.autocomplete(
        pipeline=resolve.complete_pipeline, when=resolve.complete_when, timezone=resolve.complete_timezone
    )
    async def schedule(
        interaction: discord.Interaction[Pipecall],
        pipeline: str,
        when: app_commands.Range[str, 1, LONGEST_WHEN],
        timezone: str | None = None,
        params: app_commands.Range[str, 1, 1000] | None = None,
        name: app_commands.Range[str, 1, 80] | None = None,
    ) -> None:
        await ask(interaction, Typed(pipeline, when, timezone, params, name))

    bot.add_dynamic_items(ScheduleButton)
