"""The fake as a whole: one loopback port that serves REST, the gateway and attachments, for a bot in any process."""

from __future__ import annotations

import contextlib
import json
import socket as sockets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aiohttp import BodyPartReader, web

from tests.fake_discord import callbacks, description, posts, rest
from tests.fake_discord.client import point_at
from tests.fake_discord.clock import Clock
from tests.fake_discord.faults import Fault
from tests.fake_discord.people import People
from tests.fake_discord.recording import File, Request
from tests.fake_discord.refusal import Refusal
from tests.fake_discord.rest import Answer
from tests.fake_discord.state import State

Handler = Callable[[State, Request], Answer]

HOOK = "/webhooks/{webhook_id}/{webhook_token}"
ORIGINAL = HOOK + "/messages/@original"
SAID = HOOK + "/messages/{message_id}"
MESSAGES = "/channels/{channel_id}/messages"
MESSAGE = MESSAGES + "/{message_id}"
COMMANDS = "/applications/{application_id}/commands"
GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"

ROUTES: Mapping[str, Handler] = {
    "GET /users/@me": rest.me,
    "POST /users/@me/channels": rest.open_dm,
    "GET /users/@me/guilds": rest.my_guilds,
    "GET /users/{user_id}": rest.user,
    "GET /guilds/{guild_id}/roles": rest.roles,
    "GET /guilds/{guild_id}/members/{user_id}": rest.member,
    "GET /oauth2/applications/@me": rest.application,
    "GET /gateway": rest.gateway,
    f"GET {COMMANDS}": rest.get_commands,
    f"PUT {COMMANDS}": rest.put_commands,
    f"GET {GUILD_COMMANDS}": rest.get_commands,
    f"PUT {GUILD_COMMANDS}": rest.put_commands,
    "GET /channels/{channel_id}": rest.channel,
    "POST /channels/{channel_id}/typing": rest.typing,
    "POST /channels/{channel_id}/threads": posts.thread,
    "GET /channels/{channel_id}/threads/archived/public": posts.archived_threads,
    "GET /guilds/{guild_id}/threads/active": posts.active_threads,
    f"POST {MESSAGES}": posts.create,
    f"GET {MESSAGES}": posts.history,
    f"GET {MESSAGE}": posts.get,
    f"PATCH {MESSAGE}": posts.edit,
    f"DELETE {MESSAGE}": posts.delete,
    f"POST {MESSAGE}/threads": posts.thread_of_message,
    "POST /interactions/{interaction_id}/{interaction_token}/callback": callbacks.respond,
    f"GET {HOOK}": callbacks.webhook,
    f"POST {HOOK}": callbacks.execute,
    f"GET {ORIGINAL}": callbacks.get_message,
    f"PATCH {ORIGINAL}": callbacks.edit_message,
    f"DELETE {ORIGINAL}": callbacks.delete_message,
    f"GET {SAID}": callbacks.get_message,
    f"PATCH {SAID}": callbacks.edit_message,
    f"DELETE {SAID}": callbacks.delete_message,
}
"""Every route; those with fixed parts stand before those that would swallow them."""

OPEN = ("/interactions/", "/webhooks/", "/gateway")
"""These need no Authorization header: the token is in the path, or none is needed."""


