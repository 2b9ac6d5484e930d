"""What the bot can do: every module of commands and buttons, in one list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import discord

from bot import plugin_commands
from bot.asking import READING, VERBS
from bot.commands import (
    alert_buttons,
    cancel,
    history,
    jobs,
    logs,
    makeup_buttons,
    missed,
    pause,
    pipelines,
    remove,
    run,
    schedule,
    status,
    whoami,
)
from pipelines import Catalog, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

FEATURES = (
    run,
    cancel,
    history,
    missed,
    logs,
    schedule,
    jobs,
    remove,
    pause,
    pipelines,
    status,
    whoami,
    alert_buttons,
    makeup_buttons,
    plugin_commands,
)
"""Those of plugins come last, so that they cannot take a name of ours."""


def compose(bot: Pipecall) -> None:
    """Add all commands and buttons to a bot that has not connected yet."""
    for feature in FEATURES:
        feature.add(bot)
    _hide(bot)


def _hide(bot: Pipecall) -> None:
    """Have Discord show commands that change something to those alone who manage the server, if no others may use them.

    That is no right but a hint: the policy decides. Where it names people, Discord shows the commands to everybody,
    since a bot cannot tell it to which roles.
    """
    if names_people(bot.scheduler.catalog):
        return
    for command in bot.tree.get_commands():
        if VERBS.get(command.name, Verb.VIEW) not in READING:
            command.default_permissions = discord.Permissions(manage_guild=True)


def names_people(catalog: Catalog) -> bool:
    """Say whether some policy of the pipelines file names operators or admins."""
    file = catalog.loaded.file
    policies = [file.policy, *(each.policy for each in file.pipelines.values() if each.policy is not None)]
    return any(policy.operator is not None or policy.admin is not None for policy in policies)
