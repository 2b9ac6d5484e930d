"""Discord's REST, without a gateway: what delivering, the card keeper and the doctor ask of it.

It goes through discord.py's own HTTP client, so that rate limits are kept. Nothing waits without bound: whatever takes
longer than `TIMEOUT_S` is given up, and the caller learns that it may or may not have happened.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
import discord
from discord.http import HTTPClient, Route

from bot.refusals import REFUSED, fault_of
from pipelines import ConfigError, Settings, Unauthorised, Unsure, Wait

JSON: TypeAlias = dict[str, Any]
Id: TypeAlias = int | str
"""One of Discord's ids."""

TIMEOUT_S = 20.0
LONGEST_LIMIT_S = 10.0
"""A rate limit that asks for more than this is told to the caller, who knows better what to do meanwhile."""
REFUSED_S = 60.0
"""For so long after a refused login nobody else tries one: Discord counts refusals."""
PAGE = 100
"""Discord gives so many messages at once."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to attach."""

    name: str
    content: bytes


class Rest:
    """Discord's REST as the bot; logs in when first used.

    Every method raises a `DeliveryFault` where Discord, or the way to it, says no.
    """

    def __init__(self, settings: Settings) -> None:
        """Open nothing yet. The token is read when it is needed."""
        self._settings = settings
        self._http: HTTPClient | None = None
        self._web: aiohttp.ClientSession | None = None
        self._user: JSON = {}
        self._lock = asyncio.Lock()
        self._refused_until = 0.0

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        http, self._http = self._http, None
        web, self._web = self._web, None
        if http is not None:
            await http.close()
        if web is not None:
            await web.close()

    async def renew(self) -> None:
        """Log in anew when next used: there is another token."""
        http, self._http = self._http, None
        self._refused_until = 0.0
        if http is not None:
            await http.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        files: Sequence[Upload] = (),
        query: Mapping[str, str] | None = None,
        **parameters: Id,
    ) -> Any:
        """Ask for `path`, a template such as `/channels/{channel_id}`; return the decoded answer.

        Raises:
            DeliveryFault: Discord said no, or nothing that can be read.
        """
        with self._told():
            async with asyncio.timeout(TIMEOUT_S):
                http = await self._client()
                route = Route(method, path, **{name: str(value) for name, value in parameters.items()})
                given: JSON = {"params": query} if query else {}
                try:
                    if files:
                        with _opened(files) as opened:
                            answer = await http.request(route, files=opened, form=_form(body, opened), **given)
                    else:
                        given |= {} if body is None else {"json": body}
                        answer = await http.request(route, **given)
                except asyncio.CancelledError:
                    _mend_limits(http)
                    raise
        if isinstance(answer, str) and answer:
            raise Unsure("an answer that is not Discord's: is there a proxy in between?")
        return answer

    async def me(self) -> JSON:
        """Return the bot's own user."""
        with self._told():
            async with asyncio.timeout(TIMEOUT_S):
                await self._client()
        return self._user

    async def channel(self, channel_id: Id) -> JSON:
        """Return a channel or thread."""
        return _mapping(await self.request("GET", "/channels/{channel_id}", channel_id=channel_id))

    async def send(
        self, channel_id: Id, payload: Mapping[str, Any], files: Sequence[Upload] = (), nonce: str | None = None
    ) -> JSON:
        """Send a message and return it; one with the same nonce, sent a moment ago, is returned instead."""
        body = dict(payload) if nonce is None else {**payload, "nonce": nonce, "enforce_nonce": True}
        path = "/channels/{channel_id}/messages"
        return _mapping(await self.request("POST", path, body=body, files=files, channel_id=channel_id))

    async def create_message(
        self, channel_id: Id, payload: Mapping[str, Any], files: Sequence[Upload] = (), nonce: str | None = None
    ) -> str:
        """Send a message and return its id; see `send`."""
        return str((await self.send(channel_id, payload, files, nonce))["id"])

    async def edit_message(
        self, channel_id: Id, message_id: Id, payload: Mapping[str, Any], files: Sequence[Upload] = ()
    ) -> JSON:
        """Change what `payload` names of an own message. Nobody is pinged unless the payload says so."""
        body = {"allowed_mentions": {"parse": []}, **payload}
        path = "/channels/{channel_id}/messages/{message_id}"
        answer = self.request("PATCH", path, body=body, files=files, channel_id=channel_id, message_id=message_id)
        return _mapping(await answer)

    async def messages_after(self, channel_id: Id, after_id: Id, limit: int = PAGE) -> list[JSON]:
        """Return up to `limit` messages with an id above `after_id`, oldest first."""
        found: list[JSON] = []
        while len(found) < limit:
            query = {"after": str(after_id), "limit": str(min(PAGE, limit - len(found)))}
            path = "/channels/{channel_id}/messages"
            page = await self.request("GET", path, query=query, channel_id=channel_id)
            found += sorted(page, key=lambda message: int(message["id"]))
            if len(page) < PAGE:
                break
            after_id = found[-1]["id"]
        return found

    async def create_post(
        self,
        forum_id: Id,
        name: str,
        payload: Mapping[str, Any],
        files: Sequence[Upload] = (),
        tags: Sequence[str] = (),
    ) -> JSON:
        """Open a post in a forum, with its first message; return the thread. `tags` are ids."""
        body = {"name": name, "applied_tags": list(tags), "message": dict(payload)}
        path = "/channels/{channel_id}/threads"
        return _mapping(await self.request("POST", path, body=body, files=files, channel_id=forum_id))

    async def threads(self, forum: Mapping[str, Any]) -> list[JSON]:
        """Return the open threads of a forum, and the newest of those that were archived."""
        active = await self.request("GET", "/guilds/{guild_id}/threads/active", guild_id=str(forum["guild_id"]))
        path = "/channels/{channel_id}/threads/archived/public"
        archived = await self.request("GET", path, channel_id=str(forum["id"]))
        every = [*active["threads"], *archived["threads"]]
        return [thread for thread in every if str(thread.get("parent_id")) == str(forum["id"])]

    async def execute_webhook(
        self,
        url: str,
        payload: Mapping[str, Any],
        files: Sequence[Upload] = (),
        *,
        message_id: str | None = None,
        thread_id: str | None = None,
    ) -> JSON:
        """Send a message by a webhook, or change the one of `message_id`; return it. No token is needed.

        A webhook knows no nonce: what is tried twice may arrive twice.
        """
        method, address = ("POST", url) if message_id is None else ("PATCH", f"{url}/messages/{message_id}")
        query = {"wait": "true", "with_components": "true"} | ({} if thread_id is None else {"thread_id": thread_id})
        with self._told(), _opened(files) as opened:
            async with asyncio.timeout(TIMEOUT_S):
                self._web = self._web or aiohttp.ClientSession()
                sent: JSON = {"json": dict(payload)}
                if opened:
                    form = aiohttp.FormData(quote_fields=False)
                    for part in _form(payload, opened):
                        form.add_field(**part)
                    sent = {"data": form}
                async with self._web.request(method, address, params=query, allow_redirects=False, **sent) as response:
                    return _answered(response.status, await response.text(), response.headers)

    async def _client(self) -> HTTPClient:
        async with self._lock:
            if self._http is None:
                self._http = await self._logged_in()
            return self._http

    async def _logged_in(self) -> HTTPClient:
        try:
            token = self._settings.bot_token()
        except ConfigError as error:
            raise Unauthorised(str(error)) from None
        if token is None:
            raise Unauthorised("DISCORD_TOKEN is not set; the messages are sent when the service runs with one")
        loop = asyncio.get_running_loop()
        if loop.time() < self._refused_until:
            raise Unauthorised(REFUSED)
        http = HTTPClient(loop)
        http.max_ratelimit_timeout = LONGEST_LIMIT_S  # its constructor would make 30 of less
        try:
            self._user = dict(await http.static_login(token))
        except BaseException as error:
            if isinstance(error, discord.LoginFailure):
                self._refused_until = loop.time() + REFUSED_S
            await http.close()
            raise
        return http

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn whatever goes wrong on the way into a fault. Their own texts may hold addresses: only names are told."""
        try:
            yield
        except discord.LoginFailure:
            raise Unauthorised(REFUSED) from None
        except discord.HTTPException as error:
            raise fault_of(error.status, error.code, error.text, error.response.headers) from None
        except discord.RateLimited as error:
            raise Wait("Discord asks to wait", error.retry_after) from None
        except TimeoutError:
            if self._http is not None:
                # Given up while it waits for a global limit, discord.py keeps this lock: all would wait for ever.
                self._http._global_over.set()  # noqa: SLF001 -- there is no other way to it
            raise Unsure(f"no answer within {TIMEOUT_S:.0f} s") from None
        except (aiohttp.ClientError, OSError, json.JSONDecodeError) as error:
            raise Unsure(f"the connection failed ({type(error).__name__})") from None


def _mend_limits(http: HTTPClient) -> None:
    """Give back what a cancelled request had taken of a limit: the library would let the next one wait for 30 s."""
    for limit in http._buckets.values():  # noqa: SLF001 -- there is no other way to it
        if limit.expires is None and limit.outgoing == 0:
            limit.reset()  # type: ignore[no-untyped-call]  # the library's
            limit._wake(limit.remaining)  # noqa: SLF001 -- as above


@contextmanager
def _opened(files: Sequence[Upload]) -> Iterator[list[discord.File]]:
    opened = [discord.File(io.BytesIO(each.content), each.name) for each in files]
    try:
        yield opened
    finally:
        for each in opened:
            each.close()


def _form(payload: Mapping[str, Any], files: Sequence[discord.File]) -> list[JSON]:
    """Return the parts of a multipart request: the JSON body, which names the files, and each of them."""
    named = [{"id": number, "filename": file.filename} for number, file in enumerate(files)]
    if "message" in payload:
        payload = {**payload, "message": {"attachments": named, **payload["message"]}}
    else:
        payload = {"attachments": named, **payload}
    parts: list[JSON] = [{"name": "payload_json", "value": json.dumps(payload), "content_type": "application/json"}]
    for number, file in enumerate(files):
        part = {"name": f"files[{number}]", "value": file.fp, "filename": file.filename}
        parts.append({**part, "content_type": "application/octet-stream"})
    return parts


def _mapping(answer: Any) -> JSON:
    if not isinstance(answer, dict):
        raise Unsure("an answer that is not Discord's: is there a proxy in between?")
    return answer


def _answered(status: int, text: str, headers: Mapping[str, str]) -> JSON:
    """Return the JSON of a webhook's answer. Raises: DeliveryFault: it was no success."""
    try:
        body = json.loads(text)
    except json.JSONDecodeError:
        body = None
    if 200 <= status < 300:
        return _mapping(body)
    if not isinstance(body, dict):
        raise fault_of(status, 0, text, headers)
    raise fault_of(status, int(body.get("code", 0)), str(body.get("message", "")), headers)
