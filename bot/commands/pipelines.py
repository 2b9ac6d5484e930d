"""`/pipelines`: what there is to run, what it is for and how it went, with buttons that run and schedule each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import resolve, texts
from bot.asking import Answer, actor_of, check
from bot.commands.run import open_form, run_typed
from bot.commands.schedule import ScheduleButton
from bot.job_keys import KEY
from bot.matching import matching
from bot.pages import PAGE, Page, page_of, turning
from bot.parameter_form import missing
from bot.pressing import Pressable
from bot.safe_text import inline_cut, plain
from pipelines import PipelineView, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

PER_PAGE = 8
"""One message has at most 40 components; a text with two buttons is four of them."""

LONGEST_QUERY = 60
WORDS_SHOWN = 2
"""So many of a pipeline's schedules are named."""


class RunButton(Pressable, template=rf"p1:run:{KEY}"):
    """Runs a pipeline as `/run` does: it asks first, or for parameters, where that is needed."""

    def __init__(self, key: str) -> None:
        """`key` is the pipeline's name, which is short enough for a button."""
        super().__init__(ui.Button(label="Run", style=discord.ButtonStyle.primary, custom_id=f"p1:run:{key}"))
        self.key = key

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Run it."""
        view = resolve.pipeline(interaction.client, interaction, self.key)
        await check(interaction, Verb.RUN, view.name)
        if missing(view.definition, {}):
            await open_form(interaction, view.name, {})
        else:
            await run_typed(interaction, view.name, {})


class PipelinesPage(Pressable, template=rf"(?s:p1:pipelines:{PAGE}:(?P<query>.*))"):
    """Shows a page of the list as it is now, in place of the one that is shown."""

    def __init__(self, page: str | int, query: str, label: str = "↻", disabled: bool = False) -> None:
        """Lead to a page, which counts from 0."""
        custom_id = f"p1:pipelines:{page}:{query}"
        button: ui.Button[Any] = ui.Button(
            label=label, style=discord.ButtonStyle.secondary, custom_id=custom_id, disabled=disabled
        )
        super().__init__(button)
        self.page, self.query = int(page), query

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Show it."""
        view = await listed(interaction, self.query, self.page)
        await interaction.response.edit_message(view=view, allowed_mentions=discord.AllowedMentions.none())


def add(bot: Pipecall) -> None:
    """Add the command and its buttons."""

    @bot.tree.command(description="List the pipelines: what they are for, how they went, when they are due")
    @app_commands.describe(query="Only those whose name or description has this")
    async def pipelines(
        interaction: discord.Interaction[Pipecall], query: app_commands.Range[str, 1, LONGEST_QUERY] | None = None
    ) -> None:
        async with Answer(interaction) as answer:
            await answer.send(view=await listed(interaction, " ".join(plain(query or "").split())[:LONGEST_QUERY], 0))

    bot.add_dynamic_items(RunButton, PipelinesPage)


async def listed(interaction: discord.Interaction[Pipecall], query: str, number: int) -> ui.LayoutView:
    """Return a page of the pipelines that this person may see; those whose name fits `query` come first.

    Raises:
        Denied: they may see nothing at all.
    """
    bot, actor = interaction.client, actor_of(interaction)
    visible = bot.verbs.within(actor, Verb.VIEW, bot.scheduler.catalog.pipelines)
    seen = {view.name: view for view in bot.overview.pipelines() if view.name in visible}
    if not seen:
        await check(interaction, Verb.VIEW)
    page = page_of(_like(query, seen), number, PER_PAGE)
    layout = ui.LayoutView(timeout=None)
    colour = texts.RED if any(view.failing for view in page.items) else texts.GREEN
    layout.add_item(ui.Container(*_parts(interaction, page, query), accent_colour=colour))
    return layout


def _like(query: str, seen: Mapping[str, PipelineView]) -> list[PipelineView]:
    if not query:
        return list(seen.values())
    described = [name for name, view in seen.items() if query.casefold() in view.definition.description.casefold()]
    return [seen[name] for name in dict.fromkeys([*matching(query, list(seen)), *described])]


def _parts(interaction: discord.Interaction[Pipecall], page: Page[PipelineView], query: str) -> list[ui.Item[Any]]:
    row = turning(page, lambda at, label, off: PipelinesPage(at, query, label, off))
    of = f", like “{inline_cut(query, LONGEST_QUERY * 2)}”" if query else ""
    if not page.total:
        every = interaction.client.mention("pipelines", interaction.guild_id)
        return [ui.TextDisplay(f"There is no pipeline{of}. {every} without a query lists all."), row]
    parts: list[ui.Item[Any]] = [ui.TextDisplay(f"### Pipelines: {page.total}{of}")]
    for view in page.items:
        parts += [ui.TextDisplay(_text(view)), ui.ActionRow(RunButton(view.name), ScheduleButton(view.name))]
    return [*parts, row]


def _text(view: PipelineView) -> str:
    """Return up to three lines of at most about 450 characters, so that eight of them fit into one message."""
    lines = [f"{_emoji(view)} **{inline_cut(view.name, 80)}**{_last(view)}"]
    if view.definition.description:
        lines.append(inline_cut(view.definition.description, 150))
    return "\n".join([*lines, f"-# {_due(view)}"])


def _emoji(view: PipelineView) -> str:
    if not view.definition.enabled:
        return "🚫"
    if view.running:
        return "⏳"
    return texts.look(view.last.state).emoji if view.last is not None else "🕓"


def _last(view: PipelineView) -> str:
    goes_on = f" · running #{view.running[-1]}" if view.running else ""
    queued = f" · {view.queued} queued" if view.queued else ""
    if view.last is None:
        return f"{goes_on}{queued}" or " · not run yet"
    when = view.last.ended_at or view.last.queued_at
    return f"{goes_on}{queued} · {texts.look(view.last.state).word} {texts.ago(when)}"


def _due(view: PipelineView) -> str:
    if not view.definition.enabled:
        return "switched off in the pipelines file"
    if not view.jobs:
        return "no job: it runs when somebody runs it"
    words = "; ".join(job.row.words for job in view.jobs[:WORDS_SHOWN])
    more = f" and {len(view.jobs) - WORDS_SHOWN} more" if len(view.jobs) > WORDS_SHOWN else ""
    due = f" · next {texts.ago(view.next_due_at)}" if view.next_due_at else " · not due"
    return f"{inline_cut(words, 100)}{more}{due}"
