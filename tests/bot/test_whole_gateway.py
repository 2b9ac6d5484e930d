"""The whole program when Discord, or the way to it, goes wrong: pipelines go on, and the log says what is wrong."""

from __future__ import annotations

import pytest

from tests.bot.whole import LOGIN, whole_of
from tests.fake_discord import faults
from tests.project import until

PLUGIN = """
def one(_):
    yield {"n": 1}
"""
TICKING = """
  tick: {executor: inline, schedule: {interval: {seconds: 1}}, chain: [mine.one]}
"""
SINKING = """
  sinking:
    executor: inline
    chain:
      - mine.one
      - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: {channel}, format: list}}}}
"""
HINT = "put a new one into DISCORD_TOKEN"


@pytest.fixture
def whole(project, fake):
    """The program with a pipeline that runs each second."""
    given = whole_of(project, fake)
    project.plugin("mine", PLUGIN)
    given.write(TICKING)
    return given


async def ticks_on(whole):
    """Wait for two further runs."""
    await whole.said("tick #", count=whole.now.said.count("tick #") + 4)


async def answers(whole):
    """The bot answers a command."""
    asked = await whole.fake.command(whole.olga, "status", channel=whole.channel)
    return (await asked.shown()).text


async def test_connections_that_break_are_taken_up(whole):
    """Op 7 and a cut connection end in a RESUME, in which nothing that people did meanwhile is lost."""
    gateway = whole.fake.gateway
    async with whole.connected():
        await whole.said("connected to Discord as")
        for times, act in enumerate((gateway.reconnect, gateway.drop), 1):
            act()
            asked = await whole.fake.command(whole.olga, "status", channel=whole.channel)
            assert "Going on" in (await asked.shown()).text
            assert (times, 1) == (len(gateway.resumes), len(gateway.identifies))
        assert 0 == await whole.stop()


async def test_an_ended_session_then_a_revoked_token(whole):
    """Op 9 ends in a new IDENTIFY. Close code 4004 disables the bot with a remedy in the log, and pipelines go on."""
    gateway = whole.fake.gateway
    async with whole.connected():
        gateway.invalidate()
        await whole.until(lambda: len(gateway.identifies) == 2, "a second IDENTIFY")
        assert "Going on" in await answers(whole)
        whole.fake.token = "another"
        gateway.close(4004)
        await whole.said("Discord is disabled")
        assert HINT in whole.now.said
        await ticks_on(whole)
        assert (2, 1) == (len(gateway.identifies), whole.now.said.count("Discord is disabled"))
        assert 0 == await whole.stop()


async def test_an_outage_at_the_start_is_waited_for(whole):
    """503 at login, a dropped connection, then a refused handshake: each is told, and the bot comes up after them."""
    whole.fake.faults.next(faults.status(503), route=LOGIN)
    whole.fake.faults.next(faults.dropped(), route=LOGIN)
    whole.fake.gateway.refuse(1)
    async with whole.connected():
        assert "Going on" in await answers(whole)
        assert "Traceback" not in whole.now.said
        assert "not connected to Discord" in whole.now.said
        assert "no connection to Discord (WSServerHandshakeError)" in whole.now.said
        assert 0 == await whole.stop()


async def test_a_ban_at_login_is_respected(whole):
    """While Cloudflare refuses this machine, one request is all that it sees; pipelines go on."""
    whole.fake.faults.every(faults.banned())
    with whole.service():
        await whole.said("not connected to Discord")
        await ticks_on(whole)
        assert 1 == len(whole.fake.requests)
        assert 0 == await whole.stop()


async def test_a_wrong_token(whole):
    """401 at login: the bot is disabled, the log says what to do, messages wait, and pipelines go on."""
    whole.write(TICKING + SINKING.format(channel=whole.results.id))
    with whole.service(DISCORD_TOKEN="wrong"):
        await whole.said("Discord is disabled")
        assert HINT in whole.now.said
        await ticks_on(whole)
        assert 0 == await whole.stop()
    assert [("queued",)] == whole.rows("SELECT state FROM outbox")
    assert len(whole.fake.requests) <= 2
    assert "wrong" not in whole.now.said


async def test_without_a_token_messages_wait(whole):
    """No token: the service runs, says that Discord is off, keeps what is to be posted, and asks Discord nothing."""
    whole.write(SINKING.format(channel=whole.results.id))
    with whole.service(DISCORD_TOKEN=""):
        await whole.said("sinking #1 succeeded")
        await whole.said("Discord is off: no token")
        assert 0 == await whole.stop()
    assert [("queued",)] == whole.rows("SELECT state FROM outbox")
    assert [] == whole.fake.requests


def test_without_a_token_it_can_refuse(whole):
    """DISCORD_WITHOUT_TOKEN=refuse: exit 2 with the file and the path of each sink that could not post."""
    whole.write(SINKING.format(channel=1))
    with whole.service(DISCORD_TOKEN="", DISCORD_WITHOUT_TOKEN="refuse") as service:
        until(lambda: service.process.poll() is not None, "it never ended")
    assert 2 == service.process.returncode
    assert "pipelines.sinking.chain[1]" in service.said
    assert "pipelines.yml" in service.said
    assert "Traceback" not in service.said
