"""The whole program over a fake Discord: services in processes of their own, which a test starts, kills and stops."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.bot.conftest import place
from tests.fake_discord import FakeDiscord
from tests.fake_discord.interactions import Interaction
from tests.fake_discord.messages import Message
from tests.fake_discord.world import Channel, Guild, Member
from tests.project import Project, Service

PATIENCE_S = 25.0
CREATE = "POST /channels/{channel_id}/messages"
EDIT = "PATCH /channels/{channel_id}/messages/{message_id}"
CALLBACK = "POST /interactions/{interaction_id}/{interaction_token}/callback"
COMMANDS = "PUT /applications/{application_id}/guilds/{guild_id}/commands"
LOGIN = "GET /users/@me"


@dataclass
class Whole:
    """A project whose programs find the fake, its token and its guild in their environment.

    Attributes:
        channel: Where people are; `results` and `alerts` are for what pipelines say by themselves.
        olga: An operator by her role.
        now: The service that was started last.
    """

    project: Project
    fake: FakeDiscord
    guild: Guild
    channel: Channel
    results: Channel
    alerts: Channel
    olga: Member
    now: Service = field(init=False)

    def write(self, pipelines: str, more: str = "") -> None:
        """Write the pipelines file: `pipelines` is YAML below that key, `more` further sections."""
        head = f"""
discord: {{guilds: [{self.guild.id}], shortest_interval: 1}}
policy: {{operator: {{roles: [{self.olga.roles[0].id}]}}}}
{more}
pipelines:
"""
        self.project.write(head + pipelines)

    @contextmanager
    def service(self, **env: str) -> Iterator[Service]:
        """Start the service with further settings; it is killed at the end if it still runs."""
        before = dict(self.project.env)
        self.project.env.update(env)
        try:
            with self.project.service() as service:
                self.now = service
                yield service
        finally:
            self.project.env = before

    @asynccontextmanager
    async def connected(self, **env: str) -> AsyncIterator[Service]:
        """Start the service and wait until its bot has identified."""
        with self.service(**env) as service:
            await self.until(lambda: self.fake.gateway.connected, "a bot on the gateway")
            yield service

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something, while the fake goes on; what the service said is in the complaint."""
        try:
            return await self.fake.until(condition, timeout_s=PATIENCE_S, what=what)
        except TimeoutError as error:
            raise AssertionError(f"{error}; the service said\n{self.now.said}") from None

    async def said(self, text: str, count: int = 1) -> None:
        """Wait until the service has said something at least `count` times."""
        await self.until(lambda: self.now.said.count(text) >= count, f"{count} times {text!r}")

    async def kill(self) -> None:
        """Kill with -9, and wait until Discord has noticed as well."""
        self.now.process.kill()
        await asyncio.to_thread(self.now.process.wait)
        self.fake.faults.release()
        await self.until(lambda: not self.fake.gateway.connected, "the end of the connection")

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the service with a signal, and return its exit code."""
        return await asyncio.to_thread(self.now.stop, number)

    async def run_once(self, *names: str, **env: str) -> tuple[int, str]:
        """Run `main.py` to its end; return its exit code and all that it said."""
        here = replace(self.project, env=self.project.env | env)
        done = await asyncio.to_thread(here.run, "main.py", *names)
        return done.returncode, done.stdout + done.stderr

    async def run(self, pipeline: str) -> tuple[Interaction, Message]:
        """Have Olga type /run; return what she did, and the card that she got."""
        asked = await self.fake.command(self.olga, "run", channel=self.channel, pipeline=pipeline)
        return asked, await asked.shown()

    async def press(self, message: Message, custom_id: str) -> str:
        """Have Olga press a button, and return what she then reads."""
        pressed = await self.fake.press(self.olga, message, custom_id)
        await pressed.shown()
        return pressed.text

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read from the store; nothing as long as there is none."""
        return self.project.query(statement, *values) if (self.project.folder / "store.db").exists() else []

    def waiting(self) -> int:
        """How many messages are not delivered yet."""
        return len(self.rows("SELECT id FROM outbox WHERE state IN ('queued', 'sending')"))


def whole_of(project: Project, fake: FakeDiscord) -> Whole:
    """The project at the fake's place, with channels for what pipelines say."""
    guild, channel, _, olga, _ = place(fake)
    project.env |= fake.environment | {"DISCORD_TOKEN": fake.token}
    return Whole(project, fake, guild, channel, fake.channel("results"), fake.channel("alerts"), olga)
