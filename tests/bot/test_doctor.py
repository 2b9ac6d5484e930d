"""What `python -m bot doctor` and `invite` find, against the fake's REST."""

from __future__ import annotations

import asyncio

import discord
import pytest

from bot import doctor
from bot.__main__ import main
from bot.permissions import permissions_in
from pipelines import Level
from tests.bot.conftest import FETCHER, place
from tests.fake_discord import faults
from tests.fake_discord.world import ADMINISTRATOR, ATTACH_FILES, EVERYTHING, SEND_MESSAGES, VIEW_CHANNEL

LEAST = discord.Permissions(
    view_channel=True,
    send_messages=True,
    embed_links=True,
    attach_files=True,
    read_message_history=True,
    send_messages_in_threads=True,
    create_public_threads=True,
)


@pytest.fixture
def furnished(project, fake):
    """A guild, its channel, and a project that alerts there."""
    guild, channel, *_ = place(fake)
    project.plugin("mine", FETCHER)
    project.write(f"""
        alerts: {{channel_id: {channel.id}}}
        discord: {{guilds: [{guild.id}]}}
        pipelines:
          prices:
            chain: [mine.One]
    """)
    return guild, channel


async def examined(project, fake, **given):
    """The findings, worst first, as lines."""
    chosen = {"discord_token": fake.token, "discord_api_base": fake.api_base} | given
    settings = project.settings(**chosen)
    return await doctor.examine(settings, project.catalog(settings), project.env)


def wrong(findings):
    return [str(finding) for finding in findings if finding.level is Level.WRONG]


def doubtful(findings):
    return [str(finding) for finding in findings if finding.level is Level.DOUBTFUL]


async def test_a_bot_in_order_has_nothing_to_mend(project, fake, furnished):
    """With all in order every finding is good, and the channel is named."""
    findings = await examined(project, fake)
    assert ([], []) == (wrong(findings), doubtful(findings))
    assert any("#ops in Shop" in finding.what for finding in findings)


async def test_without_a_token_it_says_where_to_get_one(project, fake, furnished):
    """Without a token that is the one finding, with the way to a token."""
    (finding,) = await examined(project, fake, discord_token=None)
    assert Level.WRONG is finding.level
    assert "https://discord.com/developers/applications" in finding.remedy


async def test_a_rejected_token_ends_the_examination(project, fake, furnished):
    """A token that Discord rejects is told, and never shown."""
    (finding,) = await examined(project, fake, discord_token="some.other.token")
    assert "rejects the token" in finding.what
    assert "some.other.token" not in str(finding)


async def test_a_token_file_that_others_can_read_is_told(project, fake, furnished, tmp_path):
    """A token file with rights for others is doubtful, with the command that mends it."""
    path = tmp_path / "token"
    path.write_text(fake.token)
    path.chmod(0o644)
    assert [f"chmod 600 {path}"] == [
        finding.remedy
        for finding in await examined(project, fake, discord_token=None, discord_token_file=path)
        if finding.level is Level.DOUBTFUL
    ]


async def test_a_token_file_of_ones_own_is_good(project, fake, furnished, tmp_path):
    """A token file that only its owner can read is no finding."""
    path = tmp_path / "token"
    path.write_text(fake.token)
    path.chmod(0o600)
    assert [] == doubtful(await examined(project, fake, discord_token=None, discord_token_file=path))


async def test_the_application_is_looked_at(project, fake, furnished):
    """A public bot, privileged intents and an interactions endpoint are told at once."""
    fake.application_changes = {
        "bot_public": True,
        "interactions_endpoint_url": "https://example.com/interactions",
        "flags": 1 << 19,
    }
    findings = await examined(project, fake)
    assert 1 == len(wrong(findings))
    assert "Interactions Endpoint URL" in wrong(findings)[0]
    assert ["public", "gateway_message_content"] == [
        next(word for word in ("public", "gateway_message_content") if word in line) for line in doubtful(findings)
    ]


async def test_unserved_servers_come_with_the_lines_to_paste(project, fake, furnished):
    """When no server is served, the remedy is the YAML with the ids and names of those the bot is on."""
    guild, _ = furnished
    project.write("pipelines: {prices: {chain: [mine.One]}}")
    assert f"    - {guild.id}  # Shop" in "\n".join(wrong(await examined(project, fake)))


async def test_a_server_that_the_bot_is_not_on_is_told(project, fake, furnished):
    """A served server that the bot is not on is wrong; the remedy names the invitation."""
    guild, _ = furnished
    findings = await examined(project, fake, discord_guilds=f"{guild.id},4711")
    assert ["the bot is not on the server 4711"] == [
        finding.what for finding in findings if finding.level is Level.WRONG
    ]


async def test_an_administrator_has_too_much(project, fake, furnished):
    """Administrator is doubtful."""
    guild, _ = furnished
    guild.bot_permissions = EVERYTHING | ADMINISTRATOR
    assert ["administrator" in line for line in doubtful(await examined(project, fake))] == [True]


async def test_missing_permissions_of_a_channel_are_told_together(project, fake, furnished):
    """All that a channel lacks stands in one finding."""
    _, channel = furnished
    channel.denied = SEND_MESSAGES | ATTACH_FILES
    (finding,) = [each for each in await examined(project, fake) if each.level is Level.WRONG]
    assert "Send Messages, Attach Files" in finding.remedy
    assert "used by alerts" in finding.what


async def test_a_hidden_channel_is_told(project, fake, furnished):
    """A channel that the bot cannot see is told with the permission that it needs."""
    _, channel = furnished
    channel.denied = VIEW_CHANNEL
    assert ["View Channel" in line for line in wrong(await examined(project, fake))] == [True]


