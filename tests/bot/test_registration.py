"""Commands are registered where they changed, and only there."""

from __future__ import annotations

import re
import sys

import pytest

from bot import registering
from bot.registration import mention
from pipelines import PipecallError, StoreError
from tests.bot import chat_plugin
from tests.bot.conftest import place, running
from tests.fake_discord import faults

PUT = "PUT /applications/{application_id}/guilds/{guild_id}/commands"


@pytest.fixture
def written(project):
    """A project with a plugin, so that its commands can change."""
    chat_plugin.write(project)
    return project


async def test_a_restart_registers_nothing(written, fake):
    """The same commands are registered once, however often the service starts."""
    async with running(written, fake):
        pass
    async with running(written, fake) as here:
        known = here.bot.registration.ids
    assert 1 == len(fake.sent(PUT))
    assert {command["name"] for command in fake.commands(here.guild)} == set(known[here.guild.id])


async def test_changed_commands_are_registered(written, fake):
    """A description that changed is told."""
    async with running(written, fake):
        pass
    written.plugin("chat", chat_plugin.CODE.replace("Raise in a check", "Raise in another check"))
    _forget_plugin()
    async with running(written, fake) as here:
        descriptions = [command["description"] for command in fake.commands(here.guild)]
    assert 2 == len(fake.sent(PUT))
    assert "Raise in another check" in descriptions


def _forget_plugin():
    del sys.modules["chat"]


async def test_a_server_taken_off_the_list_loses_its_commands_once(written, fake):
    """It is told an empty list, once; the others are left alone."""
    guild, *_ = place(fake)
    other = fake.guild("Other")
    async with running(written, fake, discord_guilds=f"{guild.id},{other.id}"):
        assert fake.commands(other)
    for _ in range(2):
        async with running(written, fake):
            pass
    assert [] == fake.commands(other)
    assert 3 == len(fake.sent(PUT))


async def test_a_failure_stores_nothing(written, fake):
    """A registration that Discord refuses is tried again at the next start; the bot connects all the same."""
    fake.faults.next(faults.error(50035), route=PUT)
    async with running(written, fake) as here:
        assert [] == fake.commands(here.guild)
        assert not here.bot.registration.done
    async with running(written, fake) as here:
        assert fake.commands(here.guild)


async def test_one_server_that_refuses_keeps_no_other_from_its_commands(written, fake):
    """The bot is not on one of two served servers: the other has its commands."""
    guild, *_ = place(fake)
    async with running(written, fake, discord_guilds=f"4711,{guild.id}"):
        assert fake.commands(guild)


async def test_what_failed_is_tried_again_with_the_housekeeping(written, fake):
    """No restart is needed."""
    fake.faults.next(faults.status(503), route=PUT)
    async with running(written, fake) as here:
        assert not here.bot.registration.done
        await here.bot.keep_house()
        assert here.bot.registration.done
        assert fake.commands(here.guild)


async def test_a_mention_can_be_clicked(written, fake):
    """The id of a command comes from its registration, also after a restart."""
    async with running(written, fake):
        pass
    async with running(written, fake) as here:
        told = here.bot.mention("mend")
        (number,) = [command["id"] for command in fake.commands(here.guild) if command["name"] == "mend"]
    assert f"</mend:{number}>" == told


def test_a_mention_without_an_id_is_plain():
    """Before the registration a command is named as one would type it."""
    assert "/run" == mention({}, "run")
    assert "/run" == mention({1: {"run": 7}}, "run", 2)
    assert "</run:7>" == mention({1: {"run": 7}}, "run", 1)


async def test_sync_registers_without_connecting(written, fake):
    """`python -m bot sync` registers over REST; a second time it finds nothing changed; `--force` does it anyway."""
    guild, *_ = place(fake)
    settings = written.settings(discord_token=fake.token, discord_guilds=str(guild.id), discord_api_base=fake.api_base)
    catalog = written.catalog(settings)
    first = await registering.register(settings, catalog, {})
    second = await registering.register(settings, catalog, {})
    forced = await registering.register(settings, catalog, {}, force=True)
    assert [f"server {guild.id}" in first, "nothing changed" in second, f"server {guild.id}" in forced] == [True] * 3
    assert (2, 0) == (len(fake.sent(PUT)), fake.gateway.handshakes)


async def test_sync_says_what_is_missing(written, fake):
    """Without a token or a served server there is nothing to do, and the doctor is named."""
    settings = written.settings()
    with pytest.raises(PipecallError, match="doctor"):
        await registering.register(settings, written.catalog(settings), {})


async def test_sync_tells_of_a_rejected_token(written, fake):
    """Without the token in the text."""
    settings = written.settings(discord_token="wrong.token.here", discord_guilds="1", discord_api_base=fake.api_base)
    with pytest.raises(PipecallError, match="rejects the token") as caught:
        await registering.register(settings, written.catalog(settings), {})
    assert not re.search("wrong.token.here", str(caught.value))


async def test_sync_leaves_a_running_service_alone(written, fake):
    """While the service runs, the store is its own."""
    async with running(written, fake) as here:
        with pytest.raises(StoreError):
            await registering.register(here.scheduler.settings, here.scheduler.catalog, {})


CHANGING = {"run", "cancel", "schedule", "remove", "pause", "resume"}


async def test_without_operators_changes_are_shown_to_managers_only(written, fake):
    """Where only who manages the server may change anything, others do not even see the commands for it."""
    path = written.folder / "pipelines.yml"
    text = path.read_text()
    path.write_text(text + "\npolicy: {}\n")
    async with running(written, fake) as here:
        assert CHANGING == hidden(fake.commands(here.guild))
    path.write_text(text + "\npolicy: {operator: {users: [1]}}\n")
    async with running(written, fake) as here:
        assert set() == hidden(fake.commands(here.guild))


def hidden(commands):
    """The names of the commands that Discord shows to managers of the server alone."""
    return {command["name"] for command in commands if command["default_member_permissions"] == "32"}
