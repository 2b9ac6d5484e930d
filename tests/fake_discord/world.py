"""The places and people of the fake: guilds, roles, channels, members, webhooks, and how each is written as JSON."""

from __future__ import annotations

import dataclasses
from typing import Any

VIEW_CHANNEL = 1 << 10
SEND_MESSAGES = 1 << 11
ATTACH_FILES = 1 << 15
READ_MESSAGE_HISTORY = 1 << 16
SEND_MESSAGES_IN_THREADS = 1 << 38
ADMINISTRATOR = 1 << 3
EVERYTHING = (1 << 53) - 1 & ~ADMINISTRATOR
"""All permissions but the one that would make channels' overwrites void."""

TEXT, DM, FORUM, PUBLIC_THREAD = 0, 1, 15, 11
"""Kinds of channels, by Discord's numbers."""

JOINED = "2026-01-01T00:00:00+00:00"


@dataclasses.dataclass(eq=False, slots=True)
class User:
    """An account."""

    id: int
    name: str
    bot: bool = False

    def payload(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "username": self.name,
            "discriminator": "0",
            "global_name": None,
            "avatar": None,
            "bot": self.bot,
            "flags": 0,
            "public_flags": 0,
            "primary_guild": None,
        }


@dataclasses.dataclass(eq=False, slots=True)
class Role:
    """A role of a guild; `permissions` is Discord's bit set."""

    id: int
    name: str
    permissions: int = 0
    position: int = 0

    def payload(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "name": self.name,
            "permissions": str(self.permissions),
            "position": self.position,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "icon": None,
            "unicode_emoji": None,
            "hoist": False,
            "managed": False,
            "mentionable": False,
            "flags": 0,
        }


@dataclasses.dataclass(eq=False, slots=True)
class Guild:
    """A server. `bot_permissions` is what the bot may do in it; an unavailable one is in READY but never arrives."""

    id: int
    name: str
    bot: Member
    bot_permissions: int = EVERYTHING
    available: bool = True
    roles: list[Role] = dataclasses.field(default_factory=list)
    channels: list[Channel] = dataclasses.field(default_factory=list)
    members: list[Member] = dataclasses.field(default_factory=list)

    def payload(self) -> dict[str, Any]:
        """GUILD_CREATE as a bot without the members intent gets it: itself is the only member."""
        top = [channel for channel in self.channels if channel.kind != PUBLIC_THREAD]
        return {
            "id": str(self.id),
            "name": self.name,
            "owner_id": "1",
            "unavailable": False,
            "member_count": len(self.members) + 1,
            "roles": [role.payload() for role in self.roles],
            "channels": [channel.payload() for channel in top],
            "threads": [channel.payload() for channel in self.channels if channel.kind == PUBLIC_THREAD],
            "members": [self.bot.payload()],
        }


@dataclasses.dataclass(eq=False, slots=True)
class Channel:
    """A place for messages: of a guild, or a DM where `guild` is None and `recipient` is the other side.

    `denied` takes permissions from the bot here.
    """

    id: int
    name: str
    kind: int = TEXT
    guild: Guild | None = None
    recipient: User | None = None
    parent_id: int | None = None
    denied: int = 0

    @property
    def bot_permissions(self) -> int:
        """What the bot may do here."""
        return EVERYTHING if self.guild is None else self.guild.bot_permissions & ~self.denied

    def payload(self) -> dict[str, Any]:
        common = {"id": str(self.id), "type": self.kind, "flags": 0, "last_message_id": None}
        if self.guild is None:
            return common | {"recipients": [self.recipient.payload()] if self.recipient else []}
        common |= {"guild_id": str(self.guild.id), "name": self.name, "parent_id": None}
        if self.kind == PUBLIC_THREAD:
            return common | self._thread(self.guild)
        role = str(self.guild.bot.roles[0].id)
        overwrites = [{"id": role, "type": 0, "allow": "0", "deny": str(self.denied)}] if self.denied else []
        return common | {"position": 0, "nsfw": False, "rate_limit_per_user": 0, "permission_overwrites": overwrites}

    def _thread(self, guild: Guild) -> dict[str, Any]:
        metadata = {"archived": False, "archive_timestamp": JOINED, "auto_archive_duration": 1440, "locked": False}
        return {
            "parent_id": str(self.parent_id),
            "owner_id": str(guild.bot.id),
            "rate_limit_per_user": 0,
            "thread_metadata": metadata | {"create_timestamp": JOINED},
            "message_count": 0,
            "member_count": 1,
            "total_message_sent": 0,
        }


@dataclasses.dataclass(eq=False, slots=True)
class Member:
    """A user in a guild, with what it may do there in sum."""

    user: User
    guild: Guild | None
    roles: list[Role] = dataclasses.field(default_factory=list)
    permissions: int = 0

    @property
    def id(self) -> int:
        """The user's id."""
        return self.user.id

    def payload(self) -> dict[str, Any]:
        return {
            "user": self.user.payload(),
            "roles": [str(role.id) for role in self.roles],
            "joined_at": JOINED,
            "nick": None,
            "avatar": None,
            "banner": None,
            "premium_since": None,
            "communication_disabled_until": None,
            "pending": False,
            "mute": False,
            "deaf": False,
            "flags": 0,
        }


@dataclasses.dataclass(eq=False, slots=True)
class Webhook:
    """An incoming webhook of a channel; `url` is what a user would paste into a setting."""

    id: int
    token: str
    channel: Channel
    name: str
    url: str

    def payload(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "type": 1,
            "token": self.token,
            "name": self.name,
            "avatar": None,
            "application_id": None,
            "channel_id": str(self.channel.id),
            "guild_id": str(self.channel.guild.id) if self.channel.guild else None,
        }
