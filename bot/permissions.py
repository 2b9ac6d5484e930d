"""What the bot may do in a channel, worked out from what Discord's REST says, and what it should be allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import discord

NEEDED = discord.Permissions(
    view_channel=True,
    send_messages=True,
    embed_links=True,
    attach_files=True,
    read_message_history=True,
    send_messages_in_threads=True,
    create_public_threads=True,
)
"""All that the bot needs, and no more."""

NAMES = {
    "read_messages": "View Channel",
    "send_messages": "Send Messages",
    "embed_links": "Embed Links",
    "attach_files": "Attach Files",
    "read_message_history": "Read Message History",
    "send_messages_in_threads": "Send Messages in Threads",
    "create_public_threads": "Create Public Threads",
}
"""What Discord's settings call that, by the library's names."""

ROLE, MEMBER = 0, 1
"""Kinds of overwrites of a channel."""


def permissions_in(
    channel: Mapping[str, Any], *, roles: Iterable[Mapping[str, Any]], member: Mapping[str, Any]
) -> discord.Permissions:
    """Return what a member may do in a channel of a guild; of a thread, give its parent.

    As Discord documents it ("Permission Overwrites"): the roles' permissions together, then the channel's overwrites
    for everyone, then those for the member's roles together, then those for the member.

    Args:
        channel: The channel as JSON.
        roles: All roles of its guild as JSON.
        member: The member of the guild as JSON.
    """
    everyone = str(channel["guild_id"])
    own = {everyone, *member["roles"]}
    allowed = 0
    for role in roles:
        allowed |= int(role["permissions"]) if role["id"] in own else 0
    if discord.Permissions(allowed).administrator:
        return discord.Permissions.all()
    overwrites = channel.get("permission_overwrites") or []
    of_roles = [each for each in overwrites if each["type"] == ROLE and each["id"] in own]
    steps = (
        [each for each in of_roles if each["id"] == everyone],
        [each for each in of_roles if each["id"] != everyone],
        [each for each in overwrites if each["type"] == MEMBER and each["id"] == member["user"]["id"]],
    )
    for step in steps:
        for each in step:
            allowed &= ~int(each["deny"])
        for each in step:
            allowed |= int(each["allow"])
    return discord.Permissions(allowed)


def missing(allowed: discord.Permissions) -> list[str]:
    """Return the names of what the bot needs and is not allowed, as Discord's settings call them."""
    return [NAMES[name] for name, needed in NEEDED if needed and not getattr(allowed, name)]
