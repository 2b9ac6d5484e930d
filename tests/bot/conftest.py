"""Fixtures of the bot's tests: a fake Discord, and the real bot over the real scheduler, connected to it."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import discord
import pytest

from bot.client import Pace
from bot.face import DiscordFace
from pipelines import Engine
from tests.fake_discord import FakeDiscord
from tests.fake_discord.state import NORMAL
from tests.fake_discord.world import Channel, Guild, Member
from tests.project import Project

MANAGER = NORMAL | discord.Permissions(manage_guild=True).value
QUICK = Pace(identify_s=0.0, guilds_s=0.01)
"""A bot that waits for nothing but for its own answers: how long those take depends on what else the machine does."""
OPERATORS = "operators"

FETCHER = """
    from pipelines import Fetcher

    class One(Fetcher):
        async def fetch(self):
            yield {"n": 1}
"""


@dataclass
class Running:
    """A bot at work.

    Attributes:
        ann: May manage the server, so she is an admin; `olga` is an operator by her role, `vic` a viewer.
    """

    face: DiscordFace
    scheduler: Engine
    fake: FakeDiscord
    guild: Guild
    channel: Channel
    ann: Member
    olga: Member
    vic: Member

    @property
    def bot(self):
        """The bot of the present connection."""
        return self.face.bot


@pytest.fixture
async def fake() -> AsyncIterator[FakeDiscord]:
    """A fake Discord that this process's clients speak to; what it did wrong fails the test at the end."""
    discord_ = await FakeDiscord.start()
    with discord_.used():
        yield discord_
    await discord_.stop()


def place(fake: FakeDiscord) -> tuple[Guild, Channel, Member, Member, Member]:
    """The guild with its channel and people, furnished at the first call."""
    if not fake.guilds:
        guild = fake.guild("Shop")
        fake.channel("ops")
        role = fake.role(OPERATORS)
        fake.member("ann", permissions=MANAGER)
        fake.member("olga", roles=[role])
        fake.member("vic")
    guild = fake.guilds[0]
    people = {member.user.name: member for member in guild.members}
    return guild, guild.channels[0], people["ann"], people["olga"], people["vic"]


@asynccontextmanager
async def running(project: Project, fake: FakeDiscord, **settings: Any) -> AsyncIterator[Running]:
    """Within the block the scheduler runs the project's pipelines, and the bot is connected to the fake.

    A file without a `policy` gets one that makes the role `operators` operators. Entered a second time it is a restart:
    the same store, the same guild and people. `settings` are further settings.
    """
    guild, channel, ann, olga, vic = place(fake)
    _give_policy(project, next(role.id for role in guild.roles if role.name == OPERATORS))
    given = {
        "discord_token": fake.token,
        "discord_guilds": str(guild.id),
        "discord_api_base": fake.api_base,
        "discord_gateway_url": fake.gateway_url,
    }
    chosen = project.settings(**given | settings)
    project.with_store()
    face = DiscordFace(chosen, project.env, pace=QUICK)
    scheduler = Engine(chosen, project.catalog(chosen), env=project.env, channels=face.channels())
    async with scheduler:
        await scheduler.start()
        await scheduler.start_timetable()
        await face.start(scheduler)
        try:
            await fake.until(lambda: face.bot is not None and face.bot.up, what="the bot")
            yield Running(face, scheduler, fake, guild, channel, ann, olga, vic)
        finally:
            await face.stop()
            await scheduler.drain(5)


def _give_policy(project: Project, role: int) -> None:
    path = project.folder / "pipelines.yml"
    text = path.read_text(encoding="utf-8")
    if not any(line.startswith("policy:") for line in text.splitlines()):
        policy = textwrap.dedent(
            f"""
            policy:
              operator:
                roles: [{role}]
            """
        )
        path.write_text(text + policy, encoding="utf-8")


async def settled() -> None:
    """Let what is ready in the event loop go on."""
    for _ in range(5):
        await asyncio.sleep(0)
