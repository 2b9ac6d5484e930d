"""`/logs` and the log button: the last lines, all as a file, and never a secret or a ping."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.commands.logs import block
from bot.limits import faults
from pipelines.model import LogLine
from pipelines.store import logs
from tests.bot.conftest import running
from tests.bot.gate import Gate
from tests.bot.hostile import TEXTS

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def gate(project):
    return Gate(project)


async def greeted(here):
    """Run the pipeline that logs two lines; return its card."""
    message = await (await here.fake.command(here.olga, "run", pipeline="greet", params="name=Bo")).shown()
    await here.scheduler.wait(1)
    await here.fake.until(lambda: "succeeded" in message.text, what="the end")
    return message


async def more(here, *texts):
    """Add lines to the log of run 1."""
    await here.scheduler.writer.call(logs.append, (1, [LogLine(AT, 20, "x", text) for text in texts]))


async def test_the_log_of_a_run(project, fake, gate):
    """Whoever may look reads the last lines, with secrets hidden, and has all of them as a file."""
    async with running(project, fake) as here:
        await greeted(here)
        message = await (await fake.command(here.vic, "logs", run="1")).shown()
        assert message.ephemeral
        assert "run #1" in message.text
        assert "hello Bo" in message.text
        assert "hunter2hunter2" not in message.text
        assert ["greet-1.log"] == list(message.files)
        assert b"second line" in message.files["greet-1.log"]
        assert b"hunter2hunter2" not in message.files["greet-1.log"]


async def test_so_many_lines_and_those_that_contain_a_text(project, fake, gate):
    """`tail` bounds the lines, `grep` keeps those with a text that is taken literally, and says when there is none."""
    async with running(project, fake) as here:
        await greeted(here)
        await more(here, *(f"line {number}" for number in range(100)), "odd (.*) one")
        tail = await (await fake.command(here.olga, "logs", run="1", tail=10)).shown()
        assert 10 == tail.files["greet-1.log"].count(b"\n") + 1
        assert "10 lines" in tail.text
        grep = await (await fake.command(here.olga, "logs", run="1", grep="(.*)")).shown()
        assert "1 line" in grep.text
        assert "odd (.*) one" in grep.text
        none = await (await fake.command(here.olga, "logs", run="1", grep="**nope**")).shown()
        assert r"No line contains “\*\*nope\*\*”" in none.text
        with pytest.raises(ValueError, match="tail"):
            await fake.command(here.olga, "logs", run="1", tail=9)


async def test_the_button_shows_thirty_lines(project, fake, gate):
    """The button of a card shows the last 30 lines to whoever presses it, after a restart as well."""
    async with running(project, fake) as here:
        card = await greeted(here)
        await more(here, *(f"line {number}" for number in range(100)))
    async with running(project, fake) as here:
        message = await (await fake.press(here.vic, card, "p1:log:1")).shown()
        assert message.ephemeral
        assert "30 lines" in message.text
        assert "line 99" in message.text
        assert "line 69" not in message.text


async def test_whose_log_it_is(project, fake, gate):
    """Nobody reads the log of a pipeline that they may not see, neither by the command nor by a button."""
    async with running(project, fake) as here:
        (run,) = await here.scheduler.run_now(["secret"])
        await here.scheduler.wait(run.id)
        assert "No run" in (await (await fake.command(here.ann, "logs", run=str(run.id))).shown()).text
        card = await greeted_by(here, run.id)
        refused = await (await fake.press(here.vic, card, f"p1:log:{run.id}")).shown()
        assert "hello" not in refused.text


async def greeted_by(here, run_id):
    """A message of the bot with a log button, as an old one might be."""
    row = {"type": 1, "components": [{"type": 2, "style": 2, "label": "Log", "custom_id": f"p1:log:{run_id}"}]}
    return here.fake.store.create(here.channel, here.fake.bot, {"content": "old", "components": [row]}, files={})


async def test_the_button_of_a_run_that_is_gone(project, fake, gate):
    """A button of a run that is not recorded any more says so."""
    async with running(project, fake) as here:
        card = await greeted_by(here, 999)
        assert "no longer recorded" in (await (await fake.press(here.ann, card, "p1:log:999")).shown()).text


@settings(max_examples=40)
@given(st.lists(TEXTS | st.sampled_from(["x" * 5000, "```" * 900, "漢" * 3000]), max_size=40))
def test_any_log_fits_a_message(texts):
    """Whatever lines a log has: the block is one message that Discord takes, closed by its own fence only."""
    content = block("head", texts)
    assert [] == faults({"content": content, "allowed_mentions": {"parse": []}})
    assert 2 == content.count("```")
