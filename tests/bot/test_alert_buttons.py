"""From a failing run to the message in the channel, its buttons, and back to green, over the fake Discord."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from bot.alert_parts import button, payload, row
from pipelines import RunState
from pipelines.store import incidents
from tests.bot.conftest import place, running

PLUGIN = '''
from pathlib import Path

from pipelines import Transform


class Fail(Transform):
    """Fails while there is no file `well`."""

    async def __call__(self, items):
        async for item in items:
            if not (Path({folder!r}) / "well").exists():
                raise OSError("disk full")
            yield item


class Wait(Transform):
    """Goes on until there is a file `go`."""

    async def __call__(self, items):
        import asyncio

        async for item in items:
            while not (Path({folder!r}) / "go").exists():
                await asyncio.sleep(0.02)
            yield item
'''
FILE = """
scheduler:
  default_retry: {{attempts: 1}}
alerts:
  channel_id: {channel}
  mention: [{role}]
pipelines:
  prices:
    executor: inline
    chain: [shop.Fail]
    params: {{region: eu}}
  slow:
    executor: inline
    chain: [shop.Wait]
"""
SILENT = 1 << 12


@pytest.fixture
def shop(project, fake):
    """Pipelines whose trouble is told in the channel, to the operators."""
    guild, channel, *_ = place(fake)
    role = next(role.id for role in guild.roles if role.name == "operators")
    project.plugin("shop", PLUGIN.format(folder=str(project.folder)))
    project.write(FILE.format(channel=channel.id, role=role))
    return project


class Desk:
    """The running bot, and the task that tells of trouble, asked to look whenever a test wants it."""

    def __init__(self, here) -> None:
        self.here, self.fake = here, here.fake
        self.alerts = here.scheduler.messages.alerts

    async def fail(self):
        """Let the pipeline fail; return the message that tells of it, when it says so."""
        (run,) = await self.here.scheduler.run_now(["prices"])
        over = await self.here.scheduler.wait(run.id)
        assert RunState.FAILED is over.state
        await self.alerts.look()
        return await self.fake.until(self.message, what="the alert")

    def message(self):
        found = self.fake.messages(self.here.channel)
        return found[0] if found else None

    async def press(self, member, custom_id):
        """Press a button of the alert; return what is answered."""
        return await (await self.fake.press(member, self.message(), custom_id)).shown()

    async def incident(self):
        return await self.here.scheduler.reader.read(incidents.get, 1)

    async def says(self, words: str) -> None:
        await self.alerts.look()
        message = self.message()
        await self.fake.until(lambda: words in message.text, what=f"{words!r} in the alert: {message.text}")


@asynccontextmanager
async def opened(shop, fake):
    async with running(shop, fake) as here:
        yield Desk(here)


async def test_a_failure_arrives_with_its_buttons(shop, fake):
    """One message that pings the role; further failures change it, the success turns it green and adds a quiet line."""
    async with opened(shop, fake) as desk:
        message = await desk.fail()
        assert message.content.startswith("❌ **prices** failed in Fail · <@&")
        assert 1 == len(message.pings)
        assert ["p1:retry:1", "p1:log:1", "p1:ack:1"] == message.custom_ids[:3]
        await desk.fail()
        await desk.says("2nd in a row")
        (shop.folder / "well").touch()
        (run,) = await desk.here.scheduler.run_now(["prices"])
        await desk.here.scheduler.wait(run.id)
        await desk.says("recovered after")
        await fake.until(lambda: len(fake.messages(desk.here.channel)) == 2, what="the line")
        line = fake.messages(desk.here.channel)[1]
        assert (set(), SILENT, ["p1:log:2"]) == (line.pings, line.flags & SILENT, message.custom_ids)


async def test_retry_runs_it_again(shop, fake):
    """As the one who pressed, for all to see."""
    async with opened(shop, fake) as desk:
        await desk.fail()
        answer = await desk.press(desk.here.olga, "p1:retry:1")
        assert (False, True) == (answer.ephemeral, "run #2" in answer.text)
        run = await desk.here.scheduler.wait(2)
        assert "olga" == run.actor


async def test_retry_does_not_double_what_goes_on(shop, fake):
    """While a run of the pipeline goes on, its number is told instead."""
    async with opened(shop, fake) as desk:
        (slow,) = await desk.here.scheduler.run_now(["slow"])
        await fake.until(lambda: slow.id in desk.here.scheduler.live, what="the run")
        body = payload("again", [], [row(button("Retry", f"p1:retry:{slow.id}"))])
        await desk.here.bot.rest.create_message(str(desk.here.channel.id), body)
        answer = await desk.press(desk.here.olga, f"p1:retry:{slow.id}")
        assert (True, True) == (answer.ephemeral, f"running already: #{slow.id}" in answer.text)
        (shop.folder / "go").touch()
        await desk.here.scheduler.wait(slow.id)


@pytest.mark.parametrize(
    ("span", "words"), [("1h", "until <t:"), ("8h", "until <t:"), ("success", "until its next success")]
)
async def test_mute_holds_alerts_back(shop, fake, span, words):
    """Everybody sees who did it and for how long, the alert too; it can be undone where it is told."""
    async with opened(shop, fake) as desk:
        await desk.fail()
        answer = await desk.press(desk.here.olga, f"p1:mute:1:{span}")
        assert (False, True, set()) == (answer.ephemeral, f"muted {words}" in answer.text, answer.pings)
        await desk.says("🔇 muted")
        undone = await (await fake.press(desk.here.olga, answer, "p1:unmute:1")).shown()
        assert "no longer muted" in undone.text
        await desk.alerts.look()
        await fake.until(lambda: "🔇" not in desk.message().text, what="the alert without the mute")
    assert [("mute", 1), ("mute", 1)] == shop.query("SELECT verb, allowed FROM audit")


async def test_somebody_is_on_it(shop, fake):
    """The alert says who; the button is gone."""
    async with opened(shop, fake) as desk:
        await desk.fail()
        answer = await desk.press(desk.here.olga, "p1:ack:1")
        assert (False, "👀 olga looks after **prices**.") == (answer.ephemeral, answer.content)
        assert "You look after **prices** already" in (await desk.press(desk.here.olga, "p1:ack:1")).text
        await desk.says("👀 olga is on it")
        assert "p1:ack:1" not in desk.message().custom_ids
        assert "olga" == (await desk.incident()).acknowledged_by


@pytest.mark.parametrize("custom_id", ["p1:retry:1", "p1:mute:1:1h", "p1:ack:1"])
async def test_a_viewer_may_press_nothing(shop, fake, custom_id):
    """They are told what is missing, only they see it, it is audited, and nothing changes."""
    async with opened(shop, fake) as desk:
        await desk.fail()
        answer = await desk.press(desk.here.vic, custom_id)
        assert (True, True) == (answer.ephemeral, "operator" in answer.text)
        assert (1, None) == ((found := await desk.incident()).count, found.acknowledged_by)
    assert [(0,)] == shop.query("SELECT allowed FROM audit")
    assert ([(1,)], []) == (shop.query("SELECT count(*) FROM runs"), shop.query("SELECT * FROM mutes"))


async def test_buttons_outlive_a_restart(shop, fake):
    """Another process with the same store answers them; the log is shown to viewers as well."""
    async with opened(shop, fake) as desk:
        await desk.fail()
    async with opened(shop, fake) as desk:
        assert "run #1" in (await desk.press(desk.here.vic, "p1:log:1")).text
        assert "looks after" in (await desk.press(desk.here.ann, "p1:ack:1")).text


async def test_old_buttons_explain_themselves(shop, fake):
    """What is over needs nobody; what is no longer recorded is said to be so."""
    async with opened(shop, fake) as desk:
        await desk.fail()
        (shop.folder / "well").touch()
        (run,) = await desk.here.scheduler.run_now(["prices"])
        await desk.here.scheduler.wait(run.id)
        assert "well again" in (await desk.press(desk.here.olga, "p1:ack:1")).text
        await desk.here.scheduler.writer.call(_forget, None)
        assert "no longer recorded" in (await desk.press(desk.here.olga, "p1:mute:1:1h")).text


def _forget(conn, args):
    conn.exec_driver_sql("DELETE FROM incidents")
    return args
