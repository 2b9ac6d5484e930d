"""Whatever goes wrong, wherever: people get an answer, the log gets the reason, and nobody gets a secret."""

from __future__ import annotations

import logging
import re

import discord
import pytest

from bot import asking
from bot.errors import UserError, words
from pipelines import Denied, PipecallError
from tests.bot import chat_plugin
from tests.bot.chat_plugin import SECRET
from tests.bot.conftest import running
from tests.fake_discord import faults

REFERENCE = re.compile(r"Something broke on my side\. Reference (E-[0-9A-F]{4}) \(logged\)\.")
CALLBACK = "POST /interactions/{interaction_id}/{interaction_token}/callback"


@pytest.fixture
async def here(project, fake):
    """A bot with commands that go wrong."""
    chat_plugin.write(project)
    async with running(project, fake) as running_:
        yield running_


def referred(text, caplog):
    """The answer holds a reference, under which the error is logged, and not the error's text."""
    found = REFERENCE.search(text)
    assert found, text
    assert SECRET not in text
    return any(found[1] in record.getMessage() and SECRET in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("name", ["boom", "checked", "late", "slow"])
async def test_an_unexpected_error_of_a_command_is_answered_with_a_reference(here, caplog, name):
    """A command, and a check of it, that raise: before an answer, after one, after a deferral."""
    interaction = await here.fake.command(here.vic, name)
    await here.fake.until(lambda: "Reference" in interaction.text, what="the reference")
    assert referred(interaction.text, caplog)


async def test_a_completion_that_raises_offers_nothing(here, caplog):
    """An error in a completion answers with no choices, and is logged."""
    interaction = await here.fake.autocomplete(here.vic, "complete", "name", "x")
    await interaction.answered()
    assert [] == interaction.choices
    assert any(record.exc_info is None and SECRET in record.getMessage() for record in caplog.records)


async def test_a_button_that_raises_is_answered(here, caplog):
    """A lasting button whose press raises, for which the library itself has no handler."""
    shown = await (await here.fake.command(here.vic, "buttons")).shown()
    pressed = await here.fake.press(here.vic, shown, "p1:boom")
    await pressed.shown()
    assert referred(pressed.text, caplog)


async def test_a_button_that_cannot_be_made_is_answered(here):
    """A lasting button whose id does not fit is answered as well."""
    shown = await (await here.fake.command(here.vic, "buttons")).shown()
    shown.body["components"][0]["components"][1]["custom_id"] = "p1:worse:x"
    pressed = await here.fake.press(here.vic, shown, "p1:worse:x")
    assert REFERENCE.search((await pressed.shown()).text)


async def test_a_question_that_raises_is_answered(here, caplog):
    """A button of a flow that raises."""
    shown = await (await here.fake.command(here.vic, "question")).shown()
    pressed = await here.fake.press(here.vic, shown, "yes")
    await pressed.shown()
    assert referred(pressed.text, caplog)


async def test_a_form_that_raises_is_answered(here, caplog):
    """A form whose handling raises."""
    opened = await here.fake.command(here.vic, "form")
    await opened.answered()
    sent = await here.fake.submit(opened, {"word": "x"})
    await sent.shown()
    assert referred(sent.text, caplog)


async def test_an_error_that_people_can_mend_needs_no_reference(here, caplog):
    """A UserError is told with its hint, to its person only, and not logged as an error."""
    shown = await (await here.fake.command(here.vic, "mend")).shown()
    assert "✗ That is no number.\nTry `7`." == shown.content
    assert shown.ephemeral
    assert [] == [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_expected_error_is_told_in_its_own_words_made_harmless(here):
    """What a stranger typed comes back inert: no format, and no ping."""
    interaction = await here.fake.command(here.vic, "expected")
    text = (await interaction.shown()).content
    assert "known are: prices" in text
    assert "@everyone" not in text
    assert "**" not in text.replace("\\*\\*", "")


def test_secrets_are_hidden_before_markdown_is_escaped():
    """A secret with characters that markdown would have escaped is hidden in an answer all the same."""
    assert "✗ No place •••" == words(PipecallError("no place p_a_s_s"), lambda text: text.replace("p_a_s_s", "•••"))


async def test_a_question_ends_by_itself(here):
    """An unanswered flow says that it expired, and loses its buttons."""
    interaction = await here.fake.command(here.vic, "question", seconds=1)
    shown = await interaction.shown()
    await here.fake.until(lambda: "Expired, nothing changed" in shown.content, what="the end")
    assert [] == shown.components


async def test_a_question_closes_with_a_text(here):
    """A flow that is answered becomes the answer."""
    shown = await (await here.fake.command(here.vic, "question")).shown()
    await (await here.fake.press(here.vic, shown, "no")).answered()
    assert ("nothing was done", []) == (shown.content, shown.components)


async def test_an_answer_pings_nobody(here):
    """The first answer and those after it allow no mention; the second is a message of its own."""
    interaction = await here.fake.command(here.vic, "wait", public=True)
    await here.fake.until(lambda: interaction.followups, what="the second message")
    told = [interaction.original, *interaction.followups]
    assert [{"parse": []}] * 2 == [message.body["allowed_mentions"] for message in told]
    assert ["<@1> first", "second"] == [message.content for message in told]


@pytest.mark.parametrize("public", [True, False])
async def test_an_answer_that_takes_long_is_deferred(here, monkeypatch, public):
    """Without an answer in time Discord is told that one will come; then it fills the same message."""
    monkeypatch.setattr(asking, "DEFER_AFTER_S", 0.02)
    interaction = await here.fake.command(here.vic, "hold", public=public)
    await interaction.answered()
    assert 5 == interaction.response_type
    here.bot.go.set()
    shown = await interaction.shown()
    assert ("done at last", not public) == (shown.content, shown.ephemeral)


async def test_an_answer_that_seemed_lost_is_not_given_twice(here):
    """When the answer landed but its confirmation did not, the second try finds it (40060) and all is well."""
    here.fake.faults.next(faults.status(500, after=True), route=CALLBACK)
    interaction = await here.fake.command(here.vic, "mend")
    await here.fake.until(lambda: len(here.fake.sent(CALLBACK)) > 1 or interaction.followups, what="a second try")
    await here.fake.until(lambda: interaction.original, what="the answer")
    assert "no number" in interaction.text


@pytest.mark.parametrize("after", [False, True])
async def test_an_answer_whose_connection_broke_is_given_again(here, after):
    """Whether it had landed or not, there is one answer in the end, and nobody is told of trouble."""
    here.fake.faults.next(faults.dropped(after=after), route=CALLBACK)
    interaction = await here.fake.command(here.vic, "wait")
    await here.fake.until(lambda: interaction.followups, what="the second message")
    assert ("first", "second") == (interaction.original.content[-5:], interaction.followups[0].content)
    assert 1 == len(interaction.followups)


async def test_an_interaction_that_is_over_is_only_logged(here, caplog):
    """10062: nothing can be answered any more, so the log has it."""
    here.fake.faults.next(faults.error(10062), route=CALLBACK)
    interaction = await here.fake.command(here.vic, "mend")
    await here.fake.until(lambda: any("could not be delivered" in one.getMessage() for one in caplog.records))
    assert interaction.response is None


async def test_a_secret_in_an_error_is_hidden_in_the_log(project, fake, caplog):
    """A traceback is logged without the secrets of the pipelines file."""
    project.plugin("chat", chat_plugin.CODE)
    project.env["PASSWORD"] = SECRET
    project.write("""
        pipelines:
          prices:
            params: {password: "${PASSWORD}"}
            chain: [chat.One]
            discord_commands: chat.Chat
    """)
    async with running(project, fake) as here:
        interaction = await fake.command(here.vic, "boom")
        await interaction.shown()
    assert REFERENCE.search(interaction.text)
    assert [] == [record.getMessage() for record in caplog.records if SECRET in record.getMessage()]


def test_a_denial_says_what_is_missing():
    """The policy's own words, with the roles as Discord shows them."""
    error = Denied("run", "etl_*sales*", "it needs operator (<@&1>); you are viewer")
    told = "✗ You may not run etl\\_\\*sales\\*: it needs operator (<@&1>); you are viewer."
    assert told == words(error)


def test_a_user_error_without_a_hint_is_one_line():
    """No hint, no second line."""
    assert "✗ No." == words(UserError("No."))


def test_what_nobody_expected_has_no_words():
    """For other errors there is only the reference."""
    assert words(ZeroDivisionError("x")) is None
    assert words(discord.DiscordException("x")) is None
