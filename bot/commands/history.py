"""`/history`: the last runs of a pipeline, or of all, ten to a page; its buttons know all they need from their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from statistics import median
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import resolve, texts
from bot.asking import Answer, actor_of, check
from bot.errors import UserError
from bot.pressing import Pressable
from bot.safe_text import inline_cut
from pipelines import Run, RunState, StartedBy, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

PAGE = 10
LIMIT = 20
"""Runs that are looked at when nobody says how many."""
LONGEST_NAME = 80
LONGEST_WHY = 120
BARS = "▁▂▃▄▅▆▇█"
STARTED = {StartedBy.SCHEDULE: "on schedule", StartedBy.STARTUP: "at start", StartedBy.MANUAL: "by hand"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at: a page (from 0) of the newest `limit` runs; None of a pipeline or a state means all."""

    pipeline: str | None
    state: RunState | None
    limit: int
    page: int = 0

    @property
    def custom_id(self) -> str:
        """The id of a button that shows this; names are in it by their digest, because they may be long."""
        state = self.state.value if self.state is not None else ""
        key = name_key(self.pipeline) if self.pipeline is not None else ""
        return f"p1:history:{self.page}:{self.limit}:{state}:{key}"


class HistoryButton(
    Pressable,
    template=r"p1:history:(?P<page>\d{1,2}):(?P<limit>\d{1,2}):(?P<state>[a-z_]*):(?P<key>[0-9a-f]{16})?",
):
    """Shows a page of the history, as it is when pressed."""

    def __init__(self, page: str, limit: str, state: str, key: str | None, label: str = "…") -> None:
        """Make the button anew from the parts of its id."""
        custom_id = f"p1:history:{page}:{limit}:{state}:{key or ''}"
        button: ui.Button[Any] = ui.Button(label=label, custom_id=custom_id)
        super().__init__(button)
        self.page, self.limit, self.state, self.key = int(page), int(limit), state, key or None

    @classmethod
    def to(cls, wanted: Wanted, label: str) -> HistoryButton:
        """Make the button that shows `wanted`."""
        _, _, page, limit, state, key = wanted.custom_id.split(":")
        return cls(page, limit, state, key, label)

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Show the page in place of the one that was shown."""
        bot = interaction.client
        names = bot.scheduler.catalog.pipelines if self.key is not None else ()
        name = next((name for name in names if name_key(name) == self.key), None)
        if self.key is not None and name is None:
            raise UserError("That pipeline is gone.", f"{bot.mention('pipelines')} lists those there are.")
        state = RunState(self.state) if self.state in set(RunState) else None
        wanted = Wanted(name, state, max(1, min(self.limit, 50)), self.page)
        await check(interaction, Verb.VIEW, name)
        await interaction.response.defer()
        page = await view(interaction, wanted)
        await interaction.edit_original_response(view=page, allowed_mentions=discord.AllowedMentions.none())


def add(bot: Pipecall) -> None:
    """Add the command and its buttons."""

    @bot.tree.command(description="Show the last runs of a pipeline, or of all")
    @app_commands.describe(
        pipeline="Of which pipeline; all where none is given",
        state="Only runs in this state",
        limit="So many runs at most, the newest (20)",
    )
    @app_commands.choices(
        state=[app_commands.Choice(name=str(texts.look(state)), value=state.value) for state in RunState]
    )
    @app_commands.autocomplete(pipeline=resolve.complete_pipeline)
    async def history(
        interaction: discord.Interaction[Pipecall],
        pipeline: str | None = None,
        state: str | None = None,
        limit: app_commands.Range[int, 1, 50] = LIMIT,
    ) -> None:
        name = resolve.pipeline(bot, interaction, pipeline).name if pipeline else None
        await check(interaction, Verb.VIEW, name)
        async with Answer(interaction) as answer:
            wanted = Wanted(name, RunState(state) if state else None, limit)
            await answer.send(view=await view(interaction, wanted))

    bot.add_dynamic_items(HistoryButton)


async def view(interaction: discord.Interaction[Pipecall], wanted: Wanted) -> ui.LayoutView:
    """Return a page of the history, as the one who asks may see it, to be sent once.

    Raises:
        StoreError: the store cannot be read.
    """
    bot, actor = interaction.client, actor_of(interaction)
    found = await bot.reads.runs(pipeline=wanted.pipeline, state=wanted.state, limit=wanted.limit)
    runs = [run for run in found if bot.verbs.may(actor, Verb.VIEW, run.pipeline).allowed]
    pages = max(1, -(-len(runs) // PAGE))
    wanted = replace(wanted, page=min(wanted.page, pages - 1))
    body = "\n".join(bot.redactor.text(each) for each in _lines(wanted, runs))
    if not runs:
        body += f"\nNothing has run{' like that' if wanted.state else ''} yet. {bot.mention('run')} starts something."
    text: ui.TextDisplay[Any] = ui.TextDisplay(body)
    page = ui.LayoutView(timeout=None)
    page.add_item(ui.Container(text, ui.Separator(), ui.ActionRow(*_buttons(wanted, pages))))
    return page


def name_key(pipeline: str) -> str:
    """Return 16 hex digits that stand for a pipeline's name."""
    return blake2b(pipeline.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def sparkline(durations_s: Sequence[float]) -> str:
    """Return durations as a row of bars, from the shortest to the longest: `▁▃█`."""
    low, high = min(durations_s, default=0.0), max(durations_s, default=0.0)
    step = (high - low) / (len(BARS) - 1)
    return "".join(BARS[round((each - low) / step)] if step else BARS[len(BARS) // 2] for each in durations_s)


def _buttons(wanted: Wanted, pages: int) -> Iterator[HistoryButton]:
    if wanted.page > 0:
        yield HistoryButton.to(replace(wanted, page=wanted.page - 1), "‹ newer")
    yield HistoryButton.to(wanted, f"↻ {wanted.page + 1}/{pages}")
    if wanted.page + 1 < pages:
        yield HistoryButton.to(replace(wanted, page=wanted.page + 1), "older ›")


def _lines(wanted: Wanted, runs: Sequence[Run]) -> Iterator[str]:
    title = inline_cut(wanted.pipeline, LONGEST_NAME) if wanted.pipeline is not None else "all pipelines"
    only = f" · {texts.look(wanted.state)}" if wanted.state is not None else ""
    yield f"**{title}** · last {len(runs)} run{'' if len(runs) == 1 else 's'}{only}"
    good = [run.duration.total_seconds() for run in reversed(runs) if run.duration and run.state is RunState.SUCCEEDED]
    if wanted.pipeline is not None and len(good) > 1:
        yield f"{sparkline(good)} median {texts.seconds(median(good))}, longest {texts.seconds(max(good))}"
    for run in runs[wanted.page * PAGE : (wanted.page + 1) * PAGE]:
        yield " · ".join(_parts(run, named=wanted.pipeline is None))


def _parts(run: Run, *, named: bool) -> Iterator[str]:
    yield f"{texts.look(run.state)} **#{run.id}**"
    if named:
        yield inline_cut(run.pipeline, LONGEST_NAME)
    yield texts.ago(run.started_at or run.queued_at)
    if run.duration is not None:
        yield texts.seconds(run.duration.total_seconds())
    if run.items_in or run.items_out:
        yield f"{run.items_in:,} in, {run.items_out:,} out"
    yield f"by {inline_cut(run.actor, LONGEST_NAME)}" if run.actor else STARTED[run.started_by]
    why = str(run.error) if run.error is not None else run.reason
    if why and run.state is not RunState.SUCCEEDED:
        yield inline_cut(why, LONGEST_WHY)
