"""The command tree: who may use a command at all, how often, and that no error goes unanswered."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

import discord
from discord import app_commands

from bot.asking import admit
from bot.errors import explain

if TYPE_CHECKING:
    from bot.client import Pipecall

Guard: TypeAlias = Callable[[discord.Interaction[Any]], Coroutine[Any, Any, None]]

COMMANDS, PER_S = 10, 30.0
"""So many commands one person may use within so many seconds."""

MANY = 1000
"""With more people than this, those who were quiet are forgotten."""


class Tree(app_commands.CommandTree["Pipecall"]):
    """The commands of the bot; none works in direct messages, nor for those who installed the bot for themselves."""

    def __init__(self, client: Pipecall, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        super().__init__(
            client,
            allowed_contexts=app_commands.AppCommandContext(guild=True, dm_channel=False, private_channel=False),
            allowed_installs=app_commands.AppInstallationType(guild=True, user=False),
        )
        self._clock = clock
        self._used: dict[int, app_commands.Cooldown] = {}
        self._guards: dict[str, Guard] = {}

    def guard(self, name: str, check: Guard) -> None:
        """Have `check` called before the command `name` and all below it, and before their completions."""
        self._guards[name] = check

    async def interaction_check(self, interaction: discord.Interaction[Pipecall], /) -> bool:
        """Let through people of served servers who were not too quick; the rest get a reason. Completion is free."""
        await admit(interaction)
        if interaction.type is discord.InteractionType.application_command:
            self._spend(interaction.user.id)
        data: Any = interaction.data
        guard = self._guards.get(data["name"])
        if guard is not None:
            await guard(interaction)
        return True

    async def on_error(
        self, interaction: discord.Interaction[Pipecall], error: app_commands.AppCommandError, /
    ) -> None:
        """Answer what went wrong."""
        await explain(interaction, error)

    async def _call(self, interaction: discord.Interaction[Any]) -> None:
        """As the library does, which however lets two kinds of errors go unanswered.

        An exception other than AppCommandError in `interaction_check` reaches no handler (discord.py issue 9399), and
        one in a completion is only logged, so that the person sees "Loading options failed".
        """
        try:
            await super()._call(interaction)
            if interaction.type is discord.InteractionType.autocomplete and not interaction.response.is_done():
                await interaction.response.autocomplete([])
        except app_commands.AppCommandError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the outermost frame of a command, maybe a plugin's
            await explain(interaction, error)

    def _spend(self, user_id: int) -> None:
        now = self._clock()
        if len(self._used) > MANY:
            self._used = {user: each for user, each in self._used.items() if each.get_tokens(now) < COMMANDS}
        retry_after = self._used.setdefault(user_id, app_commands.Cooldown(COMMANDS, PER_S)).update_rate_limit(now)
        if retry_after:
            raise app_commands.CommandOnCooldown(self._used[user_id], retry_after)
