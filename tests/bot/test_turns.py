"""Several schedulers, one Discord: only the one that leads is connected and delivers; the next takes up all of it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import psycopg
import pytest

from bot.door import WithoutToken
from bot.face import DiscordFace
from pipelines import Engine
from pipelines.faces import standing
from pipelines.leadership import Leadership
from pipelines.store import outbox
from pipelines.store.outbox import Post
from tests.bot.conftest import QUICK, _give_policy, place, running
from tests.bot.gate import Gate
from tests.project import fresh_store
from tests.servers import libpq

PATIENCE_S = 20.0


@pytest.fixture
def gate(project):
    return Gate(project)


@dataclass
class Part:
    """A face as what a leader begins and ends."""

    face: DiscordFace
    engine: Engine

    async def begin(self) -> None:
        await self.face.start(self.engine)

    async def end(self) -> None:
        await self.face.stop()


@asynccontextmanager
async def competing(project, fake, url):
    """A scheduler on a shared store whose bot is connected while it leads."""
    guild, *_ = place(fake)
    _give_policy(project, guild.roles[-1].id)
    settings = project.settings(
        scheduler_db_url=url,
        discord_token=fake.token,
        discord_guilds=str(guild.id),
        discord_api_base=fake.api_base,
        discord_gateway_url=fake.gateway_url,
    )
    face = DiscordFace(settings, project.env, pace=QUICK)
    async with Engine(settings, project.catalog(settings), env=project.env, channels=face.channels()) as engine:
        await engine.start()
        await engine.leading.join(Part(face, engine))
        await engine.start_timetable()
        try:
            yield Part(face, engine)
        finally:
            await engine.kill()


def leads(part: Part) -> bool:
    return part.engine.leading.leadership.leads and part.face.state() == "ready"


async def most_connections(fake, most: list[int]) -> None:
    """Note for ever how many bots are connected at most."""
    while True:
        most.append(max(most.pop(), sum(each.connection is not None for each in fake.gateway._sessions.values())))
        await asyncio.sleep(0.001)


async def test_the_next_leader_takes_up_cards_and_messages(project, fake, gate):
    """When the leader's lock is taken from it, the other connects, edits the card and delivers; all of it once."""
    _, channel, _, olga, _ = place(fake)
    most = [0]
    async with AsyncExitStack() as stack:
        url = stack.enter_context(fresh_store())
        parts = [await stack.enter_async_context(competing(project, fake, url)) for _ in range(2)]
        watching = asyncio.create_task(most_connections(fake, most))
        await fake.until(lambda: any(map(leads, parts)), timeout_s=PATIENCE_S, what="a leader")
        first, second = sorted(parts, key=leads, reverse=True)
        said = standing(second.face, second.engine.leading.leadership)
        await fake.until(
            lambda: said() == f"standby: {first.engine.member.id} leads", timeout_s=PATIENCE_S, what="its name"
        )

        asked = await fake.command(olga, "run", channel=channel, pipeline="gated")
        card = await asked.shown()
        await fake.until(lambda: "running" in card.text, timeout_s=PATIENCE_S, what="a running card")

        with psycopg.connect(libpq(url), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                [f"pipecall lock {first.engine.member.id}"[:63]],
            )
        for number in range(3):
            body = {"payload": {"content": f"message {number}"}}
            post = Post(f"discord:{channel.id}", "message", f"m{number}", body, first.engine.clock())
            await first.engine.writer.call(outbox.post, post)
        await fake.until(lambda: leads(second), timeout_s=PATIENCE_S, what="the other leader")
        gate.say("go")
        await fake.until(lambda: "succeeded" in card.text, timeout_s=PATIENCE_S, what="the card's end")
        await fake.until(lambda: len(contents(fake, channel)) >= 3, timeout_s=PATIENCE_S, what="the messages")
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await fake.until(lambda: sum(map(leads, parts)) == 1, timeout_s=PATIENCE_S, what="one leader")
    assert ["message 0", "message 1", "message 2"] == contents(fake, channel)
    assert 1 == most[0]
    assert 2 == len(fake.gateway.identifies)


def contents(fake, channel):
    return [each.content for each in fake.messages(channel) if each.content.startswith("message")]


async def test_a_face_can_be_started_again(project, fake, gate):
    """Stopped and started again in one process: one connection, one edit for each change, and messages arrive."""
    async with running(project, fake) as here:
        asked = await fake.command(here.olga, "run", channel=here.channel, pipeline="gated")
        card = await asked.shown()
        await fake.until(lambda: "running" in card.text, what="a running card")
        watchers = len(here.scheduler.reload._told)
        for _ in range(2):
            await here.face.stop()
            assert ("standby", False) == (here.face.state(), fake.gateway.connected)
            await here.face.start(here.scheduler)
            await fake.until(lambda: here.face.state() == "ready", what="the bot")
        assert watchers == len(here.scheduler.reload._told)
        await fake.until(lambda: here.face._cards.live == 1, what="the card's keeper")
        gate.say("go")
        await fake.until(lambda: "succeeded" in card.text, what="the card's end")
        await here.scheduler.delivery.close()
        post = Post(
            f"discord:{here.channel.id}", "message", "m", {"payload": {"content": "message"}}, here.scheduler.clock()
        )
        await here.scheduler.writer.call(outbox.post, post)
        here.scheduler.delivery.wake()
        await fake.until(lambda: contents(fake, here.channel), what="a message after the channels were closed")
    assert ["message"] == contents(fake, here.channel)


def test_a_face_that_is_off_stays_so(project):
    """Who has no token is off, whoever leads; and only faces of which there may be one wait for the lead."""
    face = WithoutToken(project.settings(), {})
    assert ("off: no token", True) == (standing(face, Leadership(None))(), face.alone)
