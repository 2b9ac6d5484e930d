"""What the bot can do: every module of commands and buttons, in one list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot import plugin_commands
from bot.commands import (
    alert_buttons,
    cancel,
    history,
    jobs,
    logs,
    pause,
    pipelines,
    remove,
    run,
    schedule,
    status,
    whoami,
)

if TYPE_CHECKING:
    from bot.client import Pipecall

FEATURES = (
    run,
    cancel,
    history,
    logs,
    schedule,
    jobs,
    remove,
    pause,
    pipelines,
    status,
    whoami,
    alert_buttons,
    plugin_commands,
)
"""Those of plugins come last, so that they cannot take a name of ours."""


def compose(bot: Pipecall) -> None:
    """Add all commands and buttons to a bot that has not connected yet."""
    for feature in FEATURES:
        feature.add(bot)
