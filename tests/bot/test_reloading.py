"""A reload as people in Discord see it: a message in the alerts' channel, and a bot whose commands follow the file."""

from __future__ import annotations

import asyncio
import textwrap

import pytest

from bot.reload_message import LINES, reload
from pipelines import ConfigError
from tests.bot.conftest import place, running
from tests.bot.test_plugin_commands import GOOD, HEAD, said
from tests.project import Project

YAML = """
pipelines:
  prices: {schedule: {daily: "03:00"}, chain: [mine.One]}
alerts: {channel_id: 1}
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with one pipeline, whose plugin has a class of commands that nothing uses yet."""
    project.plugin("mine", HEAD + "\n" + textwrap.dedent(GOOD))
    project.write(YAML)
    return project


def edit(project: Project, old: str, new: str) -> None:
    """Change the pipelines file."""
    path = project.folder / "pipelines.yml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


async def looking(here, *, wrong: bool = False) -> None:
    """Have the service look at its files, as it does when they change."""
    try:
        await here.scheduler.reload.now()
    except ConfigError:
        assert wrong
    else:
        assert not wrong


async def test_refusals_and_changes_are_told_in_the_alerts_channel(shop, fake):
    """A wrong file is one message however often it is saved; the mended one changes it; the next is a new one."""
    channel = place(fake)[1].id
    edit(shop, "channel_id: 1", f"channel_id: {channel}")
    async with running(shop, fake) as here:

        def told() -> list[str]:
            return [each.content.replace("\\", "") for each in fake.messages(here.channel)]

        for wrong in ("25:00", "26:00"):
            edit(shop, '"03:00"' if wrong == "25:00" else '"25:00"', f'"{wrong}"')
            await looking(here, wrong=True)
            await fake.until(lambda wrong=wrong: [True] == [wrong in each for each in told()], what="the refusal")
        assert "is refused" in told()[0]
        edit(shop, "26:00", "04:00")
        await looking(here)
        await fake.until(lambda: "is in force as changed: ~1 pipeline, ~1 schedule" in told()[0], what="the change")
        assert 1 == len(told())
        edit(shop, "04:00", "05:00")
        await looking(here)
        await fake.until(lambda: 2 == len(told()), what="the next change")


async def test_commands_of_a_pipeline_come_with_the_file(shop, fake):
    """When a pipeline brings commands along, the bot connects anew and people can use them; the others go on."""
    async with running(shop, fake) as here:
        before = here.bot
        edit(shop, "chain: [mine.One]", "chain: [mine.One], discord_commands: mine.Chat")
        await looking(here)
        await fake.until(lambda: here.bot is not before and here.bot.up, what="the new bot")
        assert "7 kg" == await said(here, here.ann, "weigh")
        after = here.bot
        edit(shop, "03:00", "04:00")
        await looking(here)
        await asyncio.sleep(0)
        assert after is here.bot


def test_what_is_wrong_is_plain_text_and_cut():
    """A long list is cut, and no text of the file can end the code block or ping anybody."""
    text = "\n".join(["```@everyone"] + [f"line {number}" for number in range(30)])
    body = reload({"good": False, "text": text})
    shown = str(body)
    assert f"and {31 - LINES} more lines" in shown
    assert 2 == shown.count("```")
    assert {"parse": [], "roles": []} == body["allowed_mentions"]
