"""What people do: type commands, press buttons, choose from selects, fill in modals, write messages."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from tests.fake_discord import components as parts
from tests.fake_discord.commands import invocation
from tests.fake_discord.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, SUBMIT, Interaction
from tests.fake_discord.messages import Message
from tests.fake_discord.state import State
from tests.fake_discord.world import Channel, Member

ATTACHMENT_LIMIT = 10 * 1024 * 1024


class People(State):
    """The actions. Each waits until a bot is connected, and returns before the bot answers."""

    async def command(
        self, member: Member, name: str, /, *, channel: Channel | None = None, **options: Any
    ) -> Interaction:
        """Type a slash command: `"run"`, or `"jobs list"` for a subcommand.

        Args:
            member: Who types.
            name: The command, and its subcommands after spaces.
            channel: Where; the first of the member's guild where none is given.
            options: What is filled in; people, roles and channels as themselves.

        Raises:
            LookupError: Nothing such is registered.
            ValueError: Discord's own client would not have let it pass.
        """
        await self.gateway.ready()
        first, *path = name.split()
        data = invocation(self.registered.find(first, member.guild), path, options)
        return self._begin(COMMAND, member, data, channel=channel)

    async def autocomplete(
        self,
        member: Member,
        name: str,
        focused: str,
        typed: Any = "",
        /,
        *,
        channel: Channel | None = None,
        **filled: Any,
    ) -> Interaction:
        """Type into one option of a command; `filled` are the others. The answer is in `Interaction.choices`."""
        await self.gateway.ready()
        first, *path = name.split()
        command = self.registered.find(first, member.guild)
        data = invocation(command, path, filled | {focused: typed}, focused=focused)
        return self._begin(AUTOCOMPLETE, member, data, channel=channel)

    async def press(self, member: Member, message: Message, custom_id: str) -> Interaction:
        """Press a button. Raises: LookupError: there is none that could be pressed."""
        return await self._use(member, message, custom_id, (parts.BUTTON,), {})

    async def select(self, member: Member, message: Message, custom_id: str, values: Sequence[str]) -> Interaction:
        """Choose values of a select. Raises: LookupError: there is no such select or value."""
        return await self._use(member, message, custom_id, parts.SELECTS, {"values": list(values)})

    async def submit(self, opened: Interaction, values: Mapping[str, Any]) -> Interaction:
        """Fill in and send the modal that answered an interaction.

        Args:
            opened: The interaction whose answer was a modal.
            values: By custom id: a text, a list of chosen values, or a bool.

        Raises:
            LookupError: There is no modal, or no such field.
            ValueError: A required field is empty.
        """
        if opened.modal is None:
            raise LookupError(f"no modal is open: the answer was {opened.response}")
        await self.gateway.ready()
        left = dict(values)
        rows = [_row(row, left) for row in opened.modal["components"]]
        if left:
            raise LookupError(f"the modal has no fields {sorted(left)}")
        data = {"custom_id": opened.modal["custom_id"], "components": rows}
        return self._begin(SUBMIT, opened.member, data, channel=opened.channel, source=opened.source)

    def post(self, member: Member, channel: Channel, content: str) -> Message:
        """Write a message; a bot without the message-content intent does not hear of it."""
        message = self.store.create(channel, member.user, {"content": content}, files={})
        self.changes.notify()
        return message

    async def _use(
        self, member: Member, message: Message, custom_id: str, kinds: Sequence[int], extra: Mapping[str, Any]
    ) -> Interaction:
        await self.gateway.ready()
        part = _part(message, custom_id, kinds)
        allowed = {option["value"] for option in part.get("options") or []}
        if allowed and not set(extra.get("values", ())) <= allowed:
            raise LookupError(f"select {custom_id!r} offers {sorted(allowed)}")
        data = {"custom_id": custom_id, "component_type": part["type"], "id": 1, **extra}
        return self._begin(COMPONENT, member, data, channel=message.channel, source=message)

    def _begin(
        self,
        kind: int,
        member: Member,
        data: dict[str, Any],
        *,
        channel: Channel | None,
        source: Message | None = None,
    ) -> Interaction:
        place = channel or (member.guild.channels[0] if member.guild else self.open_dm(member.user))
        token = f"{secrets.token_hex(16)}"
        number, now = self.ids.next(), self.clock.now()
        interaction = Interaction(number, token, kind, member, place, data, now, self.changes, source)
        self.interactions.append(interaction)
        self.gateway.dispatch("INTERACTION_CREATE", _payload(interaction, self.bot.id))
        return interaction


def _payload(interaction: Interaction, application_id: int) -> dict[str, Any]:
    member, channel = interaction.member, interaction.channel
    told: dict[str, Any] = {
        "id": str(interaction.id),
        "application_id": str(application_id),
        "type": interaction.kind,
        "token": interaction.token,
        "version": 1,
        "data": interaction.data,
        "channel": channel.payload() | {"permissions": str(member.permissions)},
        "channel_id": str(channel.id),
        "app_permissions": str(channel.bot_permissions),
        "attachment_size_limit": ATTACHMENT_LIMIT,
        "locale": "en-US",
        "entitlements": [],
        "context": 0 if channel.guild else 1,
    }
    if channel.guild is None:
        told |= {"user": member.user.payload(), "authorizing_integration_owners": {"0": "0"}}
    else:
        guild = str(channel.guild.id)
        told |= {"guild_id": guild, "guild": {"id": guild, "locale": "en-US", "features": []}, "guild_locale": "en-US"}
        told |= {"authorizing_integration_owners": {"0": guild}}
        told |= {"member": member.payload() | {"permissions": str(member.permissions)}}
    return told | ({"message": interaction.source.payload()} if interaction.source else {})


def _part(message: Message, custom_id: str, kinds: Sequence[int]) -> dict[str, Any]:
    if message.deleted:
        raise LookupError(f"the message with {custom_id!r} was deleted")
    every = (part for _, part in parts.walk(message.components) if part.get("custom_id") == custom_id)
    found = next((part for part in every if part["type"] in kinds), None)
    if found is None or found.get("disabled"):
        raise LookupError(f"nothing to use named {custom_id!r}; the message has {message.custom_ids}: {found}")
    return found


def _row(row: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    told = {"type": row["type"], "id": row.get("id", 1)}
    if row["type"] == parts.LABEL:
        return told | {"component": _field(row["component"], values)}
    return told | ({"components": [_field(one, values) for one in row["components"]]} if "components" in row else {})


def _field(field: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    name, kind = field["custom_id"], field["type"]
    several = kind in {*parts.SELECTS, 22}
    empty: Any = [] if several else False if kind == 23 else field.get("value") or ""
    value = values.pop(name, empty)
    if field.get("required", True) and value in ("", []):
        raise ValueError(f"the field {name!r} is required")
    if kind == parts.TEXT_INPUT and not field.get("min_length", 0) <= len(value) <= field.get("max_length", 4000):
        raise ValueError(f"the field {name!r} cannot be {len(value)} long")
    return {"type": kind, "id": field.get("id", 1), "custom_id": name, "values" if several else "value": value}