class FakeDiscord(People):
    """A running fake; `state` says what it remembers, `people` what members can do.

    Example:
        ```python
        fake = await FakeDiscord.start()
        guild, channel, ada = fake.guild(), fake.channel("ops"), fake.member("ada")
        with fake.used():
            ...  # start the bot
            interaction = await fake.command(ada, "run", pipeline="sales")
            message = await interaction.shown()
        await fake.stop()
        ```
    """

    @classmethod
    async def start(cls, *, token: str = "fake.bot.token", clock: Clock | None = None) -> FakeDiscord:
        """Serve on a free loopback port until `stop`."""
        listener = sockets.socket()
        listener.bind(("127.0.0.1", 0))
        fake = cls(token=token, clock=clock or Clock(), base=f"http://127.0.0.1:{listener.getsockname()[1]}")
        fake.description = description.load()
        await fake._serve(listener)
        return fake

    description: description.Description | None = None
    _runner: web.AppRunner

    async def _serve(self, listener: sockets.socket) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/attachments/{channel_id}/{attachment_id}/{name}", self._attachment)
        for name, handler in ROUTES.items():
            method, route = name.split(" ")
            app.router.add_route(method, f"/api/v10{route}", self._route(route, handler))
        app.router.add_route("*", "/{path:.*}", self._route("?", _nowhere))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stop serving. Raises: AssertionError: the fake broke Discord's description, or lacks a route."""
        self.gateway.close(1001)
        self.faults.release()
        await self._runner.cleanup()
        assert not self.problems, "\n".join(self.problems)

    @contextlib.contextmanager
    def used(self) -> Iterator[FakeDiscord]:
        """Let the discord.py clients of this process speak to this fake within the block."""
        with point_at(self.api_base, self.gateway_url):
            yield self

    @property
    def environment(self) -> dict[str, str]:
        """What a bot in another process needs in its environment to find the fake."""
        return {"DISCORD_API_BASE": self.api_base, "DISCORD_GATEWAY_URL": self.gateway_url}

    def _route(self, route: str, handler: Handler) -> Callable[[web.Request], Any]:
        async def serve(request: web.Request) -> web.StreamResponse:
            call = await _decoded(request, route, self.clock.now())
            self.requests.append(call)
            fault = self.faults.take(call)
            try:
                if fault is not None and not fault.after:
                    return await self._go_wrong(fault, call, request)
                call.status, body = self._answer(call, handler)
                if fault is not None:
                    self.changes.notify()
                    return await self._go_wrong(fault, call, request)
                return _json(call.status, body)
            finally:
                self.changes.notify()

        return serve

    def _answer(self, call: Request, handler: Handler) -> Answer:
        try:
            if call.token != self.token and not call.route.startswith(OPEN):
                raise Refusal(0)
            if self.description is not None:
                self.description.check_request(call.method, call.route, call.body, multipart=call.multipart)
            status, body = handler(self, call)
        except Refusal as refusal:
            return refusal.status, refusal.body
        except Exception as error:  # noqa: BLE001 - a mistake of the fake must fail the test, not only the request
            self.problems.append(f"{call.method} {call.path}: {type(error).__name__}: {error}; body {call.body}")
            return 501, {"code": 0, "message": "the fake failed"}
        self._judge(call, status, body)
        return status, body

    def _judge(self, call: Request, status: int, body: Any) -> None:
        if self.description is None:
            return
        wrong = self.description.fault_of_answer(call.method, call.route, status, body)
        if wrong is not None:
            self.problems.append(wrong)

    async def _go_wrong(self, fault: Fault, call: Request, request: web.Request) -> web.StreamResponse:
        call.status = fault.status
        if fault.kind == "answer":
            text = fault.body.encode()
            headers = {"Content-Type": fault.content_type, **fault.headers}
            return web.Response(status=fault.status, body=text, headers=headers)
        if fault.kind == "hang":
            self.changes.notify()
            await self.faults.released()
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=500)

    async def _attachment(self, request: web.Request) -> web.Response:
        found = self.store.attachment(int(request.match_info["attachment_id"]))
        return web.Response(status=404) if found is None else web.Response(body=found.content)


def _nowhere(_state: State, call: Request) -> Answer:
    raise NotImplementedError(f"the fake has no route {call.method} {call.path}")


def _json(status: int, body: Any) -> web.Response:
    if status == 204:
        return web.Response(status=204)
    return web.Response(status=status, body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


async def _decoded(request: web.Request, route: str, now: float) -> Request:
    body: Any = None
    files: dict[str, File] = {}
    multipart = request.content_type == "multipart/form-data"
    if multipart:
        body, files = await _form(request)
    elif request.can_read_body:
        body = await request.json()
    token = request.headers.get("Authorization")
    path = request.path.removeprefix("/api/v10")
    found = token.removeprefix("Bot ") if token else None
    query = dict(request.query)
    return Request(request.method, route, path, request.match_info, query, body, files, found, now, multipart)


async def _form(request: web.Request) -> tuple[Any, dict[str, File]]:
    body: Any = None
    files: dict[str, File] = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        if part.name == "payload_json":
            body = json.loads(await part.text())
        elif part.name and part.filename:
            files[part.name] = File(part.filename, bytes(await part.read()))
    return body, files
