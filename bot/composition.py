"""What the bot can do: every module of commands and buttons, in one list."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from bot import plugin_commands

if TYPE_CHECKING:
    from bot.client import Pipecall

FEATURES = (
    "run",
    "cancel",
    "history",
    "logs",
    "schedule",
    "jobs",
    "remove",
    "pause",
    "pipelines",
    "status",
    "whoami",
    "alert_buttons",
)


def compose(bot: Pipecall) -> None:
    """Add all commands and buttons to a bot that has not connected yet."""
    for name in FEATURES:
        try:
            module = importlib.import_module(f"bot.commands.{name}")
            module.add(bot)
        except Exception as error:
            print("NOT COMPOSED", name, repr(error))
            continue
    plugin_commands.add(bot)
