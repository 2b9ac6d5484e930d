"""What is offered while somebody types a pipeline, a job, a run, a time or a zone: labels and values, best first.

Read from memory alone, and only what the person may use for the command that they type.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import discord

from bot import moments
from bot.asking import actor_of, verb_of, wrong_channel
from bot.matching import MOST, Interest, by_interest, label, matching, meant, since, until
from bot.moments import Offer
from bot.texts import look
from pipelines import Actor, JobView, Role, Run, ScheduleState, Verb, zone_names

if TYPE_CHECKING:
    from bot.client import Pipecall

Interaction = discord.Interaction["Pipecall"]

ALL = "all"
"""Stands for every job where `/pause` and `/resume` are asked for it."""

FILE = "file"
"""The source of jobs that stand in the pipelines file."""


async def pipelines(interaction: Interaction, current: str) -> Iterator[Offer]:
    """Offer pipelines."""
    bot, actor, verb = interaction.client, actor_of(interaction), verb_of(interaction)
    known = list(bot.scheduler.catalog.pipelines)
    wanted = matching(current, known if meant(current) else _by_interest(bot, actor))
    may = (name for name in wanted if _usable(interaction, actor, verb, name))
    return _labelled(bot, may)


def _by_interest(bot: Pipecall, actor: Actor) -> list[str]:
    used = _used(bot, actor)
    return by_interest(
        Interest(view.name, view.failing, used.get(view.name), view.next_due_at) for view in bot.overview.pipelines()
    )


def _used(bot: Pipecall, actor: Actor) -> dict[str, int]:
    """Return the pipelines that somebody ran lately, with how many others they ran since."""
    runs = [*reversed(bot.overview.live_runs()), *bot.overview.recent_runs()]
    return {
        name: at for at, name in enumerate(dict.fromkeys(each.pipeline for each in runs if each.actor == actor.name))
    }


def _usable(interaction: Interaction, actor: Actor, verb: Verb, name: str, owner: str | None = None) -> bool:
    return not wrong_channel(interaction, name) and interaction.client.verbs.may(actor, verb, name, owner).allowed


def _labelled(bot: Pipecall, names: Iterable[str]) -> Iterator[Offer]:
    for name in names:
        view = bot.overview.pipeline(name)
        if view is not None:
            goes_on = f"{len(view.running)} running" if view.running else ""
            yield label(name, _last(bot, view.last), goes_on, _next(bot, view.next_due_at)), name


def _last(bot: Pipecall, last: Run | None) -> str:
    if last is None or last.ended_at is None:
        return ""
    return f"{look(last.state).emoji} {since((moments.now(bot) - last.ended_at).total_seconds())}"


def _next(bot: Pipecall, due_at: datetime | None) -> str:
    return f"next {until(moments.local(bot, due_at), moments.local(bot))}" if due_at is not None else ""


async def jobs(interaction: Interaction, current: str) -> Iterator[Offer]:
    """Offer jobs; to `/pause` the active ones, to `/resume` the paused ones, and to admins all at once."""
    bot, actor, verb = interaction.client, actor_of(interaction), verb_of(interaction)
    wrong = {Verb.PAUSE: ScheduleState.PAUSED, Verb.RESUME: ScheduleState.ACTIVE}.get(verb)
    in_chat = verb is Verb.REMOVE  # the file's jobs are taken out of the file
    rows = {
        job_id: row
        for job_id, row in bot.scheduler.jobs.rows.items()
        if row.state is not wrong and not (in_chat and row.source == FILE)
    }
    wanted = matching(current, sorted(rows) if meant(current) else _jobs_by_interest(bot, actor, rows))
    may = (each for each in wanted if _usable(interaction, actor, verb, rows[each].pipeline, rows[each].actor_id))
    offers = _labelled_jobs(bot, may)
    every = _every_job(bot, actor, verb) if ALL not in rows and ALL.startswith(meant(current).casefold()) else []
    return iter([*every, *islice(offers, MOST)])


def _jobs_by_interest(bot: Pipecall, actor: Actor, rows: Iterable[str]) -> list[str]:
    used, wanted = _used(bot, actor), set(rows)
    return by_interest(
        Interest(view.row.id, failing(view), used.get(view.row.pipeline), view.row.next_due_at)
        for view in bot.overview.jobs()
        if view.row.id in wanted
    )


def failing(view: JobView) -> bool:
    """Say whether a job's last run went wrong."""
    return view.last is not None and view.last.state.final and not view.last.state.good


def _labelled_jobs(bot: Pipecall, ids: Iterable[str]) -> Iterator[Offer]:
    for job_id in ids:
        view = bot.overview.job(job_id)
        if view is not None:
            row = view.row
            of = row.pipeline if row.pipeline != row.id else ""
            stands = "⏸ paused" if row.state is ScheduleState.PAUSED else _next(bot, row.next_due_at)
            yield label(job_id, of, _last(bot, view.last), stands), job_id


def _every_job(bot: Pipecall, actor: Actor, verb: Verb) -> Sequence[Offer]:
    if verb not in (Verb.PAUSE, Verb.RESUME) or bot.verbs.may(actor, verb).role is not Role.ADMIN:
        return ()
    return ((label(ALL, f"{verb} every job"), ALL),)


async def runs(interaction: Interaction, current: str) -> Iterator[Offer]:
    """Offer runs, the newest first; to `/cancel` those that are not over."""
    bot, actor, verb = interaction.client, actor_of(interaction), verb_of(interaction)
    live = list(reversed(bot.overview.live_runs()))
    known = live if verb is Verb.CANCEL else [*live, *bot.overview.recent_runs()]
    runs = {f"{each.id} {each.pipeline}": each for each in known}
    wanted = matching(current.replace("#", ""), list(runs))
    may = (runs[each] for each in wanted if _usable(interaction, actor, verb, runs[each].pipeline))
    return ((_run_label(bot, each), str(each.id)) for each in may)


def _run_label(bot: Pipecall, each: Run) -> str:
    shown = look(each.state)
    began = each.ended_at or each.started_at or each.queued_at
    ago = since((moments.now(bot) - began).total_seconds())
    return label(f"#{each.id} {each.pipeline}", f"{shown.emoji} {shown.word} {ago}", each.actor or "")


async def whens(interaction: Interaction, current: str) -> Iterable[Offer]:
    """Say how a text for "when" is understood."""
    typed = str(getattr(interaction.namespace, "timezone", None) or "")
    return moments.when_offers(current, zone=moments.zone_or_default(interaction.client, typed), now=_now(interaction))


async def untils(interaction: Interaction, current: str) -> Iterable[Offer]:
    """Say how a text for one moment is understood."""
    return moments.until_offers(current, zone=moments.default_zone(interaction.client), now=_now(interaction))


def _now(interaction: Interaction) -> datetime:
    return moments.now(interaction.client)


async def zones(interaction: Interaction, current: str) -> Iterable[Offer]:
    """Offer time zones."""
    await asyncio.to_thread(zone_names)  # read from the disk the first time
    return moments.zone_offers(
        current,
        first=moments.default_zone(interaction.client),
        now=_now(interaction),
    )
