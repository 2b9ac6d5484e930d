"""`/jobs`: all jobs with their times, last runs and pauses, ten to a page, and a button to pause or resume each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import discord
from discord import app_commands, ui

from bot import job_text, texts
from bot.asking import Answer, actor_of, check
from bot.commands.pause import PauseButton, ResumeButton
from bot.job_keys import key_of
from bot.offers import FILE, failing
from bot.pages import PAGE, Page, page_of, turning
from bot.pressing import Pressable
from bot.safe_text import inline_cut
from pipelines import JobView, ScheduleRow, ScheduleState, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

Filter = Literal["all", "failing", "paused", "mine"]

PER_PAGE = 10
"""One message has at most 40 components; a row with a button is three of them."""


class JobsPage(Pressable, template=rf"p1:jobs:{PAGE}:(?P<which>all|failing|paused|mine)"):
    """Shows a page of the list as it is now, in place of the one that is shown."""

    def __init__(self, page: str | int, which: Filter, label: str = "↻", disabled: bool = False) -> None:
        """Lead to a page, which counts from 0."""
        custom_id = f"p1:jobs:{page}:{which}"
        button: ui.Button[Any] = ui.Button(
            label=label, style=discord.ButtonStyle.secondary, custom_id=custom_id, disabled=disabled
        )
        super().__init__(button)
        self.page, self.which = int(page), which

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Show it."""
        view = await listed(interaction, self.which, self.page)
        await interaction.response.edit_message(view=view, allowed_mentions=discord.AllowedMentions.none())


def add(bot: Pipecall) -> None:
    """Add the command and its buttons."""

    @bot.tree.command(description="List the jobs: when each is due, how it went, what is paused")
    @app_commands.rename(which="filter")
    @app_commands.describe(which="Only some of them")
    async def jobs(interaction: discord.Interaction[Pipecall], which: Filter = "all") -> None:
        async with Answer(interaction) as answer:
            await answer.send(view=await listed(interaction, which, 0))

    bot.add_dynamic_items(JobsPage)


async def listed(interaction: discord.Interaction[Pipecall], which: Filter, number: int) -> ui.LayoutView:
    """Return a page of the jobs that this person may see.

    Raises:
        Denied: they may see nothing at all.
    """
    bot, actor = interaction.client, actor_of(interaction)
    jobs, pipelines = bot.overview.jobs(), bot.scheduler.catalog.pipelines
    visible = bot.verbs.within(actor, Verb.VIEW, {*pipelines, *(view.row.pipeline for view in jobs)})
    seen = [view for view in jobs if view.row.pipeline in visible]
    if visible.isdisjoint(pipelines):
        await check(interaction, Verb.VIEW)
    wanted = [view for view in seen if _wanted(view, which, actor.id)]
    page = page_of(wanted, number, PER_PAGE)
    layout = ui.LayoutView(timeout=None)
    layout.add_item(ui.Container(*_parts(interaction, page, which), accent_colour=_colour(wanted)))
    return layout


def _wanted(view: JobView, which: Filter, actor_id: str) -> bool:
    match which:
        case "failing":
            return failing(view)
        case "paused":
            return view.row.state is ScheduleState.PAUSED
        case "mine":
            return view.row.actor_id == actor_id
    return True


def _colour(shown: list[JobView]) -> int:
    if any(map(failing, shown)):
        return texts.RED
    return texts.YELLOW if any(view.row.state is ScheduleState.PAUSED for view in shown) else texts.GREEN


def _parts(interaction: discord.Interaction[Pipecall], page: Page[JobView], which: Filter) -> list[ui.Item[Any]]:
    row = turning(page, lambda at, label, off: JobsPage(at, which, label, off))
    if not page.total:
        return [ui.TextDisplay(_nothing(interaction, which)), row]
    of = "" if which == "all" else f", {which}"
    parts: list[ui.Item[Any]] = [ui.TextDisplay(f"### Jobs: {page.total}{of}")]
    for view in page.items:
        button = ResumeButton if view.row.state is ScheduleState.PAUSED else PauseButton
        parts.append(ui.Section(_row(view), accessory=button(key_of(view.row.id))))
    return [*parts, row]


def _nothing(interaction: discord.Interaction[Pipecall], which: Filter) -> str:
    bot, guild = interaction.client, interaction.guild_id
    make = f"{bot.mention('schedule', guild)} makes one."
    match which:
        case "failing":
            return "✅ No job is failing."
        case "paused":
            return f"▶️ No job is paused. {bot.mention('pause', guild)} pauses one."
        case "mine":
            return f"You have made no job. {make}"
    return f"There is no job yet. {make} Or give a pipeline a `schedule` in the pipelines file."


def _row(view: JobView) -> str:
    """Return three lines of at most about 380 characters, so that ten of them fit into one message."""
    row = view.row
    of = f" · {inline_cut(row.pipeline, 40)}" if row.pipeline != row.id else ""
    return "\n".join(
        [
            f"{_emoji(view)} **{inline_cut(row.id, 50)}**{of}{_last(view)}",
            f"{inline_cut(row.words, 70)} ({inline_cut(row.timezone, 40)})",
            f"-# {_stands(view)} · {_source(row)}",
        ]
    )


def _emoji(view: JobView) -> str:
    if view.row.state is ScheduleState.PAUSED:
        return "⏸️"
    return texts.look(view.last.state).emoji if view.last is not None else "🕓"


def _last(view: JobView) -> str:
    if view.last is None:
        return " · not run yet"
    when = view.last.ended_at or view.last.started_at or view.last.queued_at
    return f" · {texts.look(view.last.state).word} {texts.ago(when)}"


def _stands(view: JobView) -> str:
    row = view.row
    if not view.pipeline_known:
        return "its pipeline is gone from the file"
    if row.state is ScheduleState.PAUSED:
        until = f" until {texts.ago(row.paused_until)}" if row.paused_until else ""
        return f"paused{until}" + (f": {inline_cut(row.pause_reason, 50)}" if row.pause_reason else "")
    return job_text.due(row)


def _source(row: ScheduleRow) -> str:
    by = f" by {inline_cut(row.actor, 30)}" if row.actor else ""
    return f"in the {FILE}" if row.source == FILE else f"made in {inline_cut(row.source, 10)}{by}"