async def test_a_deleted_channel_is_told(project, fake, furnished):
    """A channel that is not there is told."""
    fake.delete_channel(furnished[1])
    assert ["does not exist" in line for line in wrong(await examined(project, fake))] == [True]


async def test_a_thread_is_judged_by_its_parent(project, fake, furnished):
    """A thread's permissions are those of its channel; a stranger's server is refused."""
    guild, channel = furnished
    channel.denied = ATTACH_FILES
    thread = fake.thread("run 1", channel)
    elsewhere = fake.channel("far", guild=fake.guild("Elsewhere"))
    project.write(f"""
        discord: {{guilds: [{guild.id}], digest: {{channel_id: {elsewhere.id}}}}}
        pipelines:
          prices:
            alerts: {{channel_id: {thread.id}}}
            chain: [mine.One]
    """)
    found = wrong(await examined(project, fake))
    assert ["not on a server that is served" in found[0], "Attach Files" in found[1]] == [True, True]


async def test_sinks_and_webhooks_are_looked_at(project, fake, furnished):
    """A sink's channel is examined like any other, and a webhook without its variable is told."""
    guild, channel = furnished
    project.env["OPS"] = str(channel.id)
    project.write(f"""
        discord: {{guilds: [{guild.id}]}}
        pipelines:
          prices:
            chain:
              - mine.One
              - class: bot.sink.DiscordSink
                kwargs: {{channel_id: "${{OPS}}"}}
              - class: bot.sink.DiscordSink
                kwargs: {{webhook: NOT_SET}}
    """)
    findings = await examined(project, fake)
    assert ["the sink of prices: the webhook NOT_SET is not set"] == [
        finding.what for finding in findings if finding.level is Level.WRONG
    ]
    assert any(finding.level is Level.GOOD and str(channel.id) in finding.what for finding in findings)


async def test_an_outage_is_told(project, fake, furnished):
    """When Discord does not answer, that is said, and no more is asked."""
    fake.faults.every(faults.status(503))
    assert ["Discord cannot be asked" in line for line in wrong(await examined(project, fake))] == [True]


async def test_the_invitation_asks_for_the_least(project, fake, furnished):
    """The address names the application, both scopes, and exactly the seven permissions that are needed."""
    address = await doctor.invite(project.settings(discord_token=fake.token, discord_api_base=fake.api_base))
    assert f"client_id={fake.bot.id}" in address
    assert "scope=bot+applications.commands" in address
    assert f"permissions={LEAST.value}" in address
    assert not LEAST.administrator


def test_overwrites_are_applied_in_discords_order():
    """Everyone's overwrites come first, then those of the roles together, then the member's own."""
    roles = [{"id": "1", "permissions": str(VIEW_CHANNEL | SEND_MESSAGES)}, {"id": "2", "permissions": "0"}]
    overwrites = [
        {"id": "9", "type": 1, "allow": str(ATTACH_FILES), "deny": "0"},
        {"id": "2", "type": 0, "allow": str(SEND_MESSAGES), "deny": "0"},
        {"id": "1", "type": 0, "allow": "0", "deny": str(SEND_MESSAGES | ATTACH_FILES)},
        {"id": "3", "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)},
    ]
    channel = {"guild_id": "1", "permission_overwrites": overwrites}
    allowed = permissions_in(channel, roles=roles, member={"user": {"id": "9"}, "roles": ["2"]})
    assert VIEW_CHANNEL | SEND_MESSAGES | ATTACH_FILES == allowed.value


@pytest.fixture
def terminal(project, fake, furnished, monkeypatch):
    """Runs `python -m bot` as a user would, in the project's folder; returns the exit code."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("DISCORD_TOKEN", fake.token)
    monkeypatch.setenv("DISCORD_API_BASE", fake.api_base)
    monkeypatch.setenv("SCHEDULER_DB_URL", f"sqlite:///{project.folder / 'store.db'}")

    async def run(*arguments):
        return await asyncio.to_thread(main, arguments)

    return run


async def test_the_command_says_that_all_is_well(terminal, capsys):
    """Exit code 0, and a line for each thing that was looked at."""
    assert 0 == await terminal("doctor")
    assert capsys.readouterr().out.endswith("all is well\n")


async def test_the_command_counts_what_is_to_mend(terminal, capsys, furnished):
    """Exit code 1, with the remedy under what is wrong."""
    furnished[1].denied = VIEW_CHANNEL
    assert 1 == await terminal("doctor")
    out = capsys.readouterr().out
    assert "cannot be seen by the bot\n    let the bot's role see it" in out
    assert out.endswith("1 thing to mend\n")


async def test_the_command_tells_of_a_wrong_file(terminal, capsys, project):
    """Exit code 2, with the file's problems."""
    project.write("pipelines: {prices: {chain: [nothing.There]}}")
    assert 2 == await terminal("doctor")
    assert "pipelines.prices.chain[0]" in capsys.readouterr().err


async def test_the_command_prints_the_invitation(terminal, capsys, fake):
    """One line, to be opened in a browser; a rejected token is told instead."""
    assert 0 == await terminal("invite")
    assert capsys.readouterr().out.startswith("https://discord.com/oauth2/authorize?client_id=")
    fake.token = "another.token.now"
    assert 1 == await terminal("invite")
    assert capsys.readouterr().err.startswith("✗ ")


async def test_the_command_registers(terminal, capsys, fake, furnished):
    """`sync` says what it did."""
    assert 0 == await terminal("sync")
    assert f"registered in the server {furnished[0].id}" in capsys.readouterr().out
    assert fake.commands(furnished[0])
