"""The messages of every channel, in the order in which they were made, with every state that each has had."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tests.fake_discord import components as parts
from tests.fake_discord.clock import Clock, Snowflakes
from tests.fake_discord.limits import EPHEMERAL, LOADING, V2, check_files, check_message
from tests.fake_discord.recording import File
from tests.fake_discord.refusal import Refusal
from tests.fake_discord.world import Channel, User

NONCE_WINDOW_S = 300.0
"""How long a repeated nonce returns the first message; Discord says "the past few minutes"."""

PING = re.compile(r"@(everyone|here)|<@&(\d+)>|<@!?(\d+)>")
KEPT = ("content", "embeds", "components", "flags", "allowed_mentions")


@dataclasses.dataclass(eq=False, slots=True)
class Attachment:
    """A file that hangs on a message."""

    id: int
    filename: str
    content: bytes
    url: str

    def payload(self) -> dict[str, Any]:
        size = len(self.content)
        return {"id": str(self.id), "filename": self.filename, "size": size, "url": self.url, "proxy_url": self.url}


@dataclasses.dataclass(eq=False, slots=True)
class Message:
    """A message as it stands now; `states` holds what it was, oldest first.

    Attributes:
        body: What the bot set: content, embeds, components, flags, allowed_mentions.
        deleted: True once it is gone.
        edits: How often it was edited.
    """

    id: int
    channel: Channel
    author: User
    body: dict[str, Any]
    sent_at: str
    attachments: list[Attachment] = dataclasses.field(default_factory=list)
    nonce: Any = None
    webhook_id: int | None = None
    name: str | None = None
    edited_at: str | None = None
    deleted: bool = False
    reference: dict[str, Any] | None = None
    states: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def content(self) -> str:
        """The text."""
        return self.body.get("content") or ""

    @property
    def embeds(self) -> list[dict[str, Any]]:
        """The embeds as JSON."""
        return self.body.get("embeds") or []

    @property
    def components(self) -> list[dict[str, Any]]:
        """The components as the bot sent them."""
        return self.body.get("components") or []

    @property
    def flags(self) -> int:
        """Discord's flag bits."""
        return self.body.get("flags") or 0

    @property
    def ephemeral(self) -> bool:
        """Whether only one person sees it."""
        return bool(self.flags & EPHEMERAL)

    @property
    def loading(self) -> bool:
        """Whether it still says that the bot is thinking."""
        return bool(self.flags & LOADING)

    @property
    def edits(self) -> int:
        """How often it was edited."""
        return len(self.states)

    @property
    def files(self) -> dict[str, bytes]:
        """The attached files by name."""
        return {attachment.filename: attachment.content for attachment in self.attachments}

    @property
    def custom_ids(self) -> list[str]:
        """The custom ids of its buttons and selects."""
        return [one["custom_id"] for _, one in parts.walk(self.components) if one.get("custom_id")]

    @property
    def text(self) -> str:
        """All that one reads: content, texts of components, embeds; a line each."""
        lines = [self.content, *(one.get("content", "") for _, one in parts.walk(self.components))]
        for embed in self.embeds:
            lines += [embed.get("title", ""), embed.get("description", "")]
            lines += [f"{field['name']}: {field['value']}" for field in embed.get("fields", [])]
            lines.append((embed.get("footer") or {}).get("text", ""))
        return "\n".join(line for line in lines if line)

    @property
    def pings(self) -> set[str]:
        """Whom it notifies, as it stands: "everyone", "here", "role:1", "user:1" (embeds never do)."""
        allowed = self.body.get("allowed_mentions")
        texts = [self.content, *(one.get("content", "") for _, one in parts.walk(self.components))]
        return {ping for text in texts for match in PING.finditer(text) if (ping := _ping(match, allowed))}

    def payload(self) -> dict[str, Any]:
        """The message as Discord answers it; what does not apply is absent, not null."""
        urls = {attachment.filename: attachment.url for attachment in self.attachments}
        told = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.payload() | ({"username": self.name} if self.name else {}),
            "content": self.content,
            "timestamp": self.sent_at,
            "edited_timestamp": self.edited_at,
            "tts": False,
            "mention_everyone": bool(self.pings & {"everyone", "here"}),
            "mentions": [],
            "mention_roles": [],
            "attachments": [attachment.payload() for attachment in self.attachments],
            "embeds": [_embed(embed) for embed in self.embeds],
            "components": parts.answered(self.components, urls),
            "pinned": False,
            "flags": self.flags,
            "type": 19 if self.reference else 0,
        }
        optional = {"nonce": self.nonce, "message_reference": self.reference}
        optional["webhook_id"] = str(self.webhook_id) if self.webhook_id else None
        return told | {key: value for key, value in optional.items() if value is not None}


def _embed(embed: Mapping[str, Any]) -> dict[str, Any]:
    fields = [{"inline": False} | field for field in embed.get("fields") or []]
    return {"type": "rich"} | dict(embed) | ({"fields": fields} if fields else {})


