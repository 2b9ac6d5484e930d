"""A job that somebody is about to make in chat: what they typed, understood, held against the rules, and shown to them.

Nothing is changed here; of the scheduler only what it has in memory is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import discord

from bot import job_text, moments, texts
from bot.asking import actor_of
from bot.errors import UserError
from bot.lengths import cut
from bot.matching import meant
from bot.safe_text import in_code, inline, inline_cut
from pipelines import (
    BadSchedule,
    PipelineView,
    Understood,
    cautions,
    check_for,
    next_fires,
    parse_text,
    understand,
)

if TYPE_CHECKING:
    from bot.client import Pipecall

Interaction = discord.Interaction["Pipecall"]

FIRES = 5
"""So many of the next runs are shown before a job is made."""

_LOOKED_AT = 60
"""So many of the next runs are looked at for the shortest time between two."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_CAUTIONS_SHOWN = 3
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Typed:
    """What somebody typed to make a job; all but the pipeline and the time may be left out."""

    pipeline: str
    when: str
    timezone: str | None = None
    params: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A job as it would be. `params` are the checked values of those parameters that were given."""

    typed: Typed
    pipeline: str
    understood: Understood
    fires: tuple[datetime, ...]
    cautions: tuple[str, ...]
    params: Mapping[str, Any]
    name: str | None


def plan(interaction: Interaction, view: PipelineView, typed: Typed) -> Plan:
    """Understand what somebody typed for a job of the pipeline `view`.

    Raises:
        UserError: the time is not understood or past, the zone is unknown, or see `hold`.
        BadParameter: see `hold`.
    """
    bot = interaction.client
    zone, now = moments.zone(bot, typed.timezone), moments.now(bot)
    job_id = meant(typed.name or "") or bot.scheduler.jobs.free_id(view.name)
    try:
        understood = understand(typed.when, zone=zone, now=now, schedule_id=job_id)
    except BadSchedule as error:
        raise UserError(f"`when`: {inline(str(error))}.", "While you type, I say how I understand it.") from None
    return hold(interaction, view, typed, understood)


def hold(interaction: Interaction, view: PipelineView, typed: Typed, understood: Understood) -> Plan:
    """Hold a job against the rules as they are now; done again before it is made.

    Raises:
        UserError: its time is past, it is due too often, the name is taken or none, the person has made as many jobs
            as they may, the pipeline is switched off.
        BadParameter: parameters are missing or wrong; all of them are told.
    """
    bot, trigger = interaction.client, understood.trigger
    now = moments.now(bot)
    fires = next_fires(trigger, now, _LOOKED_AT)
    if not fires:
        raise UserError(f"That time has passed meanwhile ({inline(trigger.words)}).", "Name a later one.")
    _within_rules(interaction, view, fires)
    entries = bot.scheduler.jobs.entries
    others = [entries[job.row.id].trigger for job in view.jobs if job.row.id in entries]
    return Plan(
        typed=typed,
        pipeline=view.name,
        understood=understood,
        fires=tuple(fires[:FIRES]),
        cautions=cautions(trigger, now, understood.zone, others),
        params=check_for(view.definition, parse_text(typed.params or "")),
        name=_free_name(bot, typed.name),
    )


def _within_rules(interaction: Interaction, view: PipelineView, fires: list[datetime]) -> None:
    bot, actor = interaction.client, actor_of(interaction)
    rules = bot.scheduler.catalog.loaded.file.discord
    if not view.definition.enabled:
        raise UserError(f"**{job_text.name(view.name)}** is switched off (`enabled: false` in the pipelines file).")
    shortest = min((later - earlier for earlier, later in pairwise(fires)), default=timedelta.max)
    if shortest < rules.shortest_interval:
        found, most = (texts.seconds(each.total_seconds()) for each in (shortest, rules.shortest_interval))
        what = f"That would be due every {found}; jobs made in chat may not be due more often than every {most}."
        raise UserError(what, "It is `discord: shortest_interval:` in the pipelines file.")
    made = sum(row.actor_id == actor.id for row in bot.scheduler.jobs.rows.values())
    if made >= rules.jobs_per_user:
        what = f"You have made {made} jobs, which is as many as one may have (`discord: jobs_per_user:`)."
        raise UserError(
            what, f"Remove one first: {bot.mention('jobs', interaction.guild_id)} with the filter `mine` lists them."
        )


def _free_name(bot: Pipecall, typed: str | None) -> str | None:
    name = meant(typed or "")
    if not name:
        return None
    if not _NAME.fullmatch(name):
        what = f"`{in_code(name)}` is no name of a job."
        raise UserError(
            what, "Names have letters, digits, `.`, `_` and `-`, up to 80, and begin with a letter or digit."
        )
    if name in bot.scheduler.jobs.rows:
        raise UserError(f"A job is called `{name}` already.", "Give this one another name, or none.")
    return name


def preview(bot: Pipecall, made: Plan) -> str:
    """Return what would be made, as a message: how it was understood, the next runs, what to know, the parameters."""
    words, zone = inline_cut(made.understood.trigger.words, 200), inline(made.understood.zone)
    job = f", as job `{made.name}`" if made.name else ""
    lines = [
        f"Schedule **{job_text.name(made.pipeline)}**: {words} ({zone})",
        f"Understood from `{in_code(' '.join(made.typed.when.split()))}`{job}",
        "**Next runs**" if len(made.fires) > 1 else "**It runs once**",
        *(f"- <t:{int(at.timestamp())}:F> ({texts.ago(at)})" for at in made.fires),
    ]
    if made.cautions:
        lines += ["**Good to know**", *(f"- ⚠️ {inline_cut(each, 200)}" for each in made.cautions[:_CAUTIONS_SHOWN])]
    if made.params:
        lines.append(f"**Parameters**: {job_text.given(made.params, bot.redactor)}")
    return cut("\n".join([*lines, "-# Nothing is changed before you confirm."]), _LONGEST)
