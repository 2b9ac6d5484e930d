"""Messages of the outbox as the bot's own messages in Discord: targets `discord:ID` of a channel, thread or forum.

A new message carries the parcel's nonce, so that trying again within a few minutes makes no second one. After that, and
for posts of a forum, which know no nonce, what an earlier try may have made is looked for first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from discord.utils import time_snowflake

from bot import drafts
from bot.drafts import Draft, draft, is_same, simpler
from bot.refusals import NoMessage
from bot.rest import Rest
from pipelines import Gone, Parcel, Rejected, TooBig

Renderer: TypeAlias = Callable[[Parcel], Awaitable[Mapping[str, Any] | None]]
"""Makes the payload of a message when it is delivered; None where there is nothing to say any more."""

NONCE_S = 120.0
"""For so long after the first try a nonce is relied on. Discord remembers it for "a few minutes"."""
SKEW = timedelta(seconds=5)
"""How far Discord's clock may be behind ours."""
LOOKED_AT = 1000
"""How many messages are looked through for one of an earlier try."""
FORUMS = (15, 16)
MOST_TAGS = 5


class DiscordChannel:
    """Delivers to Discord by the bot's token. An id in a forum's post is `post/message`."""

    def __init__(self, rest: Rest, renderers: Mapping[str, Renderer]) -> None:
        """`renderers` make the payloads of the kinds that are not "message", whose body holds it."""
        self._rest = rest
        self._renderers = renderers

    async def deliver(self, parcel: Parcel) -> str | None:
        """Send a message or change one; return its id. A message that was deleted meanwhile is not made again."""
        wanted = await self._draft(parcel)
        if wanted is None:
            return parcel.message_id
        while True:
            try:
                return await self._send(parcel, wanted)
            except NoMessage:
                return parcel.message_id  # deleted by somebody, after this nonce made it or before it was changed
            except (Rejected, TooBig) as fault:
                easier = simpler(wanted, fault, edit=parcel.message_id is not None)
                if easier is None:
                    raise
                wanted = easier

    async def find(self, parcel: Parcel) -> Sequence[str]:
        """Return own messages, of the time since the first try, that say the same."""
        new_post = "forum" in parcel.body and parcel.post_id is None
        if not new_post and (parcel.at - parcel.first_tried_at).total_seconds() < NONCE_S:
            return []
        wanted = await self._draft(parcel)
        if wanted is None:
            return []
        return await (self._posts(parcel) if new_post else self._messages(parcel, wanted))

    def together(self, parcels: Sequence[Parcel]) -> tuple[Sequence[int], Mapping[str, Any]] | None:
        """Tell many plain messages by one with a file."""
        return drafts.together(parcels)

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()

    async def _draft(self, parcel: Parcel) -> Draft | None:
        if not parcel.address.isdecimal():
            raise Rejected(f"'{parcel.address}' is not the id of a channel")
        if parcel.kind == "message":
            return draft(parcel.body["payload"], parcel.body.get("files") or ())
        if parcel.kind not in self._renderers:
            raise Rejected(f"nothing here makes a message of kind '{parcel.kind}'")
        payload = await self._renderers[parcel.kind](parcel)
        return None if payload is None else draft(payload)

    async def _send(self, parcel: Parcel, wanted: Draft) -> str:
        if parcel.message_id is not None:
            post, _, message = parcel.message_id.rpartition("/")
            await self._rest.edit_message(post or parcel.address, message, wanted.payload, wanted.files)
            return parcel.message_id
        if parcel.body.get("forum"):
            return await self._send_to_forum(parcel, wanted)
        return await self._create(parcel.address, parcel, wanted)

    async def _create(self, channel_id: str, parcel: Parcel, wanted: Draft) -> str:
        message = await self._rest.send(channel_id, wanted.payload, wanted.files, parcel.nonce)
        if parcel.attempts > 1 and not wanted.is_v2 and not is_same(message, wanted):
            # An earlier try arrived, and what it said was replaced since: the nonce gave us the old message.
            await self._rest.edit_message(channel_id, message["id"], wanted.payload)
        return str(message["id"])

    async def _send_to_forum(self, parcel: Parcel, wanted: Draft) -> str:
        if parcel.post_id is not None:
            try:
                return f"{parcel.post_id}/{await self._create(parcel.post_id, parcel, wanted)}"
            except Gone as fault:
                if isinstance(fault, NoMessage):
                    raise
        place = await self._rest.channel(parcel.address)
        if place.get("type") not in FORUMS:
            return await self._create(parcel.address, parcel, wanted)
        given = parcel.body["forum"]
        tags = _tag_ids(place, given.get("tags") or ())
        post = await self._rest.create_post(parcel.address, given["name"], wanted.payload, wanted.files, tags)
        return f"{post['id']}/{post['id']}"  # the first message of a post has its post's id

    async def _posts(self, parcel: Parcel) -> list[str]:
        place, me = await self._rest.channel(parcel.address), await self._rest.me()
        if place.get("type") not in FORUMS:
            return []
        name, since = parcel.body["forum"]["name"], _snowflake(parcel.first_tried_at)
        ours = [
            int(thread["id"])
            for thread in await self._rest.threads(place)
            if thread["name"] == name and str(thread.get("owner_id")) == str(me["id"]) and int(thread["id"]) > since
        ]
        return [f"{each}/{each}" for each in sorted(ours)]

    async def _messages(self, parcel: Parcel, wanted: Draft) -> list[str]:
        since, me = str(_snowflake(parcel.first_tried_at)), await self._rest.me()
        later = await self._rest.messages_after(parcel.post_id or parcel.address, since, LOOKED_AT)
        ours = [str(each["id"]) for each in later if each["author"]["id"] == me["id"] and is_same(each, wanted)]
        return [each if parcel.post_id is None else f"{parcel.post_id}/{each}" for each in ours]


def _snowflake(at: datetime) -> int:
    """Return the smallest id that a message made after `at`, less what clocks may differ, can have."""
    return time_snowflake(at - SKEW)


def _tag_ids(forum: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return the ids of a forum's tags by their names; a name that there is none of is left out."""
    known = {tag["name"].casefold(): str(tag["id"]) for tag in forum.get("available_tags") or ()}
    return [known[name.casefold()] for name in names if name.casefold() in known][:MOST_TAGS]
