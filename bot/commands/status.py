"""`/status`: on one screen whether all is well, what goes on, what fails, what is due, and what waits to be told.

Admins have a button there that sends again what was refused for good.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import discord
import psutil
from discord import ui

from bot import job_text, texts
from bot.asking import Answer, actor_of, asked, check
from bot.pressing import Pressable
from bot.safe_text import inline_cut
from pipelines import JobView, Machines, PipelineView, Process, Queue, Run, RunState, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

SHOWN, NAME = 5, 60
"""So many of each kind are named, in so many characters each."""

LOOKED_AT = 100
"""So many messages that were refused are counted; more are not worth knowing exactly."""


class RedeliverButton(Pressable, template=r"p1:redeliver:all"):
    """Sends all messages again that were refused for good."""

    def __init__(self) -> None:
        """Make the button."""
        super().__init__(ui.Button(label="Send again", custom_id="p1:redeliver:all"))

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Send them, and tell everybody."""
        async with Answer(interaction, ephemeral=False) as answer:
            count = await interaction.client.verbs.redeliver(asked(interaction))
            what = job_text.several(count, "refused message")
            await answer.send(f"📨 <@{interaction.user.id}> had {what} sent again.")


def add(bot: Pipecall) -> None:
    """Add the command and its button."""

    @bot.tree.command(description="Is all well? What runs, what fails, what is due next")
    async def status(interaction: discord.Interaction[Pipecall]) -> None:
        async with Answer(interaction) as answer:
            await answer.send(view=await screen(interaction))

    bot.add_dynamic_items(RedeliverButton)


async def screen(interaction: discord.Interaction[Pipecall]) -> ui.LayoutView:
    """Return the screen as this person may see it.

    Raises:
        Denied: they may see nothing at all.
    """
    bot, actor = interaction.client, actor_of(interaction)
    health = await bot.scheduler.health()
    seen = bot.verbs.within(actor, Verb.VIEW, bot.scheduler.catalog.pipelines)
    if not seen:
        await check(interaction, Verb.VIEW)
    runs = [run for run in bot.overview.live_runs() if run.pipeline in seen]
    jobs = [view for view in bot.overview.jobs() if view.row.pipeline in seen and view.row.next_due_at is not None]
    failing = [view for view in bot.overview.pipelines() if view.failing and view.name in seen]
    refused = [each.error for each in await bot.reads.undeliverable(LOOKED_AT)]
    blocks = [
        _health(
            health.status, health.complaints, f"{health.running} of {health.slots} running, {health.queued} queued"
        ),
        *_machines(bot.reads.seen()),
        _runs(runs),
        _failing(failing, bot.mention("jobs", interaction.guild_id)),
        _due(jobs),
        _messages(bot, refused),
        _self(bot),
    ]
    colour = texts.RED if health.faults else texts.YELLOW if failing or health.complaints else texts.GREEN
    parts: list[ui.Item[Any]] = [ui.TextDisplay(block) for block in blocks]
    if refused and bot.verbs.may(actor, Verb.REDELIVER).allowed:
        parts.append(ui.ActionRow(RedeliverButton()))
    layout = ui.LayoutView(timeout=None)
    layout.add_item(ui.Container(*parts, accent_colour=colour))
    return layout


def _health(status: str, complaints: Sequence[str], counts: str) -> str:
    emoji = {"ok": "✅", "down": "❌"}.get(status, "⚠️")
    return "\n".join([f"### {emoji} {status} · {counts}", *(f"- {inline_cut(each, 160)}" for each in complaints)])


def _machines(machines: Machines | None) -> Iterable[str]:
    """Say who takes part, and which queues wait, where that is more than one process."""
    if machines is None or not machines.many:
        return
    silent, waiting = machines.silent, [each for each in machines.queues if each.waiting]
    lines = [inline_cut(str(machines), 200), *map(_silent, silent[:SHOWN]), *map(_queue, waiting[:SHOWN])]
    yield _block("Machines", lines, 1 + len(silent) + len(waiting), "")


def _silent(process: Process) -> str:
    where = inline_cut(f"{process.role} on {process.host}, pid {process.pid}", NAME)
    return f"⚠️ {where}: silent since {texts.ago(process.beat_at)}"


def _queue(queue: Queue) -> str:
    served = "**nobody serves it**" if queue.unserved else f"served by {len(queue.servers)}"
    since = texts.ago(queue.waiting_since) if queue.waiting_since is not None else ""
    return f"queue **{inline_cut(queue.name, NAME)}**: {queue.waiting:,} wait, the oldest since {since}, {served}"


def _runs(runs: Sequence[Run]) -> str:
    going = [run for run in runs if run.state is not RunState.QUEUED]
    lines = [_run(run) for run in (going or runs)[:SHOWN]]
    return _block("Going on", lines, len(runs), "nothing runs")


def _run(run: Run) -> str:
    shown = texts.look(run.state)
    return f"{shown} **{inline_cut(run.pipeline, NAME)}** #{run.id} {texts.ago(run.started_at or run.queued_at)}"


def _failing(views: Sequence[PipelineView], jobs: str) -> str:
    lines = [_failed(view.name, view.last) for view in views[:SHOWN] if view.last is not None]
    return _block("Failing", lines, len(views), f"nothing; {jobs} shows every job")


def _failed(name: str, last: Run) -> str:
    error = f": {inline_cut(str(last.error), 80)}" if last.error is not None else ""
    ago = texts.ago(last.ended_at or last.queued_at)
    return f"{texts.look(last.state)} **{inline_cut(name, NAME)}** #{last.id} {ago}{error}"


def _due(jobs: Sequence[JobView]) -> str:
    due = [(view.row.next_due_at, view.row.id) for view in jobs if view.row.next_due_at is not None]
    lines = [f"**{inline_cut(job_id, NAME)}** {texts.ago(at)}" for at, job_id in heapq.nsmallest(SHOWN, due)]
    return _block("Next", lines, len(jobs), "no job is due")


def _messages(bot: Pipecall, refused: Sequence[str | None]) -> str:
    """Say which messages wait, and how many were `refused` for good: the reasons, newest first."""
    waiting = [each for each in bot.scheduler.delivery.status() if each.waiting]
    lines = [
        f"📨 {each.waiting:,} for {_target(each.target)}: {inline_cut(each.state, 160)}" for each in waiting[:SHOWN]
    ]
    if refused:
        lines.append(
            f"💀 {len(refused)}{'+' if len(refused) == LOOKED_AT else ''} refused for good; "
            f"the last: {inline_cut(refused[0] or 'no reason is known', 120)}"
        )
    return _block("Messages", lines, len(waiting) + bool(refused), "none waits")


def _target(target: str) -> str:
    kind, _, address = target.partition(":")
    return f"<#{address}>" if kind == "discord" and address.isdigit() else inline_cut(target, NAME)


def _self(bot: Pipecall) -> str:
    latency = f", {bot.latency * 1000:.0f} ms away" if math.isfinite(bot.latency) else ""
    since = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    return f"-# Bot {'connected' if bot.up else 'connecting'}{latency} · service started {texts.ago(since)}"


def _block(title: str, lines: Iterable[str], total: int, nothing: str) -> str:
    shown = list(lines)
    more = [f"… and {total - len(shown)} more"] if shown and total > len(shown) else []
    return "\n".join([f"**{title}**" + ("" if shown else f": {nothing}"), *shown, *more])
