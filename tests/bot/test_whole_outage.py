"""Discord is out, for seconds and for a day: pipelines run on time meanwhile, and all that waited is told after it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from bot.face import DiscordFace
from pipelines import Engine
from pipelines.store import outbox
from tests.bot.conftest import running
from tests.bot.whole import whole_of
from tests.fake_discord import Clock, FakeDiscord, faults

PLUGIN = """
from pathlib import Path

def one(_):
    yield {"n": 1}

def fragile(_):
    if Path("broken").exists():
        raise OSError("the shop is closed")
    yield {"n": 1}
"""
SINKING = """
  sinking:
    executor: inline
    schedule: {{interval: {{{schedule}}}}}
    chain:
      - mine.one
      - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: {channel}, format: list, title: "run {{run_id}}"}}}}
  fragile:
    executor: inline
    schedule: {{interval: {{{schedule}}}}}
    retry: {{attempts: 1}}
    chain: [mine.fragile]
"""


def delivered_once_in_order(whole, *channels):
    """Every message of the outbox stands in its channel, once, in the order of the outbox; nothing else does."""
    for channel in channels:
        rows = whole.rows(
            "SELECT id, state, message_id FROM outbox WHERE target = ? ORDER BY id", f"discord:{channel.id}"
        )
        assert {"sent"} == {state for _, state, _ in rows}, rows
        stored = list(dict.fromkeys(message_id for *_, message_id in rows))
        assert stored == [str(message.id) for message in whole.fake.messages(channel)]
    titles = [message.content.split("\n")[0] for message in whole.fake.messages(whole.results)]
    runs = whole.rows("SELECT id FROM runs WHERE pipeline = 'sinking' AND state = 'succeeded' ORDER BY ended_at, id")
    assert [f"**run {run}**" for (run,) in runs] == titles


def late_s(whole):
    """The median time, in seconds, between a run's due time and its start: a busy machine may delay one of them."""
    found = whole.rows("SELECT due_at, started_at FROM runs WHERE started_at IS NOT NULL")
    return median(
        (datetime.fromisoformat(str(started)) - datetime.fromisoformat(str(due))).total_seconds()
        for due, started in found
    )


@pytest.fixture
def whole(project, fake):
    """The program with a pipeline that posts and one that may break, both due each second."""
    given = whole_of(project, fake)
    project.plugin("mine", PLUGIN)
    given.write(
        SINKING.format(channel=given.results.id, schedule="seconds: 1"),
        more=f"alerts: {{channel_id: {given.alerts.id}}}",
    )
    return given


async def test_a_short_outage_of_everything(whole):
    """Every request and handshake fails for seconds: no run is late, and afterwards all is told once and in order."""
    fake = whole.fake
    async with whole.connected():
        await whole.until(lambda: fake.messages(whole.results), "a result before the outage")
        fake.faults.every(faults.dropped())
        fake.gateway.refuse(1)
        fake.gateway.drop()
        (whole.project.folder / "broken").touch()
        count = whole.now.said.count("sinking #")
        await whole.said("sinking #", count=count + 5)
        told = len(fake.messages(whole.results))
        assert [] == fake.messages(whole.alerts)
        assert whole.waiting() >= 2
        fake.faults.clear()
        await whole.until(lambda: len(fake.messages(whole.results)) >= told + 3, "the results of the outage")
        await whole.until(lambda: fake.messages(whole.alerts), "the alert")
        assert "the shop is closed" in fake.messages(whole.alerts)[0].text
        await whole.until(lambda: fake.gateway.connected, "the bot")
        assert 0 == await whole.stop()
    assert late_s(whole) < 2.0
    assert 0 == whole.waiting()
    delivered_once_in_order(whole, whole.results, whole.alerts)


