"""`/missed`: when jobs were due and did not run, and why: nothing that was due is lost without a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import job_text, resolve, texts
from bot.asking import Answer, actor_of, check
from bot.job_keys import key_of
from bot.lengths import cut
from bot.pages import PAGE, Page, page_of, turning
from bot.pressing import Pressable
from bot.safe_text import inline_cut
from pipelines import Occurrence, OccurrenceOutcome, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

LIMIT = 100
"""So many instants are looked at, the latest."""
PER_PAGE = 10
LONGEST_NAME = 80
LONGEST_WHY = 150
MARKS = {OccurrenceOutcome.MISSED: "🕳️ missed", OccurrenceOutcome.SKIPPED: "⏭️ skipped"}


class MissedPage(Pressable, template=rf"p1:missing:{PAGE}:(?P<key>[A-Za-z0-9._~-]{{0,80}})"):
    """Shows a page of the list as it is now, in place of the one that is shown."""

    def __init__(self, page: str | int, key: str, label: str = "↻", disabled: bool = False) -> None:
        """Lead to a page, which counts from 0, of a job by its key; an empty key means all."""
        button: ui.Button[Any] = ui.Button(label=label, custom_id=f"p1:missing:{page}:{key}", disabled=disabled)
        super().__init__(button)
        self.page, self.key = int(page), key

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Show it; that a job is gone does not take its past away."""
        await interaction.response.defer()
        view = await listed(interaction, _named(interaction.client, self.key), self.page)
        await interaction.edit_original_response(view=view, allowed_mentions=discord.AllowedMentions.none())


def add(bot: Pipecall) -> None:
    """Add the command and its buttons."""

    @bot.tree.command(description="List when jobs were due and did not run, and why")
    @app_commands.describe(job="Of which job; all where none is given")
    @app_commands.autocomplete(job=resolve.complete_job)
    async def missed(interaction: discord.Interaction[Pipecall], job: str | None = None) -> None:
        view = resolve.job(bot, interaction, job) if job else None
        await check(interaction, Verb.VIEW, view.row.pipeline if view is not None else None)
        async with Answer(interaction) as answer:
            await answer.send(view=await listed(interaction, view.row.id if view is not None else None, 0))

    bot.add_dynamic_items(MissedPage)


async def listed(interaction: discord.Interaction[Pipecall], job_id: str | None, number: int) -> ui.LayoutView:
    """Return a page of what did not run, as the one who asks may see it.

    Raises:
        StoreError: the store cannot be read.
    """
    bot, actor = interaction.client, actor_of(interaction)
    found = await bot.reads.ledger(job_id, LIMIT)
    visible = bot.verbs.within(actor, Verb.VIEW, {pipeline for _, pipeline in found})
    page = page_of([each for each, pipeline in found if pipeline in visible], number, PER_PAGE)
    key = key_of(job_id) if job_id is not None else ""
    body = "\n".join(bot.redactor.text(each) for each in lines(page, job_id))
    text: ui.TextDisplay[Any] = ui.TextDisplay(cut(body, 3900))
    turn = turning(page, lambda at, label, off: MissedPage(at, key, label, off))
    layout = ui.LayoutView(timeout=None)
    layout.add_item(ui.Container(text, ui.Separator(), turn))
    return layout


def lines(page: Page[Occurrence], job_id: str | None) -> Iterator[str]:
    """Yield the lines of a page: each at most about 340 characters, whatever names and reasons hold. Pure."""
    title = inline_cut(job_id, LONGEST_NAME) if job_id is not None else "all jobs"
    if not page.total:
        yield f"**{title}** · ✅ Nothing was missed or skipped."
        return
    last = "the last " if page.total >= LIMIT else ""
    yield f"**{title}** · {last}{job_text.several(page.total, 'instant')} without a run"
    for each in page.items:
        yield " · ".join(_parts(each, named=job_id is None))


def _parts(each: Occurrence, *, named: bool) -> Sequence[str]:
    parts = [MARKS.get(each.outcome, each.outcome.value), f"{texts.at(each.due_at)} ({texts.ago(each.due_at)})"]
    if named:
        parts.append(inline_cut(each.schedule_id, LONGEST_NAME))
    return [*parts, inline_cut(each.reason, LONGEST_WHY)] if each.reason else parts


def _named(bot: Pipecall, key: str) -> str | None:
    """Return the job of a key. A job that is gone is known by its key, unless that is a digest."""
    if not key.startswith("~"):
        return key or None
    return next((each for each in bot.scheduler.jobs.rows if key_of(each) == key), key)
