"""Commands that a pipeline brings along: `discord_commands: my_plugin.MyCommands` in the pipelines file.

A class of commands has `register(self, bot)`, which adds to `bot.tree` as any discord.py program would, and may have
`async def setup(self, bot)` for what has to wait; both are called for each connection anew. Its commands are for the
operators of the pipeline, unless the class says `needs = "viewer"` (or `"admin"`). A class that fails loses its own
commands, and nothing else: that is logged, and the bot goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import discord
from discord import app_commands

from bot.asking import READING, lacks, record_denial
from bot.errors import log_unexpected
from pipelines import Denied, PipecallError, Registry, Verb

if TYPE_CHECKING:
    from bot.client import Pipecall

logger = logging.getLogger(__name__)

Added: TypeAlias = app_commands.Command[Any, ..., Any] | app_commands.Group | app_commands.ContextMenu

VERBS: Mapping[str, Verb] = {"viewer": Verb.VIEW, "operator": Verb.RUN, "admin": Verb.REMOVE}
"""What a class may need, and the verb that asks the policy for just that."""

SETUP_S = 20.0
KINDS = tuple(discord.AppCommandType)

TEXT, CHOICES, WHOLE = 100, 25, 8000
"""Discord's limits for a description or a choice, for the number of choices, and for all texts of one command."""


def add(bot: Pipecall) -> None:
    """Add the commands of all pipelines to a bot that has not connected yet."""
    registry = Registry(bot.settings.plugins_folder, bot.settings.allowed_modules)
    for path, pipelines in _wanted(bot).items():
        Plugin(bot, path, pipelines).register(registry)


def _wanted(bot: Pipecall) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for name, definition in bot.scheduler.catalog.pipelines.items():
        for path in definition.discord_commands:
            wanted.setdefault(path, []).append(name)
    return wanted


class Plugin:
    """One class of commands at one bot; `pipelines` are those that name it."""

    def __init__(self, bot: Pipecall, path: str, pipelines: Sequence[str]) -> None:
        """`path` is the class path."""
        self._bot = bot
        self._path = path
        self._pipelines = pipelines
        self._verb = Verb.RUN
        self._added: list[Added] = []

    def register(self, registry: Registry) -> None:
        """Make an instance of the class, let it add its commands, and guard them."""
        before = set(_commands(self._bot))
        try:
            made = registry.commands(self._path)()
            self._verb = _verb_of(made)
            made.register(self._bot)
            self._added = [command for command in _commands(self._bot) if command not in before]
            self._check_payloads()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the outermost frame of somebody else's code
            self._added = [command for command in _commands(self._bot) if command not in before]
            self._fail(error)
            return
        for command in self._added:
            self._bot.tree.guard(command.name, self._guard)
        setup = getattr(made, "setup", None)
        if setup is not None:
            self._bot.at_setup(lambda: self._set_up(setup))

    async def _set_up(self, setup: Any) -> None:
        try:
            async with asyncio.timeout(SETUP_S):
                await setup(self._bot)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the outermost frame of somebody else's code
            self._fail(error)

    async def _guard(self, interaction: discord.Interaction[Any]) -> None:
        """Let through who may do what the class needs, to one of its pipelines; a completion leaves no audit row."""
        missing = [lacks(interaction, self._verb, pipeline) for pipeline in self._pipelines]
        if not all(missing):
            return
        changing = self._verb not in READING
        if changing and interaction.type is not discord.InteractionType.autocomplete:
            await record_denial(interaction, self._verb, self._pipelines[0], missing[0])
        raise Denied("use this command of", self._pipelines[0], missing[0])

    def _check_payloads(self) -> None:
        """Refuse what Discord would: it refuses all commands of the bot when it refuses one."""
        for command in self._added:
            wrong = next(payload_faults(command.to_dict(self._bot.tree)), None)
            if wrong is not None:
                raise PipecallError(f"/{command.name}: {wrong}")

    def _fail(self, error: BaseException) -> None:
        for command in self._added:
            kind = command.type if isinstance(command, app_commands.ContextMenu) else discord.AppCommandType.chat_input
            self._bot.tree.remove_command(command.name, type=kind)
        whose = f"{self._path} ({', '.join(self._pipelines)})"
        if isinstance(error, PipecallError | app_commands.CommandAlreadyRegistered | TimeoutError):
            said = "it took too long" if isinstance(error, TimeoutError) else str(error)
            logger.error("%s adds no commands: %s", whose, self._bot.redactor.text(said))
        else:
            logger.error("%s adds no commands: see %s", whose, log_unexpected(self._bot, error, self._path))


def _verb_of(made: object) -> Verb:
    needs = getattr(made, "needs", "operator")
    if needs not in VERBS:
        raise PipecallError(f"needs is {needs!r}; expected one of {', '.join(map(repr, VERBS))}")
    return VERBS[needs]


def _commands(bot: Pipecall) -> list[Added]:
    return [command for kind in KINDS for command in bot.tree.get_commands(type=kind)]


def payload_faults(payload: Mapping[str, Any]) -> Iterator[str]:
    """Yield what Discord would refuse in a command that discord.py lets pass."""
    if payload.get("type", 1) == 1:
        yield from _option_faults(payload, "the command")
    size = len("".join(_texts(payload)))
    if size > WHOLE:
        yield f"its texts have {size} characters in sum; at most {WHOLE} are allowed"


def _option_faults(part: Mapping[str, Any], what: str) -> Iterator[str]:
    if not 1 <= len(part.get("description") or "") <= TEXT:
        yield f"the description of {what} must have 1 to {TEXT} characters"
    choices = part.get("choices") or []
    if len(choices) > CHOICES:
        yield f"{what} has {len(choices)} choices; at most {CHOICES} are allowed"
    for choice in choices:
        if not 1 <= len(choice["name"]) <= TEXT or len(str(choice["value"])) > TEXT:
            yield f"a choice of {what} must have 1 to {TEXT} characters: {json.dumps(choice['name'][:20])}…"
    for option in part.get("options") or []:
        yield from _option_faults(option, f"the option {option['name']!r}")


def _texts(part: Any) -> Iterator[str]:
    """Yield the names, descriptions and values of a command and all below it."""
    yield from (str(part[key]) for key in ("name", "description", "value") if part.get(key))
    for key in ("options", "choices"):
        for each in part.get(key) or []:
            yield from _texts(each)
