"""`/whoami`: who somebody is to the policy, what they may do, where that differs by pipeline, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import discord

from bot import job_text
from bot.asking import Answer, actor_of
from bot.lengths import cut
from pipelines import Actor, Decision, Role, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

ROLES_SHOWN = 20
EXCEPTIONS_SHOWN = 10
LONGEST = 1900


def add(bot: Pipecall) -> None:
    """Add the command."""

    @bot.tree.command(description="What may I do here, and why")
    async def whoami(interaction: discord.Interaction[Pipecall]) -> None:
        async with Answer(interaction) as answer:
            await answer.send(await told(interaction))


async def told(interaction: discord.Interaction[Pipecall]) -> str:
    """Return what somebody is told of themselves.

    Raises:
        UserError: the server is not served.
    """
    bot, actor = interaction.client, actor_of(interaction)
    general = {verb: bot.verbs.may(actor, verb) for verb in Verb}
    level = bot.verbs.policy.role(actor)
    lines = [
        f"You are <@{actor.user}> (`{actor.user}`), **{level.name.lower()}** in general: {_why(bot, actor, level)}.",
        _roles(actor, interaction.guild_id),
        *_abilities(general),
    ]
    exceptions = list(_exceptions(bot, actor, level, general))
    if exceptions:
        more = len(exceptions) - EXCEPTIONS_SHOWN
        lines += ["**Other rules**", *exceptions[:EXCEPTIONS_SHOWN]]
        lines += [f"… and {more} more pipelines"] if more > 0 else []
    return cut("\n".join(lines), LONGEST)


def _roles(actor: Actor, everyone: int | None) -> str:
    """Name somebody's roles; that of everyone has the id of the server."""
    if actor.roles is None:
        return "Your roles are not known just now, so they allow nothing; try again in a minute."
    mine = sorted(actor.roles - {everyone})[:ROLES_SHOWN]
    return f"Your roles as I see them: {', '.join(f'<@&{role}> (`{role}`)' for role in mine) or 'none'}"


def _abilities(general: Mapping[Verb, Decision]) -> Iterable[str]:
    may = [verb.value for verb, decision in general.items() if decision.allowed]
    yield f"You may: {', '.join(may) or 'nothing'}"
    lacking: dict[str, list[str]] = {}
    for verb, decision in general.items():
        if not decision.allowed:
            lacking.setdefault(decision.missing, []).append(verb.value)
    yield from (f"You may not: {', '.join(verbs)} – {missing}" for missing, verbs in lacking.items())


def _exceptions(bot: Pipecall, actor: Actor, level: Role, general: Mapping[Verb, Decision]) -> Iterable[str]:
    """Yield a line for each pipeline with other rules for this person; not for one that they may not see."""
    for name, definition in bot.scheduler.catalog.pipelines.items():
        if definition.policy is None and not definition.discord.channels:
            continue
        if not bot.verbs.may(actor, Verb.VIEW, name).allowed:
            continue
        rules = []
        role = bot.verbs.policy.role(actor, name)
        if role is not level:
            own = {verb for verb in Verb if bot.verbs.may(actor, verb, name).allowed}
            usual = {verb for verb, decision in general.items() if decision.allowed}
            rules.append(f"**{role.name.lower()}** ({_why(bot, actor, role, name)})")
            rules += [f"you may: {', '.join(sorted(own - usual))}"] if own - usual else []
            rules += [f"you may not: {', '.join(sorted(usual - own))}"] if usual - own else []
        if definition.discord.channels:
            rules.append(f"in {', '.join(f'<#{channel}>' for channel in definition.discord.channels[:5])} only")
        if rules:
            yield f"- {job_text.name(name)}: {'; '.join(rules)}"


def _why(bot: Pipecall, actor: Actor, level: Role, pipeline: str | None = None) -> str:
    """Say which line of the policy makes somebody what they are."""
    file = bot.scheduler.catalog.loaded.file
    own = file.pipelines[pipeline].policy if pipeline is not None else None
    sections = [section for section in (own, file.policy) if section is not None]
    if level is Role.NOBODY:
        if any(section.deny.may_include(actor) for section in sections):
            return "you are, or may be, on the policy's `deny` list"
        return "the policy names neither you nor a role of yours"
    key = level.name.lower()
    people = next((found for section in sections if (found := getattr(section, key)) is not None), None)
    if people is None:
        return "you may manage this server" if level is Role.ADMIN else "everybody on this server may look"
    return f"the policy's `{key}` names {_named(people, actor)}"


def _named(people: Any, actor: Actor) -> str:
    if actor.user in people.users:
        return "you"
    return ", ".join(f"<@&{role}>" for role in people.roles if role in (actor.roles or ()))