async def test_a_day_without_discord(project):
    """A day in which every call fails: 24 runs of each pipeline, each on time; then all is told once and in order."""
    clock = Clock(running=False)
    clock.advance(3600 - clock.now() % 3600 + 1)  # a second after a full hour, when both are due
    fake = await FakeDiscord.start(clock=clock)
    whole = whole_of(project, fake)
    project.plugin("mine", PLUGIN.replace('"broken"', repr(str(project.folder / "broken"))))
    whole.write(
        SINKING.format(channel=whole.results.id, schedule="hours: 1"),
        more=f"alerts: {{channel_id: {whole.alerts.id}}}",
    )
    fake.faults.every(faults.status(503))
    settings = project.settings(discord_token=fake.token, discord_api_base=fake.api_base)
    face = DiscordFace(settings, {})
    with fake.used():
        async with Engine(
            settings,
            project.catalog(settings),
            channels=face.channels(),
            clock=lambda: datetime.fromtimestamp(clock.now(), UTC),
        ) as scheduler:
            await scheduler.start()
            await scheduler.start_timetable()
            day = Day(whole, scheduler, clock)
            for hour in range(24):
                if hour == 12:
                    (project.folder / "broken").touch()
                await day.hour()
            assert [] == fake.messages(whole.results)
            fake.faults.clear()
            await day.until_told()
    assert [("fragile", 24), ("sinking", 24)] == whole.rows(
        "SELECT pipeline, count(*) FROM runs WHERE started_at IS NOT NULL GROUP BY pipeline ORDER BY pipeline"
    )
    assert late_s(whole) < 60.0
    assert 24 == len(fake.messages(whole.results))
    assert "the shop is closed" in fake.messages(whole.alerts)[0].text
    delivered_once_in_order(whole, whole.results, whole.alerts)
    await fake.stop()


async def test_a_token_that_was_replaced(project, fake, monkeypatch):
    """What a revoked token kept back is delivered once its file holds another one, without a restart."""
    monkeypatch.setattr("bot.supervisor.NEW_TOKEN_S", 0.05)
    whole = whole_of(project, fake)
    project.plugin("mine", PLUGIN)
    whole.write(SINKING.format(channel=whole.results.id, schedule="hours: 1"))
    file = project.folder / "token"
    file.write_text(fake.token)
    async with running(project, fake, discord_token=None, discord_token_file=file) as here:

        async def post(state):
            (run,) = await here.scheduler.run_now(["sinking"])
            await here.scheduler.wait(run.id)
            told = f"SELECT state, attempts FROM outbox WHERE run_id = {run.id}"
            await fake.until(lambda: whole.rows(told) == [(state, 1)], what=f"{state}: {whole.rows(told)}")

        await post("sent")
        fake.token = "another"
        fake.gateway.close(4004)
        await fake.until(lambda: "disabled" in here.face.state(), what="the end of the bot")
        await post("queued")
        file.write_text("another")
        await fake.until(lambda: here.face.state() == "ready", what="the bot")
        await fake.until(lambda: not whole.waiting(), what="an empty outbox")
    delivered_once_in_order(whole, whole.results)


class Day:
    """Lets the time of a scheduler pass."""

    def __init__(self, whole, scheduler, clock):
        self.whole, self.scheduler, self.clock = whole, scheduler, clock
        self.runs = 0

    async def hour(self):
        """Let the next hour pass in quarters; at its end both pipelines are due, and run."""
        for _ in range(4):
            self.clock.advance(timedelta(minutes=15).total_seconds())
            self.scheduler.delivery.wake()
        for key in list(self.scheduler.timetable._groups):
            self.scheduler.timetable._ring(key)
        self.runs += 2
        await self.whole.fake.until(self._over, timeout_s=10, what=f"{self.runs} runs")
        await self.scheduler.messages.alerts.look()
        self.scheduler.delivery.wake()

    def _over(self):
        ended = "SELECT count(*) FROM runs WHERE state IN ('succeeded', 'failed')"
        return self.whole.rows(ended) == [(self.runs,)]

    async def until_told(self):
        """Let time pass until nothing waits."""
        async with asyncio.timeout(20):
            while await self.scheduler.reader.read(outbox.waiting):
                self.clock.advance(60)
                self.scheduler.delivery.wake()
                await asyncio.sleep(0.02)
