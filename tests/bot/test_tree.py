"""The command tree: whom it lets in, how often, and what it tells Discord of the commands."""

from __future__ import annotations

import discord
import pytest

from bot.tree import COMMANDS, PER_S
from pipelines import Verb
from tests.bot import chat_plugin
from tests.bot.conftest import running


@pytest.fixture
async def here(project, fake):
    """A bot at work."""
    chat_plugin.write(project)
    async with running(project, fake) as running_:
        yield running_


async def test_the_commands_are_for_servers_only(here):
    """Every command is registered for guilds and for installation in guilds, never for direct messages or users."""
    commands = here.fake.commands(here.guild)
    assert commands
    assert {((0,), (0,))} == {(tuple(each["contexts"]), tuple(each["integration_types"])) for each in commands}


async def test_no_command_is_registered_globally(here):
    """The commands stand in the guild's scope; the global one stays empty."""
    assert [] == here.fake.commands()


async def test_a_server_that_is_not_served_gets_one_answer(project, fake):
    """There every command says so, to its person only, a change is recorded; a completion offers nothing."""
    chat_plugin.write(project)
    async with running(project, fake) as here:
        elsewhere = fake.guild("Elsewhere")
        fake.channel("far", guild=elsewhere)
        stranger = fake.member("eve", guild=elsewhere)
        fake.registered.put(elsewhere.id, [_told(command) for command in fake.commands(here.guild)])
        shown = await (await fake.command(stranger, "mend")).shown()
        assert [] == await here.scheduler.reads.audit()
        refused = await (await fake.command(stranger, "run", pipeline="prices")).shown()
        (entry,) = await here.scheduler.reads.audit()
        completing = await fake.autocomplete(stranger, "complete", "name", "x")
        await completing.answered()
    assert shown.content == refused.content
    assert (Verb.RUN, False, "the server is not served") == (entry.verb, entry.allowed, entry.missing)
    assert "This server is not one of those I serve" in shown.content
    assert str(elsewhere.id) in shown.content
    assert shown.ephemeral
    assert [] == completing.choices


def _told(command):
    given = ("name", "description", "type", "options", "contexts", "integration_types", "default_member_permissions")
    return {key: command[key] for key in given if key in command}


async def test_somebody_too_quick_is_asked_to_wait(here):
    """The eleventh command within 30 s is refused with the time at which the next is heard; others are not affected."""
    for _ in range(COMMANDS):
        await (await here.fake.command(here.vic, "mend")).shown()
    eleventh = await (await here.fake.command(here.vic, "mend")).shown()
    other = await (await here.fake.command(here.olga, "mend")).shown()
    assert "That was a lot at once" in eleventh.content
    assert "no number" in other.content


async def test_completions_are_not_counted(here):
    """A completion comes with each key, so it costs nothing."""
    for _ in range(COMMANDS + 1):
        await (await here.fake.autocomplete(here.vic, "complete", "name", "x")).answered()
    assert "no number" in (await (await here.fake.command(here.vic, "mend")).shown()).content


async def test_the_pause_passes(here):
    """After 30 s the person is heard again."""
    now = 1.0
    here.bot.tree._clock = lambda: now
    for _ in range(COMMANDS + 1):
        refused = await (await here.fake.command(here.vic, "mend")).shown()
    now += PER_S + 1
    heard = await (await here.fake.command(here.vic, "mend")).shown()
    assert ["a lot at once" in refused.content, "no number" in heard.content] == [True, True]


async def test_a_command_that_discord_knows_and_we_do_not_is_registered_anew(here):
    """An old command is answered with "I was updated", and the commands are registered again."""
    before = len(here.fake.sent("PUT /applications/{application_id}/guilds/{guild_id}/commands"))
    old = [_told(command) for command in here.fake.commands(here.guild)]
    here.fake.registered.put(here.guild.id, [*old, {"name": "gone", "description": "of an older version", "type": 1}])
    shown = await (await here.fake.command(here.vic, "gone")).shown()
    assert "I was updated" in shown.content
    route = "PUT /applications/{application_id}/guilds/{guild_id}/commands"
    await here.fake.until(lambda: len(here.fake.sent(route)) > before, what="the registration")


async def test_while_the_service_stops_nothing_new_is_begun(here):
    """Once the service is being stopped a command is refused with the reason."""
    here.face._leaving = True
    shown = await (await here.fake.command(here.vic, "mend")).shown()
    assert "I am being stopped" in shown.content


async def test_the_bot_asks_for_no_privileged_intent(here):
    """Guilds only: nobody's messages, presences or membership lists."""
    assert [discord.Intents(guilds=True).value] == [each["intents"] for each in here.fake.gateway.identifies]
