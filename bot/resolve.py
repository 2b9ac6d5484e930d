"""What people typed into an option becomes a pipeline, a job or a run; and what they may choose while they type.

Completion reads what is in memory alone, offers only what the person may use, and never fails: it offers nothing then.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

import discord
from discord import app_commands

from bot import offers
from bot.asking import actor_of, admit
from bot.errors import UserError, log_unexpected
from bot.lengths import cut
from bot.matching import LABEL, MOST, found, label, meant, near
from bot.moments import Offer
from bot.safe_text import in_code, plain
from pipelines import JobView, PipelineView, Run, UnknownName, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

BUDGET_S = 1.5
"""Choices that take longer, in seconds, come too late to be of use."""

_RUN = re.compile(r"#?(\d{1,18})\b.*", re.DOTALL)

Interaction = discord.Interaction["Pipecall"]
Choices = list[app_commands.Choice[str]]


# ---------------------------------------------------------------- what was meant


def pipeline(bot: Pipecall, interaction: Interaction, typed: str) -> PipelineView:
    """Return the pipeline that was typed: its name, in any case, or a choice's label.

    Raises:
        UserError: there is none that this person may see; it names the nearest.
    """
    actor = actor_of(interaction)
    names = list(bot.scheduler.catalog.pipelines)
    name = found(typed, names)
    view = bot.overview.pipeline(name) if name is not None and bot.verbs.may(actor, Verb.VIEW, name).allowed else None
    if view is None:
        seen = (each for each in near(typed, names) if bot.verbs.may(actor, Verb.VIEW, each).allowed)
        raise _unknown(
            "pipeline", typed, next(seen, None), f"{bot.mention('pipelines', interaction.guild_id)} lists them."
        )
    return view


def job(bot: Pipecall, interaction: Interaction, typed: str) -> JobView:
    """Return the job that was typed: its id, in any case, or a choice's label.

    Raises:
        UserError: there is none that this person may see; it names the nearest.
    """
    actor = actor_of(interaction)
    rows = bot.scheduler.jobs.rows
    job_id = found(typed, list(rows))
    view = bot.overview.job(job_id) if job_id is not None else None
    if view is None or not bot.verbs.may(actor, Verb.VIEW, view.row.pipeline).allowed:
        close = (each for each in near(typed, list(rows)))
        seen = (each for each in close if bot.verbs.may(actor, Verb.VIEW, rows[each].pipeline).allowed)
        raise _unknown("job", typed, next(seen, None), f"{bot.mention('jobs', interaction.guild_id)} lists them.")
    return view


async def run(bot: Pipecall, interaction: Interaction, typed: str) -> Run:
    """Return the run that was typed: `812`, `#812`, or a choice's label.

    Raises:
        UserError: it is not a number, or there is no such run that this person may see.
        StoreError: the store cannot be read.
    """
    match = _RUN.fullmatch(meant(typed))
    hint = f"Runs have numbers, such as `812`; {bot.mention('history', interaction.guild_id)} lists them."
    if match is None:
        raise UserError(f"No run {_quoted(typed)}.", hint)
    try:
        known = await bot.reads.run(int(match[1]))
    except UnknownName:
        raise UserError(f"No run `#{match[1]}`.", hint) from None
    if not bot.verbs.may(actor_of(interaction), Verb.VIEW, known.pipeline).allowed:
        raise UserError(f"No run `#{match[1]}`.", hint)
    return known


def _unknown(kind: str, typed: str, nearest: str | None, where: str) -> UserError:
    hint = f"Did you mean {_quoted(nearest)}? {where}" if nearest else where
    return UserError(f"No {kind} {_quoted(meant(typed) or typed)}.", hint)


def _quoted(name: str) -> str:
    return f"`{in_code(cut(' '.join(plain(name).split()), LABEL)) or ' '}`"


# ---------------------------------------------------------------- choices while typing


async def complete_pipeline(interaction: Interaction, current: str) -> Choices:
    """Offer pipelines."""
    return await _choices(interaction, current, offers.pipelines)


async def complete_job(interaction: Interaction, current: str) -> Choices:
    """Offer jobs; to `/pause` those that are active, to `/resume` the paused ones."""
    return await _choices(interaction, current, offers.jobs)


async def complete_run(interaction: Interaction, current: str) -> Choices:
    """Offer runs, the newest first; to `/cancel` those that are not over."""
    return await _choices(interaction, current, offers.runs)


async def complete_when(interaction: Interaction, current: str) -> Choices:
    """Say how a text for "when" is understood as it is typed, and when that is first."""
    return await _choices(interaction, current, offers.whens)


async def complete_until(interaction: Interaction, current: str) -> Choices:
    """Say how a text for one moment is understood as it is typed."""
    return await _choices(interaction, current, offers.untils)


async def complete_timezone(interaction: Interaction, current: str) -> Choices:
    """Offer time zones with the time there; before anything is typed, the scheduler's and other popular ones."""
    return await _choices(interaction, current, offers.zones)


async def _choices(
    interaction: Interaction,
    current: str,
    offer: Callable[[Interaction, str], Awaitable[Iterable[Offer]]],
) -> Choices:
    try:
        await admit(interaction)
        async with asyncio.timeout(BUDGET_S):
            fitting = (each for each in await offer(interaction, current) if 0 < len(each[1]) <= LABEL)
            return [app_commands.Choice(name=label(name), value=value) for name, value in islice(fitting, MOST)]
    except (TimeoutError, UserError):
        return []
    except Exception as error:  # noqa: BLE001 - the outermost frame; Discord's own words would say less than no choices
        log_unexpected(interaction.client, error, f"completion of {interaction.command and interaction.command.name}")
        return []
