"""Who is who: roles and permissions as Discord tells them, and what follows for what people may do."""

from __future__ import annotations

import textwrap

import discord
import pytest

from bot.asking import actor_of, asked, check
from bot.errors import UserError
from pipelines import Denied, Verb
from tests.bot import chat_plugin
from tests.bot.conftest import running

PROBE = """

    class Probe:
        needs = "viewer"

        def register(self, bot):
            @bot.tree.command(description="Keep the interaction")
            async def probe(interaction):
                bot.seen = interaction
                await interaction.response.send_message("seen", ephemeral=True)
"""
YAML = """
    pipelines:
      prices:
        chain: [chat.One]
        discord_commands: chat.Probe
"""


@pytest.fixture
def probing(project):
    """A project with a command that keeps its interaction."""
    project.plugin("chat", textwrap.dedent(chat_plugin.CODE) + textwrap.dedent(PROBE))
    project.write(YAML)
    return project


async def seen(here, member, **where) -> discord.Interaction:
    """The interaction of a command that a member typed."""
    await (await here.fake.command(member, "probe", **where)).shown()
    return here.bot.seen


async def test_an_actor_has_the_ids_that_the_policy_knows(probing, fake):
    """Id, name, roles and whether one may manage the server come from the interaction."""
    async with running(probing, fake) as here:
        olga = actor_of(await seen(here, here.olga))
        ann = actor_of(await seen(here, here.ann))
    assert (f"discord:{here.olga.id}", "olga", here.olga.id, False) == (olga.id, olga.name, olga.user, olga.manages)
    assert {role.id for role in here.olga.roles} <= (olga.roles or frozenset())
    assert ann.manages


async def test_a_request_is_known_by_its_interaction(probing, fake):
    """The interaction's id makes the request take effect once; the place is kept for the audit."""
    async with running(probing, fake) as here:
        interaction = await seen(here, here.olga)
        request = asked(interaction)
    assert (f"discord:{interaction.id}", "discord") == (request.request_id, request.door)
    assert {"guild": str(here.guild.id), "channel": str(here.channel.id)} == request.place


@pytest.mark.parametrize(("name", "allowed"), [("ann", True), ("olga", True), ("vic", False)])
async def test_operators_and_admins_may_run(probing, fake, name, allowed):
    """Who manages the server and who has the operators' role may run; a viewer may not."""
    async with running(probing, fake) as here:
        interaction = await seen(here, getattr(here, name))
        if allowed:
            await check(interaction, Verb.RUN, "prices")
        else:
            with pytest.raises(Denied, match="you are viewer"):
                await check(interaction, Verb.RUN, "prices")


async def test_a_denied_change_is_audited_and_a_denied_look_is_not(probing, fake):
    """Denials of what would change something leave a row, with what was missing."""
    async with running(probing, fake) as here:
        with pytest.raises(Denied):
            await check(await seen(here, here.vic), Verb.RUN, "prices")
        (entry,) = await here.bot.reads.audit()
    assert (Verb.RUN, "prices", False) == (entry.verb, entry.target, entry.allowed)
    assert f"discord:{here.vic.id}" == entry.asked.actor.id


async def test_roles_are_unknown_while_the_server_is_out(probing, fake):
    """In an outage nobody has a right by role, and is told to try again; who manages the server still may."""
    async with running(probing, fake) as here:
        operator, admin = await seen(here, here.olga), await seen(here, here.ann)
        fake.gateway.dispatch("GUILD_DELETE", {"id": str(here.guild.id), "unavailable": True})
        await fake.until(lambda: here.bot.get_guild(here.guild.id).unavailable, what="the outage")
        assert actor_of(operator).roles is None
        with pytest.raises(Denied, match="not known just now"):
            await check(operator, Verb.RUN, "prices")
        await check(admin, Verb.RUN, "prices")


async def test_roles_are_unknown_while_the_server_has_not_arrived(probing, fake):
    """A server that READY names and that never arrives gives nobody a role."""
    async with running(probing, fake) as here:
        here.guild.available = False
        here.bot._connection._guilds.clear()
        with pytest.raises(Denied, match="not known just now"):
            await check(await seen(here, here.olga), Verb.RUN, "prices")


async def test_a_pipeline_may_be_kept_to_its_channels(probing, fake):
    """`discord: channels:` refuses elsewhere, and names where it may be used; threads count with their channel."""
    async with running(probing, fake):
        pass
    ops, lab = fake.guilds[0].channels[0], fake.channel("lab")
    thread = fake.thread("run 1", ops)
    probing.write(YAML + f"        discord: {{channels: [{ops.id}]}}\n")
    async with running(probing, fake) as here:
        await check(await seen(here, here.olga, channel=ops), Verb.RUN, "prices")
        await check(await seen(here, here.olga, channel=thread), Verb.RUN, "prices")
        refused = await (await fake.command(here.olga, "probe", channel=lab)).shown()
    assert f"it may be used in <#{ops.id}> only" in refused.content


async def test_a_check_refuses_servers_that_are_not_served(probing, fake):
    """Also a button of a server that was taken off the list is refused."""
    async with running(probing, fake) as here:
        interaction = await seen(here, here.ann)
        interaction.guild_id = 4711
        with pytest.raises(UserError, match="not one of those I serve"):
            await check(interaction, Verb.VIEW)


async def test_a_check_refuses_direct_messages(probing, fake):
    """Outside of servers nobody is served."""
    async with running(probing, fake) as here:
        interaction = await seen(here, here.ann)
        interaction.guild_id = None
        with pytest.raises(UserError, match="not in direct messages"):
            await check(interaction, Verb.VIEW)
