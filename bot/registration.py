"""Registers the slash commands with Discord: in each served guild, and only when they changed.

Discord allows 200 new commands a day and guild, so what was registered is remembered, by its hash, over restarts. The
commands are registered per guild, never globally: they are there at once, and not in direct messages.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

if TYPE_CHECKING:
    from pipelines import Notes

logger = logging.getLogger(__name__)

NOTE = "discord commands"
"""The note holds, by application and guild, the hash of what is registered there and the ids of the commands."""


class Registration:
    """What is registered where.

    `ids` are the commands' ids by guild and name; `done` says that nothing is left to do, `told` how many commands each
    guild was told of last.
    """

    def __init__(self, notes: Notes) -> None:
        """Know nothing yet."""
        self._notes = notes
        self._forgotten = False
        self.ids: dict[int, dict[str, int]] = {}
        self.told: dict[int, int] = {}
        self.done = False

    def forget(self) -> None:
        """Have the next `sync` register everything anew."""
        self._forgotten = True
        self.done = False

    async def sync(self, tree: app_commands.CommandTree[Any], served: Collection[int], *, application: int) -> None:
        """Register the commands of `tree` in the served guilds, and none in those that no longer are.

        Guilds where nothing changed are left alone. What failed is stored nowhere, so that it is tried again; one guild
        that refuses keeps no other from being done.

        Raises:
            discord.HTTPException: a guild refused (`CommandSyncFailure` names the option); the first such error.
        """
        self.done = False
        stored = await self._known(application)
        self.told = {}
        failures: list[discord.HTTPException] = []
        for guild_id, digest in self._to_do(tree, served, stored).items():
            try:
                ids = await _put(tree, guild_id, empty=not digest)
            except discord.HTTPException as error:
                failures.append(error)
                continue
            stored[str(guild_id)] = {"hash": digest, "ids": ids}
            await self._notes.put(f"{NOTE} {application}", stored)
            self.told[guild_id] = len(ids)
            logger.info("%d command(s) registered in the server %d", len(ids), guild_id)
        self.ids = {guild_id: stored[str(guild_id)]["ids"] for guild_id in served if str(guild_id) in stored}
        if failures:
            raise failures[0]
        self._forgotten = False
        self.done = True

    def _to_do(
        self, tree: app_commands.CommandTree[Any], served: Collection[int], stored: Mapping[str, Any]
    ) -> dict[int, str]:
        """Return the guilds to be told, each with the hash of what it shall have; empty where that is nothing."""
        wanted = {guild_id: fingerprint(tree, guild_id) for guild_id in served}
        known = {} if self._forgotten else {int(guild_id): entry["hash"] for guild_id, entry in stored.items()}
        gone = [int(guild_id) for guild_id, entry in stored.items() if entry["hash"] and int(guild_id) not in wanted]
        changed = {guild_id: digest for guild_id, digest in wanted.items() if known.get(guild_id) != digest}
        return changed | dict.fromkeys(gone, "")

    async def _known(self, application: int) -> dict[str, Any]:
        stored = await self._notes.get(f"{NOTE} {application}")
        return dict(stored) if isinstance(stored, dict) else {}


async def _put(tree: app_commands.CommandTree[Any], guild_id: int, *, empty: bool) -> dict[str, int]:
    guild = discord.Object(guild_id)
    tree.clear_commands(guild=guild)
    if not empty:
        tree.copy_global_to(guild=guild)
    try:
        return {command.name: command.id for command in await tree.sync(guild=guild)}
    except (discord.Forbidden, discord.NotFound):
        if not empty:
            raise
        return {}  # the bot was put off that server; its commands went with it
    finally:
        tree.clear_commands(guild=guild)  # the global ones serve every guild


def fingerprint(tree: app_commands.CommandTree[Any], guild_id: int) -> str:
    """Return a hash of all that Discord is told of the commands; the same in every process."""
    payload = sorted((command.to_dict(tree) for command in tree.get_commands()), key=lambda each: each["name"])
    text = json.dumps([guild_id, payload], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def mention(ids: Mapping[int, Mapping[str, int]], name: str, guild_id: int | None = None) -> str:
    """Return a command as people can click it: `</run:123>`, or `/run` where its id is not known."""
    known = ids.get(guild_id, {}) if guild_id is not None else next(iter(ids.values()), {})
    number = known.get(name.partition(" ")[0])
    return f"</{name}:{number}>" if number else f"/{name}"
