"""Messages of the outbox by a Discord webhook: targets `webhook:NAME`; the variable NAME holds the address.

A webhook needs no bot and no token, and knows no nonce: what was tried and may have arrived is tried again, so that a
message arrives at least once, and now and then twice. Where that matters, deliver by the bot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot import drafts
from bot.drafts import Draft, draft, simpler
from bot.refusals import NoChannel, NoMessage
from bot.rest import Rest
from pipelines import Forbidden, Gone, Parcel, Rejected, TooBig, Unauthorised

_ADDRESS = re.compile(r"https?://[^/\s]+/api/(v\d+/)?webhooks/\d+/[\w-]+")


class WebhookChannel:
    """Delivers by webhooks whose addresses are in the environment."""

    def __init__(self, rest: Rest, env: Mapping[str, str]) -> None:
        """`env` is where the addresses are, by name; it is read anew for each message."""
        self._rest = rest
        self._env = env
        self._gone: set[str] = set()

    async def deliver(self, parcel: Parcel) -> str | None:
        """Send a message or change one; return its id. A webhook that is gone is never asked again: Discord counts."""
        if parcel.kind != "message":
            raise Rejected(f"a webhook takes messages, not a message of kind '{parcel.kind}'")
        url = self._url(parcel.address)
        wanted = draft(parcel.body["payload"], parcel.body.get("files") or ())
        while True:
            try:
                return await self._send(url, parcel, wanted)
            except NoMessage:
                return parcel.message_id
            except NoChannel:
                raise  # a thread of its channel
            except (Gone, Unauthorised):
                self._gone.add(url)
                raise Gone(_mend(parcel.address, "was deleted at Discord")) from None
            except (Rejected, TooBig) as fault:
                easier = simpler(wanted, fault, edit=parcel.message_id is not None)
                if easier is None:
                    raise
                wanted = easier

    async def find(self, parcel: Parcel) -> Sequence[str]:  # noqa: ARG002 -- the protocol's
        """Return nothing: a webhook cannot read."""
        return []

    def together(self, parcels: Sequence[Parcel]) -> tuple[Sequence[int], Mapping[str, Any]] | None:
        """Tell many plain messages by one with a file."""
        return drafts.together(parcels)

    async def close(self) -> None:
        """Close the connections."""
        await self._rest.close()

    def _url(self, name: str) -> str:
        url = self._env.get(name, "").strip().rstrip("/")
        if not _ADDRESS.fullmatch(url):
            what = "is not the address of a Discord webhook" if url else "is not set"
            raise Forbidden(_mend(name, what))
        if url in self._gone:
            raise Gone(_mend(name, "was deleted at Discord"))
        return url

    async def _send(self, url: str, parcel: Parcel, wanted: Draft) -> str:
        payload, thread = dict(wanted.payload), parcel.body.get("thread_id") or parcel.post_id
        if parcel.message_id is not None:
            post, _, message = parcel.message_id.rpartition("/")
            await self._rest.execute_webhook(url, payload, wanted.files, message_id=message, thread_id=post or thread)
            return parcel.message_id
        forum = parcel.body.get("forum")
        if forum and thread is None:
            payload["thread_name"] = forum["name"]  # tags have no names for a webhook: they need the bot
        said = await self._rest.execute_webhook(url, payload, wanted.files, thread_id=thread)
        return f"{said['channel_id']}/{said['id']}" if forum else str(said["id"])


def _mend(name: str, what: str) -> str:
    return (
        f"the webhook {name} {what}. Make one (channel settings, Integrations, Webhooks), put its address into the "
        f"environment or .env as {name}=https://discord.com/api/webhooks/… and start the service again"
    )