def _ping(match: re.Match[str], allowed: Mapping[str, Any] | None) -> str | None:
    everyone, role, user = match.groups()
    kind, one = ("everyone", everyone) if everyone else ("roles", role) if role else ("users", user)
    parse = ("everyone", "roles", "users") if allowed is None else allowed.get("parse") or ()
    listed = map(str, (allowed or {}).get(kind) or ())
    if kind not in parse and one not in listed:
        return None
    return one if everyone else f"{kind[:-1]}:{one}"


class Messages:
    """Makes, changes and removes messages, and says who made what where.

    Args:
        clock: Dates messages and ends the window of nonces.
        ids: Numbers messages and attachments.
        cdn: Where attachments are served, without a slash at the end.
    """

    def __init__(self, *, clock: Clock, ids: Snowflakes, cdn: str) -> None:
        self._clock, self._ids, self._cdn = clock, ids, cdn
        self._by_id: dict[int, Message] = {}
        self._nonces: dict[Any, tuple[Message, float]] = {}

    def every(self) -> Iterable[Message]:
        """All messages ever, oldest first, deleted and ephemeral ones too."""
        return self._by_id.values()

    def within(self, channel: Channel, *, deleted: bool = False) -> list[Message]:
        """What stands in a channel for everyone to see, oldest first; with `deleted` also what stood there."""
        inside = (message for message in self._by_id.values() if message.channel is channel)
        return [message for message in inside if not message.ephemeral and (deleted or not message.deleted)]

    def find(self, channel: Channel, message_id: str) -> Message:
        """Raises: Refusal: 10008 where the channel has no such message."""
        message = self._by_id.get(int(message_id)) if message_id.isdigit() else None
        if message is None or message.deleted or message.channel is not channel:
            raise Refusal(10008)
        return message

    def attachment(self, attachment_id: int) -> Attachment | None:
        """An attachment of any message."""
        every = (attachment for message in self._by_id.values() for attachment in message.attachments)
        return next((attachment for attachment in every if attachment.id == attachment_id), None)

    def repeated(self, body: Mapping[str, Any]) -> Message | None:
        """The message that an enforced nonce already made, or None.

        Raises:
            Refusal: 10008 where that message has been deleted since.
        """
        known = self._nonces.get(body.get("nonce"))
        if known is None or not body.get("enforce_nonce") or self._clock.now() - known[1] > NONCE_WINDOW_S:
            return None
        if known[0].deleted:
            raise Refusal(10008)
        return known[0]

    def create(
        self,
        channel: Channel,
        author: User,
        body: Mapping[str, Any],
        *,
        files: Mapping[str, File],
        webhook_id: int | None = None,
        number: int | None = None,
    ) -> Message:
        """Make a message; `number` is its id where that is given. Raises: Refusal: where Discord would."""
        check_files(files)
        check_message({**body, "attachments": list(files)})
        nonce = body.get("nonce")
        message = Message(number or self._ids.next(), channel, author, _kept(body), self._clock.iso(), nonce=nonce)
        message.webhook_id, message.name, message.reference = webhook_id, body.get("username"), _reference(body)
        message.attachments = self._attached(channel, files)
        self._by_id[message.id] = message
        if nonce is not None:
            self._nonces[nonce] = (message, self._clock.now())
        return message

    def loading(self, channel: Channel, author: User, *, flags: int, webhook_id: int) -> Message:
        """The message of a deferral, which says that the bot is thinking."""
        body = {"flags": (flags & EPHEMERAL) | LOADING}
        message = Message(self._ids.next(), channel, author, body, self._clock.iso(), webhook_id=webhook_id)
        self._by_id[message.id] = message
        return message

    def edit(self, message: Message, body: Mapping[str, Any], *, files: Mapping[str, File]) -> None:
        """Change what the body names. Raises: Refusal: where Discord would refuse what then stands."""
        check_files(files)
        fixed = message.flags & (EPHEMERAL | V2)
        merged = message.body | {"allowed_mentions": None} | _kept(body)
        merged["flags"] = (body.get("flags", message.flags) or 0) & ~LOADING | fixed
        kept = self._remaining(message, body)
        check_message(merged | {"attachments": [*kept, *files]})
        message.states.append(message.payload())
        message.body, message.edited_at = merged, self._clock.iso()
        message.attachments = [*kept, *self._attached(message.channel, files)]

    def _remaining(self, message: Message, body: Mapping[str, Any]) -> list[Attachment]:
        if "attachments" not in body:
            return message.attachments
        named = {str(one["id"]) for one in body["attachments"] or [] if "id" in one}
        return [attachment for attachment in message.attachments if str(attachment.id) in named]

    def _attached(self, channel: Channel, files: Mapping[str, File]) -> list[Attachment]:
        return [self._attachment(channel, file) for file in files.values()]

    def _attachment(self, channel: Channel, file: File) -> Attachment:
        number = self._ids.next()
        return Attachment(number, file.filename, file.content, f"{self._cdn}/{channel.id}/{number}/{file.filename}")


def _kept(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in KEPT if name in body}


def _reference(body: Mapping[str, Any]) -> dict[str, Any] | None:
    told = body.get("message_reference")
    if not told:
        return None
    names = ("message_id", "channel_id", "guild_id")
    return {"type": 0} | {name: str(told[name]) for name in names if told.get(name)}
