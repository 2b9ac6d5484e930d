"""`main.py`, which runs pipelines once: what they post to Discord leaves before it ends, or waits for a token."""

from __future__ import annotations

import pytest

from tests.bot.whole import CREATE, whole_of
from tests.fake_discord import faults
from tests.project import on_both_stores

PIPELINES = """
  sinking:
    executor: inline
    chain:
      - mine.one
      - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: {channel}, format: list, title: "run {{run_id}}"}}}}
"""


@pytest.fixture
def whole(project, fake):
    """The program with a pipeline that posts."""
    given = whole_of(project, fake)
    project.plugin("mine", "def one(_):\n    yield {'n': 1}\n")
    given.write(PIPELINES.format(channel=given.results.id))
    return given


@on_both_stores
async def test_it_delivers_before_it_ends(whole):
    """Over REST, without a bot on the gateway; a call that fails is tried again. On a server it leads meanwhile."""
    whole.fake.faults.next(faults.status(503), route=CREATE)
    code, said = await whole.run_once("sinking")
    assert 0 == code, said
    (message,) = whole.fake.messages(whole.results)
    assert "run 1" in message.content
    assert 0 == whole.fake.gateway.handshakes
    assert "wait for delivery" not in said


async def test_without_a_token_the_messages_wait_for_a_service(whole):
    """Exit 0 and a clear word; a later service with a token delivers them, once and in order."""
    for _ in range(2):
        code, said = await whole.run_once("sinking", DISCORD_TOKEN="")
        assert 0 == code, said
        assert "messages wait for delivery" in said
        assert "DISCORD_TOKEN is not set" in said
    assert [] == whole.fake.requests
    whole.write("  idle: {enabled: false, chain: [mine.one]}\n")
    with whole.service():
        await whole.until(lambda: len(whole.fake.messages(whole.results)) == 2, "the messages")
        await whole.until(lambda: not whole.waiting(), "an empty outbox")
        assert 0 == await whole.stop()
    assert ["**run 1**", "**run 2**"] == [each.content.split("\n")[0] for each in whole.fake.messages(whole.results)]
