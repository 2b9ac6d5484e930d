"""Looks whether the bot can do its work: its token, its application, the servers it is on, the channels it writes to.

All over REST and without changing anything, so that it can be asked while the service runs. Each fault comes with how
to mend it.
"""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import discord

from bot.guilds import served, yaml_of_guilds
from bot.permissions import NEEDED, missing, permissions_in
from bot.rest import Rest
from bot.safe_text import plain
from bot.written_to import Place, places
from pipelines import Catalog, ConfigError, DeliveryFault, Finding, Forbidden, Gone, Level, Settings, Unauthorised

PORTAL = "https://discord.com/developers/applications"
THREADS = (10, 11, 12)
PRIVILEGED = ("gateway_presence", "gateway_guild_members", "gateway_message_content")


@dataclass(slots=True)
class _Guild:
    """A guild that the bot is on; roles and the bot's own membership once they are known."""

    id: int
    name: str
    allowed: discord.Permissions
    roles: list[dict[str, Any]] = field(default_factory=list)
    member: dict[str, Any] = field(default_factory=dict)


async def examine(settings: Settings, catalog: Catalog, env: Mapping[str, str]) -> list[Finding]:
    """Look at everything and return what was found, in the order in which it should be mended."""
    rest = Rest(settings)
    try:
        return [finding async for finding in _Doctor(settings, catalog, env, rest).findings()]
    finally:
        await rest.close()


