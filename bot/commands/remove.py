"""`/remove`: takes away a job that somebody made, after asking; for ten minutes it can be brought back.

Jobs of the pipelines file are taken out of the file. Here they can be paused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import job_text, resolve, texts
from bot.asking import Answer, asked, check
from bot.commands.pause import PauseButton
from bot.errors import UserError
from bot.job_keys import KEY, job_of, key_of
from bot.lengths import cut
from bot.offers import FILE
from bot.pressing import Flow, Pressable
from bot.safe_text import inline_cut, plain
from pipelines import JobView, ScheduleRow, ScheduleState, UnknownName, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

LABEL = 80


class RemoveButton(Pressable, template=rf"p1:remove:{KEY}"):
    """Removes a job, once the one who presses it has confirmed that."""

    def __init__(self, key: str) -> None:
        """`key` names the job, see `job_keys`."""
        super().__init__(ui.Button(label="Remove", style=discord.ButtonStyle.danger, custom_id=f"p1:remove:{key}"))
        self.key = key

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Ask whether that is meant."""
        await confirm(interaction, job_of(interaction, self.key))


class UndoButton(Pressable, template=rf"p1:undo:{KEY}"):
    """Brings back a job that was removed at most ten minutes ago."""

    def __init__(self, key: str) -> None:
        """`key` names the job, see `job_keys`."""
        super().__init__(ui.Button(label="Undo", style=discord.ButtonStyle.secondary, custom_id=f"p1:undo:{key}"))
        self.key = key

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Bring it back, in the open."""
        async with Answer(interaction, ephemeral=False) as answer:
            try:
                row = await self._restored(interaction)
            except UnknownName:
                there = interaction.client.overview.job(self.key) is not None
                what = "is there already." if there else "cannot be brought back any more."
                raise UserError(f"**{job_text.name(self.key)}** {what}") from None
            await answer.send(
                f"↩️ <@{interaction.user.id}> brought back {job_text.titled(row)}; {job_text.due(row)}.", view=made(row)
            )

    async def _restored(self, interaction: discord.Interaction[Pipecall]) -> ScheduleRow:
        bot = interaction.client
        removed = await bot.scheduler.jobs.removed(self.key)
        await check(interaction, Verb.SCHEDULE, removed.pipeline)
        return await bot.verbs.restore(asked(interaction), removed.id)


class Question(Flow):
    """Asks whether a job shall be removed."""

    undone = "Nothing changed."

    def __init__(self, interaction: discord.Interaction[Pipecall], row: ScheduleRow) -> None:
        """`interaction` is answered with this question about the job `row`."""
        super().__init__(interaction, timeout_s=60)
        self.row = row
        self.yes.label = cut(f"Remove {plain(row.id)}", LABEL)

    @ui.button(style=discord.ButtonStyle.danger)
    async def yes(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Remove it, in the open, if it is still what was asked about."""
        self.stop()
        view = interaction.client.overview.job(self.row.id)
        if view is None or (view.row.spec, view.row.created_at) != (self.row.spec, self.row.created_at):
            raise self._changed()
        await check(interaction, Verb.REMOVE, view.row.pipeline, view.row.actor_id)
        async with Answer(interaction, ephemeral=False) as answer:
            try:
                row = await interaction.client.verbs.remove(asked(interaction), view.row.id)
            except UnknownName:
                raise self._changed() from None
            undo = ui.View(timeout=None)
            undo.add_item(UndoButton(key_of(row.id)))
            await answer.send(
                f"🗑️ <@{interaction.user.id}> removed {job_text.titled(row)}: {job_text.words(row)}.", view=undo
            )
        await self.close(f"🗑️ **{job_text.name(row.id)}** is removed.")

    @ui.button(label="Keep", style=discord.ButtonStyle.secondary)
    async def no(self, interaction: discord.Interaction[Pipecall], _: ui.Button[Any]) -> None:
        """Leave it alone."""
        await self.close("Nothing changed; the job stays.", interaction)

    def _changed(self) -> UserError:
        return UserError(f"**{job_text.name(self.row.id)}** was changed or removed meanwhile.", "Look at it again.")


async def confirm(interaction: discord.Interaction[Pipecall], view: JobView) -> None:
    """Ask the one who wants to remove a job whether that is meant; nothing changes before they say so.

    Of a job of the pipelines file anybody who may see it is told that it is taken out of the file.

    Raises:
        Denied: they may not.
    """
    row = view.row
    if row.source == FILE:
        await check(interaction, Verb.VIEW, row.pipeline)
        async with Answer(interaction) as answer:
            await answer.send(**_stands_in_file(interaction.client, row))
        return
    await check(interaction, Verb.REMOVE, row.pipeline, row.actor_id)
    async with Answer(interaction) as answer:
        due = f" Next run {texts.ago(row.next_due_at)}." if row.next_due_at else ""
        stats = await interaction.client.reads.stats(row.pipeline)
        count = sum(each.executed + each.skipped + each.missed for each in stats)
        history = f" The history of **{job_text.name(row.pipeline)}** ({job_text.several(count, 'run')}) stays."
        await answer.send(
            f"Remove job {job_text.titled(row)}: {job_text.words(row)}?{due}{history}", view=Question(interaction, row)
        )


def _stands_in_file(bot: Pipecall, row: ScheduleRow) -> dict[str, Any]:
    file = inline_cut(bot.settings.pipelines_config.name, 100)
    text = f"{job_text.titled(row)} stands in the pipelines file: take its `schedule` out of `{file}` to remove it."
    if row.state is not ScheduleState.ACTIVE:
        return {"content": f"{text}\nIt is paused meanwhile."}
    view = ui.View(timeout=None)
    view.add_item(PauseButton(key_of(row.id)))
    return {"content": f"{text}\nMeanwhile it can be paused.", "view": view}


def add(bot: Pipecall) -> None:
    """Add the command and its buttons."""

    @bot.tree.command(description="Remove a job that was made in chat; asks first")
    @app_commands.describe(job="Which job")
    @app_commands.autocomplete(job=resolve.complete_job)
    async def remove(interaction: discord.Interaction[Pipecall], job: str) -> None:
        await confirm(interaction, resolve.job(bot, interaction, job))

    bot.add_dynamic_items(RemoveButton, UndoButton)


def made(row: ScheduleRow) -> ui.View:
    """Return the buttons below a job that was just made."""
    view = ui.View(timeout=None)
    view.add_item(RemoveButton(key_of(row.id)))
    view.add_item(PauseButton(key_of(row.id)))
    return view
