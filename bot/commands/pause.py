"""`/pause` and `/resume`: one job, or for admins all of them; what is done is told in the open, with the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands, ui

from bot import job_text, moments, resolve, texts
from bot.asking import Answer, actor_of, asked, check, record_denial, wrong_channel
from bot.errors import UserError
from bot.job_keys import KEY, job_of, key_of
from bot.offers import ALL
from bot.pressing import Form, Pressable
from bot.safe_text import inline_cut
from pipelines import Denied, InvalidTransition, JobView, Role, ScheduleRow, ScheduleState, UnknownName, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

NAMED, SHORT_NAME = 10, 60
"""So many jobs are named where all were paused or resumed, in so many characters each."""


class PauseButton(Pressable, template=rf"p1:pause:{KEY}"):
    """Pauses a job until somebody resumes it."""

    def __init__(self, key: str) -> None:
        """`key` names the job, see `job_keys`."""
        super().__init__(ui.Button(label="Pause", style=discord.ButtonStyle.secondary, custom_id=f"p1:pause:{key}"))
        self.key = key

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Pause it."""
        await pause_job(interaction, job_of(interaction, self.key))


class ResumeButton(Pressable, template=rf"p1:resume:{KEY}"):
    """Resumes a paused job."""

    def __init__(self, key: str) -> None:
        """`key` names the job, see `job_keys`."""
        super().__init__(ui.Button(label="Resume", style=discord.ButtonStyle.success, custom_id=f"p1:resume:{key}"))
        self.key = key

    async def pressed(self, interaction: discord.Interaction[Pipecall]) -> None:
        """Resume it."""
        await resume_job(interaction, job_of(interaction, self.key))


async def pause_job(
    interaction: discord.Interaction[Pipecall],
    view: JobView,
    *,
    until: datetime | None = None,
    reason: str | None = None,
) -> None:
    """Pause a job and tell everybody; `until` is when it resumes itself (UTC).

    Raises:
        Denied: this person may not.
        UserError: it is paused already, and nothing about that would change.
    """
    await check(interaction, Verb.PAUSE, view.row.pipeline)
    if view.row.state is ScheduleState.PAUSED and until is None and reason is None:
        hint = f"{interaction.client.mention('resume', interaction.guild_id)} lets it go on."
        raise UserError(f"**{job_text.name(view.row.id)}** is paused already{job_text.pause(view.row)}.", hint)
    async with Answer(interaction, ephemeral=False) as answer:
        row = await interaction.client.verbs.pause(asked(interaction), view.row.id, until=until, reason=reason)
        await answer.send(
            f"⏸️ {_who(interaction)} paused {job_text.titled(row)}{job_text.pause(row)}.", view=_one(ResumeButton, row)
        )


async def resume_job(interaction: discord.Interaction[Pipecall], view: JobView) -> None:
    """Resume a paused job and tell everybody.

    Raises:
        Denied: this person may not.
        UserError: it is not paused.
    """
    await check(interaction, Verb.RESUME, view.row.pipeline)
    if view.row.state is not ScheduleState.PAUSED:
        raise UserError(f"**{job_text.name(view.row.id)}** is not paused; {job_text.due(view.row)}.")
    async with Answer(interaction, ephemeral=False) as answer:
        row = await interaction.client.verbs.resume(asked(interaction), view.row.id)
        await answer.send(
            f"▶️ {_who(interaction)} resumed {job_text.titled(row)}; {job_text.due(row)}.", view=_one(PauseButton, row)
        )