class _Doctor:
    def __init__(self, settings: Settings, catalog: Catalog, env: Mapping[str, str], rest: Rest) -> None:
        self._settings = settings
        self._catalog = catalog
        self._env = env
        self._rest = rest
        self._served = served(settings, catalog)
        self._guilds: dict[int, _Guild] = {}

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield what is found; what cannot be looked at ends it."""
        async for finding in self._token():
            yield finding
            if finding.level is Level.WRONG:
                return
        try:
            async for finding in self._application():
                yield finding
            async for finding in self._of_guilds():
                yield finding
            for place in places(self._catalog, self._env):
                yield await self._place(place)
        except DeliveryFault as fault:
            yield Finding(Level.WRONG, f"Discord cannot be asked: {fault}", "try again later")

    async def _token(self) -> AsyncIterator[Finding]:
        try:
            token = self._settings.bot_token()
        except ConfigError as error:
            yield Finding(Level.WRONG, "the token cannot be read", str(error))
            return
        if token is None:
            remedy = f"make an application at {PORTAL}, copy its bot's token, and set DISCORD_TOKEN in .env"
            yield Finding(Level.WRONG, "there is no token", remedy)
            return
        path = self._settings.discord_token_file
        if self._settings.discord_token is None and path is not None and _read_by_others(path.stat().st_mode):
            yield Finding(Level.DOUBTFUL, f"others on this machine can read {path}", f"chmod 600 {path}")
        try:
            me = await self._rest.me()
        except Unauthorised:
            yield Finding(Level.WRONG, "Discord rejects the token", f"reset it at {PORTAL} > Bot, and set the new one")
        except DeliveryFault as fault:
            yield Finding(Level.WRONG, f"Discord cannot be asked: {fault}", "try again later")
        else:
            yield Finding(Level.GOOD, f"the token is that of {plain(me['username'])} ({me['id']})")

    async def _application(self) -> AsyncIterator[Finding]:
        application = await self._rest.request("GET", "/oauth2/applications/@me")
        portal = f"{PORTAL}/{application['id']}"
        if application.get("interactions_endpoint_url"):
            what = "the application sends interactions to an address of its own, so commands never reach this bot"
            yield Finding(Level.WRONG, what, f"clear Interactions Endpoint URL at {portal}/information")
        if application.get("bot_public"):
            what = "the bot is public: anybody may add it to a server, where it refuses to answer"
            yield Finding(Level.DOUBTFUL, what, f"switch Public Bot off at {portal}/bot")
        flags = discord.ApplicationFlags._from_value(int(application.get("flags") or 0))  # noqa: SLF001 - no public way
        granted = [name for name in PRIVILEGED if getattr(flags, name) or getattr(flags, f"{name}_limited")]
        if granted:
            what = f"the application has privileged intents that the bot never uses: {', '.join(granted)}"
            yield Finding(Level.DOUBTFUL, what, f"switch them off at {portal}/bot")

    async def _of_guilds(self) -> AsyncIterator[Finding]:
        for each in await self._rest.request("GET", "/users/@me/guilds"):
            allowed = discord.Permissions(int(each["permissions"]))
            self._guilds[int(each["id"])] = _Guild(int(each["id"]), plain(each["name"]), allowed)
        if not self._served:
            known = {guild.id: guild.name for guild in self._guilds.values()}
            yield Finding(Level.WRONG, "no server is served, so the bot answers nobody", yaml_of_guilds(known))
        for guild_id in sorted(self._served - set(self._guilds)):
            remedy = "add it with the address that `python -m bot invite` prints, or correct `discord: guilds:`"
            yield Finding(Level.WRONG, f"the bot is not on the server {guild_id}", remedy)
        for guild in self._guilds.values():
            for finding in self._guild(guild):
                yield finding

    def _guild(self, guild: _Guild) -> list[Finding]:
        name = f"the server {guild.name!r} ({guild.id})"
        if guild.id not in self._served:
            remedy = "remove the bot there, or add the server to `discord: guilds:`" if self._served else ""
            return [Finding(Level.DOUBTFUL, f"the bot is on {name}, which is not served", remedy)]
        if guild.allowed.administrator:
            remedy = "take Administrator from its role, and give it: " + ", ".join(missing(discord.Permissions.none()))
            return [Finding(Level.DOUBTFUL, f"the bot is an administrator of {name}; it needs far less", remedy)]
        return [Finding(Level.GOOD, f"the bot is on {name}, which is served")]

    async def _place(self, place: Place) -> Finding:
        """Look at one channel that something is configured to write to."""
        if place.fault:
            return Finding(Level.WRONG, f"{place.used_by}: {place.fault}", place.remedy)
        if place.channel_id is None:
            return Finding(Level.GOOD, f"{place.used_by}: {place.words}")
        name = f"the channel {place.channel_id}, used by {place.used_by},"
        try:
            channel = await self._rest.channel(str(place.channel_id))
        except Gone:
            return Finding(
                Level.WRONG, f"{name} does not exist", "correct its id, or remove it from the pipelines file"
            )
        except Forbidden:
            remedy = "let the bot's role see it: channel settings > Permissions > View Channel"
            return Finding(Level.WRONG, f"{name} cannot be seen by the bot", remedy)
        return await self._channel(name, channel)

    async def _channel(self, name: str, channel: dict[str, Any]) -> Finding:
        guild = self._guilds.get(int(channel.get("guild_id") or 0))
        if guild is None or guild.id not in self._served:
            remedy = "take a channel of a served server, or add the server to `discord: guilds:`"
            return Finding(Level.WRONG, f"{name} is not on a server that is served", remedy)
        lacking = missing(await self._allowed(guild, channel))
        if lacking:
            remedy = f"channel settings > Permissions > the bot's role > allow {', '.join(lacking)}"
            return Finding(Level.WRONG, f"{name} does not let the bot do all it must: no {', '.join(lacking)}", remedy)
        return Finding(Level.GOOD, f"{name} is ready (#{plain(channel.get('name') or '')} in {guild.name})")

    async def _allowed(self, guild: _Guild, channel: dict[str, Any]) -> discord.Permissions:
        if not guild.roles:
            number = str(guild.id)
            me = str((await self._rest.me())["id"])
            guild.roles = await self._rest.request("GET", "/guilds/{guild_id}/roles", guild_id=number)
            path = "/guilds/{guild_id}/members/{user_id}"
            guild.member = await self._rest.request("GET", path, guild_id=number, user_id=me)
        if channel["type"] in THREADS:
            channel = await self._rest.channel(str(channel["parent_id"]))
        return permissions_in(channel, roles=guild.roles, member=guild.member)


async def invite(settings: Settings) -> str:
    """Return the address that adds the bot to a server, with the least permissions that it needs.

    Raises:
        DeliveryFault: Discord does not say who the bot is.
    """
    rest = Rest(settings)
    try:
        application = await rest.request("GET", "/oauth2/applications/@me")
    finally:
        await rest.close()
    scopes = ("bot", "applications.commands")
    return discord.utils.oauth_url(int(application["id"]), permissions=NEEDED, scopes=scopes)


def _read_by_others(mode: int) -> bool:
    return bool(mode & (stat.S_IRWXG | stat.S_IRWXO))
