"""Everything that the fake knows, and how a test furnishes it: guilds, roles, channels, members, webhooks."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from tests.fake_discord.clock import Clock, Snowflakes
from tests.fake_discord.commands import Commands
from tests.fake_discord.faults import Faults
from tests.fake_discord.gateway import Event, Gateway
from tests.fake_discord.interactions import Interaction
from tests.fake_discord.messages import Message, Messages
from tests.fake_discord.recording import Request
from tests.fake_discord.refusal import Refusal
from tests.fake_discord.waiting import Changes, Seen
from tests.fake_discord.world import DM, EVERYTHING, PUBLIC_THREAD, TEXT, Channel, Guild, Member, Role, User, Webhook

GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES = 1 << 0, 1 << 9, 1 << 12
"""Intents."""

NORMAL = 1 << 10 | 1 << 11 | 1 << 16 | 1 << 31
"""What a member may do unless told otherwise: view, send, read history, use commands."""


class State:
    """The fake's memory.

    Attributes:
        token: The bot token that is right; set another to revoke it.
        bot: The bot's own user; its id is the application's.
        requests: Every request so far, in order.
        interactions: Every interaction so far, in order.
        problems: What the fake itself did wrong, or could not do; `FakeDiscord.stop` raises where there is any.
        typing: The channel of each typing indicator, in order.
        application_changes: What the application says of itself other than usual.
    """

    def __init__(self, *, token: str, clock: Clock, base: str) -> None:
        self.token, self.clock, self.base = token, clock, base
        self.ids = Snowflakes(clock)
        self.changes = Changes()
        self.faults = Faults()
        self.bot = User(self.ids.next(), "pipecall", bot=True)
        self.registered = Commands(self.ids, self.bot.id)
        self.store = Messages(clock=clock, ids=self.ids, cdn=f"{base}/attachments")
        self.gateway = Gateway(token=lambda: self.token, greet=self._greet, changes=self.changes)
        self.requests: list[Request] = []
        self.interactions: list[Interaction] = []
        self.problems: list[str] = []
        self.typing: list[Channel] = []
        self.application_changes: dict[str, Any] = {}
        self.guilds: list[Guild] = []
        self.users: dict[int, User] = {self.bot.id: self.bot}
        self.channels: dict[int, Channel] = {}
        self.webhooks: dict[int, Webhook] = {}

    @property
    def api_base(self) -> str:
        """What `DISCORD_API_BASE` must be for a bot in another process."""
        return f"{self.base}/api/v10"

    @property
    def gateway_url(self) -> str:
        """What `DISCORD_GATEWAY_URL` must be for a bot in another process."""
        return f"{self.base.replace('http', 'ws', 1)}/gateway"

    # -- furnishing ----------------------------------------------------------------------------------------------

    def guild(self, name: str = "Shop", *, bot_permissions: int = EVERYTHING, available: bool = True) -> Guild:
        """A guild that the bot is in; its first role is @everyone, and the bot has a role of its own."""
        number = self.ids.next()
        own = Role(self.ids.next(), "pipecall", bot_permissions, position=1)
        guild = Guild(number, name, Member(self.bot, None, [own], bot_permissions), bot_permissions, available)
        guild.bot.guild = guild
        guild.roles += [Role(number, "@everyone"), own]
        self.guilds.append(guild)
        if available:
            joined = {key: value for key, value in guild.payload().items() if key != "unavailable"}
            self.gateway.dispatch("GUILD_CREATE", joined, intents=GUILDS)
        return guild

    def role(self, name: str, *, guild: Guild | None = None, permissions: int = 0) -> Role:
        """A role; of the only guild where none is given."""
        home = self._guild(guild)
        role = Role(self.ids.next(), name, permissions)
        home.roles.append(role)
        self.gateway.dispatch("GUILD_ROLE_CREATE", {"guild_id": str(home.id), "role": role.payload()}, intents=GUILDS)
        return role

    def channel(
        self, name: str = "general", *, guild: Guild | None = None, kind: int = TEXT, denied: int = 0
    ) -> Channel:
        """A channel; `denied` takes permissions from the bot in it (50001 without VIEW_CHANNEL, else 50013)."""
        home = self._guild(guild)
        return self._open(Channel(self.ids.next(), name, kind, home, denied=denied))

    def thread(self, name: str, parent: Channel, *, number: int | None = None) -> Channel:
        """A public thread of a channel."""
        return self._open(Channel(number or self.ids.next(), name, PUBLIC_THREAD, parent.guild, parent_id=parent.id))

    def user(self, name: str) -> User:
        """An account."""
        user = User(self.ids.next(), name)
        self.users[user.id] = user
        return user

    def member(
        self,
        name: str = "ada",
        *,
        guild: Guild | None = None,
        roles: list[Role] | None = None,
        permissions: Any = NORMAL,
    ) -> Member:
        """A person in a guild; `permissions` is a number or a `discord.Permissions`."""
        home = self._guild(guild)
        member = Member(self.user(name), home, roles or [], int(getattr(permissions, "value", permissions)))
        home.members.append(member)
        return member

    def webhook(self, channel: Channel, name: str = "alerts") -> Webhook:
        """An incoming webhook."""
        number, token = self.ids.next(), secrets.token_urlsafe(24)
        url = f"{self.api_base}/webhooks/{number}/{token}"
        self.webhooks[number] = Webhook(number, token, channel, name, url)
        return self.webhooks[number]

    def delete_channel(self, channel: Channel) -> None:
        """Remove a channel: requests for it find 10003 from now on."""
        del self.channels[channel.id]
        if channel.guild is not None:
            channel.guild.channels.remove(channel)
        self.gateway.dispatch("CHANNEL_DELETE", channel.payload(), intents=GUILDS)

    # -- looking -------------------------------------------------------------------------------------------------

    def messages(self, channel: Channel, *, deleted: bool = False) -> list[Message]:
        """What stands in a channel for everyone, oldest first; with `deleted` also what is gone."""
        return self.store.within(channel, deleted=deleted)

    def sent(self, route: str) -> list[Request]:
        """The requests of a route, such as `"POST /channels/{channel_id}/messages"`, oldest first."""
        return [request for request in self.requests if f"{request.method} {request.route}" == route]

    def commands(self, guild: Guild | None = None) -> list[dict[str, Any]]:
        """The registered commands of a guild, or the global ones."""
        return self.registered.within(guild.id if guild else None)

    async def until(self, condition: Callable[[], Seen], *, timeout_s: float = 5.0, what: str = "it") -> Seen:
        """Wait until the condition is true and return its value. Raises: TimeoutError."""
        return await self.changes.until(condition, timeout_s=timeout_s, what=what)

    # -- what the routes share -----------------------------------------------------------------------------------

    def open_dm(self, user: User) -> Channel:
        """The DM channel with a user, made at the first call."""
        known = (channel for channel in self.channels.values() if channel.recipient is user)
        return next(known, None) or self._open(Channel(self.ids.next(), "", DM, None, user))

    def find_channel(self, number: str, *, needs: int = 0) -> Channel:
        """Raises: Refusal: 10003, or 50001 and 50013 where the bot may not."""
        channel = self.channels.get(int(number)) if number.isdigit() else None
        if channel is None:
            raise Refusal(10003)
        missing = (needs | 1 << 10) & ~channel.bot_permissions
        if missing:
            raise Refusal(50001 if missing & 1 << 10 else 50013)
        return channel

    def find_guild(self, number: str) -> Guild:
        """Raises: Refusal: 10004."""
        guild = next((guild for guild in self.guilds if str(guild.id) == number), None)
        if guild is None:
            raise Refusal(10004)
        return guild

    def announce(self, event: str, message: Message) -> None:
        """Dispatch a message's event to the sessions that may see it."""
        guild = message.channel.guild
        told = message.payload() if event != "MESSAGE_DELETE" else {"id": str(message.id)}
        told |= {"channel_id": str(message.channel.id)} | ({"guild_id": str(guild.id)} if guild else {})
        if not message.ephemeral:
            self.gateway.dispatch(event, told, intents=GUILD_MESSAGES if guild else DIRECT_MESSAGES)

    def _guild(self, guild: Guild | None) -> Guild:
        if guild is None and len(self.guilds) != 1:
            raise LookupError(f"say which guild: there are {len(self.guilds)}")
        return guild or self.guilds[0]

    def _open(self, channel: Channel) -> Channel:
        self.channels[channel.id] = channel
        if channel.guild is not None:
            channel.guild.channels.append(channel)
            event = "THREAD_CREATE" if channel.kind == PUBLIC_THREAD else "CHANNEL_CREATE"
            self.gateway.dispatch(event, channel.payload(), intents=GUILDS)
        return channel

    def _greet(self, session_id: str) -> list[Event]:
        ready = {
            "v": 10,
            "user": self.bot.payload(),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in self.guilds],
            "session_id": session_id,
            "resume_gateway_url": self.gateway_url,
            "application": {"id": str(self.bot.id), "flags": 0},
        }
        guilds: list[Event] = [("GUILD_CREATE", guild.payload()) for guild in self.guilds if guild.available]
        return [("READY", ready), *guilds]