class EveryJob(Form, title="Every job"):
    """Asks whether really every job shall be paused or resumed."""

    def __init__(self, verb: Verb, jobs: Sequence[JobView], *, until: datetime | None, reason: str | None) -> None:
        """`jobs` are those that would change; `until` and `reason` go with a pause."""
        super().__init__(title=f"{verb.capitalize()} every job")
        self.verb, self.until, self.reason = verb, until, reason
        self.count = len(jobs)
        what = "stop" if verb is Verb.PAUSE else "go on"
        self.sure = ui.Checkbox["EveryJob"](custom_id="sure")
        self.add_item(ui.Label(text=f"I understand: {job_text.several(self.count, 'job')} {what}", component=self.sure))

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        """Do it, if that was ticked and is still what it was."""
        if not self.sure.value:
            raise UserError("Nothing changed: the box was not ticked.")
        jobs = await changeable(interaction, self.verb)
        if len(jobs) != self.count:
            now = job_text.several(len(jobs), "job")
            raise UserError(f"Nothing changed: it would be {now} now, not {self.count}.", "Ask again.")
        async with Answer(interaction, ephemeral=False) as answer:
            done = await self._change(interaction, jobs)
            count = job_text.several(len(done), "job")
            names = ", ".join(inline_cut(each, SHORT_NAME) for each in done[:NAMED]) + (
                " …" if len(done) > NAMED else ""
            )
            if self.verb is Verb.PAUSE:
                until = f" until {texts.at(self.until)}" if self.until else ""
                because = f": {inline_cut(self.reason, job_text.REASON)}" if self.reason else ""
                back = f"\n{interaction.client.mention('resume', interaction.guild_id)} `all` lets them go on."
                await answer.send(f"⏸️ {_who(interaction)} paused {count}{until}{because}\n{names}{back}")
            else:
                await answer.send(f"▶️ {_who(interaction)} resumed {count}\n{names}")

    async def _change(self, interaction: discord.Interaction[Pipecall], jobs: Sequence[JobView]) -> list[str]:
        """Change one after the other; a job that somebody else changed meanwhile is left out."""
        verbs, request = interaction.client.verbs, asked(interaction)
        done = []
        for view in jobs:
            job_id = view.row.id
            each = replace(request, request_id=f"{request.request_id}:{job_id}")
            try:
                if self.verb is Verb.PAUSE:
                    await verbs.pause(each, job_id, until=self.until, reason=self.reason)
                else:
                    await verbs.resume(each, job_id)
            except (UnknownName, InvalidTransition):
                continue
            done.append(job_id)
        return done


async def changeable(interaction: discord.Interaction[Pipecall], verb: Verb) -> list[JobView]:
    """Return the jobs that `/pause all` or `/resume all` changes.

    Raises:
        Denied: this person is no admin.
    """
    bot, actor = interaction.client, actor_of(interaction)
    await check(interaction, verb)
    if bot.verbs.may(actor, verb).role is not Role.ADMIN:
        missing = "only admins may do that to every job at once; name one job"
        await record_denial(interaction, verb, ALL, missing)
        raise Denied(verb.value, "every job", missing)
    state = ScheduleState.ACTIVE if verb is Verb.PAUSE else ScheduleState.PAUSED
    jobs = [view for view in bot.overview.jobs() if view.row.state is state]
    may = bot.verbs.within(actor, verb, {view.row.pipeline for view in jobs})
    here = {pipeline for pipeline in may if not wrong_channel(interaction, pipeline)}
    return [view for view in jobs if view.row.pipeline in here]


async def _every(
    interaction: discord.Interaction[Pipecall], verb: Verb, until: datetime | None = None, reason: str | None = None
) -> None:
    jobs = await changeable(interaction, verb)
    if not jobs:
        raise UserError(
            f"There is no job to {verb}.", f"{interaction.client.mention('jobs', interaction.guild_id)} lists them."
        )
    await interaction.response.send_modal(EveryJob(verb, jobs, until=until, reason=reason))


def is_all(bot: Pipecall, typed: str) -> bool:
    """Say whether every job is meant; a job of that name comes first."""
    return typed.strip().casefold() == ALL and ALL not in bot.scheduler.jobs.rows


def add(bot: Pipecall) -> None:
    """Add both commands and their buttons."""

    @bot.tree.command(description="Stop a job from being due, for a while or until it is resumed")
    @app_commands.describe(
        job="Which job; or all, for admins",
        until="When it goes on by itself, such as 'in 2 hours' or 'tomorrow at 08:00'",
        reason="Why, for the others",
    )
    @app_commands.autocomplete(job=resolve.complete_job, until=resolve.complete_until)
    async def pause(
        interaction: discord.Interaction[Pipecall],
        job: str,
        until: app_commands.Range[str, 1, 100] | None = None,
        reason: app_commands.Range[str, 1, 200] | None = None,
    ) -> None:
        at = moments.moment(bot, until) if until else None
        if is_all(bot, job):
            await _every(interaction, Verb.PAUSE, at, reason)
        else:
            await pause_job(interaction, resolve.job(bot, interaction, job), until=at, reason=reason)

    @bot.tree.command(description="Let a paused job be due again")
    @app_commands.describe(job="Which job; or all, for admins")
    @app_commands.autocomplete(job=resolve.complete_job)
    async def resume(interaction: discord.Interaction[Pipecall], job: str) -> None:
        if is_all(bot, job):
            await _every(interaction, Verb.RESUME)
        else:
            await resume_job(interaction, resolve.job(bot, interaction, job))

    bot.add_dynamic_items(PauseButton, ResumeButton)


def _one(button: type[PauseButton | ResumeButton], row: ScheduleRow) -> ui.View:
    view = ui.View(timeout=None)
    view.add_item(button(key_of(row.id)))
    return view


def _who(interaction: discord.Interaction[Any]) -> str:
    return f"<@{interaction.user.id}>"
