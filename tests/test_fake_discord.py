"""The fake Discord answers the real discord.py as Discord does: what people do, and the bots of other processes."""

from __future__ import annotations

import asyncio
import os
import sys

import discord
import pytest
from discord.http import Route

from tests.fake_discord import Clock, FakeDiscord, description
from tests.fake_discord.interactions import DEFER, DEFER_UPDATE, SEND, UPDATE
from tests.fake_discord.refusal import Refusal
from tests.fake_discord.world import EVERYTHING, SEND_MESSAGES
from tests.small_bot import SmallBot, Stop, logged_in, online


@pytest.fixture
async def fake():
    started = await FakeDiscord.start()
    started.guild()
    started.channel("ops")
    yield started
    await started.stop()


def described():
    """Discord's description; skips the test where there is none, and fails it where CI must have one."""
    if description.place() is None:
        reason = "Discord's openapi.json is neither in DISCORD_OPENAPI nor beside the project"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return description.load()


async def test_a_command_is_answered(fake):
    """A typed command reaches the bot with its options, and its answer is a message in the channel."""
    ada = fake.member("ada")
    async with online(fake):
        interaction = await fake.command(ada, "run", pipeline="sales")
        message = await interaction.shown()
    assert (SEND, "ada runs sales x1") == (interaction.response_type, message.content)
    assert [message] == fake.messages(interaction.channel)


async def test_only_what_discord_lets_one_type_can_be_typed(fake):
    """An unknown command or option, a missing one, or one out of bounds never leaves the person's client."""
    ada = fake.member()
    async with online(fake):
        for error, name, options in [
            (LookupError, "walk", {}),
            (LookupError, "run", {"pipelin": "x"}),
            (ValueError, "run", {}),
            (ValueError, "run", {"pipeline": "x", "times": 9}),
        ]:
            with pytest.raises(error):
                await fake.command(ada, name, **options)


async def test_a_deferral_and_its_edit(fake):
    """A deferred, ephemeral answer says "thinking" first, is then edited, and stays out of the channel."""
    async with online(fake):
        interaction = await fake.command(fake.member(), "slow")
        await interaction.answered()
        message = await interaction.shown()
    assert (DEFER, "done", True) == (interaction.response_type, message.content, message.ephemeral)
    assert [] == fake.messages(interaction.channel)


async def test_the_first_follow_up_fills_the_deferred_message(fake):
    """The first follow-up after a deferral is the deferred message; later ones are messages of their own."""
    async with online(fake):
        interaction = await fake.command(fake.member(), "more")
        await fake.until(lambda: len(interaction.followups) == 2 and interaction.followups[1].deleted)
    assert ["first", "second, edited"] == [message.content for message in fake.messages(interaction.channel)]


async def test_choices_are_offered_while_one_types(fake):
    """Autocomplete brings the bot's choices for what was typed so far."""
    async with online(fake):
        interaction = await fake.autocomplete(fake.member(), "run", "pipeline", "s", times=2)
        await interaction.answered()
    assert ["sales", "stock"] == [choice["value"] for choice in interaction.choices]


async def test_a_button_that_only_its_id_describes(fake):
    """A pressed DynamicItem finds its class by its custom id and changes its message in place."""
    async with online(fake):
        asked = await fake.command(fake.member(), "button")
        message = await asked.shown()
        pressed = await fake.press(fake.member("bo"), message, "p1:stop:7")
        await pressed.answered()
        with pytest.raises(LookupError):
            await fake.press(fake.member("cy"), message, "p1:stop:7")
    assert (UPDATE, "stopped 7", []) == (pressed.response_type, message.content, message.custom_ids)
    assert ["running"] == [state["content"] for state in message.states]


async def test_a_button_that_takes_its_time(fake):
    """A deferred press shows nothing new; the edit changes the pressed message, and a follow-up may be ephemeral."""
    async with online(fake):
        message = await (await fake.command(fake.member(), "button")).shown()
        pressed = await fake.press(fake.member("bo"), message, "p1:later")
        await fake.until(lambda: pressed.followups)
    assert (DEFER_UPDATE, message, "later") == (pressed.response_type, pressed.original, message.content)
    assert "later\nit says later" == pressed.text
    assert [message] == fake.messages(message.channel)


async def test_a_modal_is_filled_in(fake):
    """A command opens a modal; what is typed into it comes back to the bot."""
    async with online(fake):
        asked = await fake.command(fake.member(), "why")
        await asked.answered()
        sent = await fake.submit(asked, {"reason": "of rain"})
        assert "because of rain" == (await sent.shown()).content
        with pytest.raises(ValueError, match="required"):
            await fake.submit(asked, {})


async def test_a_value_of_a_select_is_chosen(fake):
    """The chosen value of a select reaches the bot; one that it does not offer cannot be chosen."""
    async with online(fake):
        asked = await fake.command(fake.member(), "choose")
        message = await asked.shown()
        chosen = await fake.select(fake.member("bo"), message, "colour", ["green"])
        assert "chose green" == (await chosen.shown()).content
        with pytest.raises(LookupError):
            await fake.select(fake.member("cy"), message, "colour", ["blue"])


async def test_components_v2_are_shown_and_described(fake):
    """A layout view passes Discord's description both ways, and its text can be read."""
    async with online(fake):
        message = await (await fake.command(fake.member(), "card")).shown()
    assert "**sales** ran" == message.text


async def test_a_file_in_an_answer_and_a_person_as_an_option(fake):
    """A person given as an option is resolved, and an answer may carry a file and be taken back."""
    ada = fake.member("ada")
    async with online(fake):
        interaction = await fake.command(ada, "export", who=ada)
        await fake.until(lambda: interaction.original and interaction.original.deleted)
    assert {"ada.csv": b"a,b"} == interaction.original.files
    assert [] == fake.messages(interaction.channel)


async def test_only_the_first_of_two_bots_answers(fake):
    """A second answer to one interaction is refused with 40060."""
    one, two = SmallBot(fake.guilds[0].id), SmallBot(fake.guilds[0].id)
    async with online(fake, one), online(fake, two):
        await fake.command(fake.member(), "run", pipeline="sales")
        await fake.until(lambda: one.errors + two.errors)
    assert [40060] == [error.code for error in one.errors + two.errors]
    assert 1 == len(fake.messages(fake.interactions[0].channel))


async def test_an_answer_after_three_seconds_is_refused():
    """The clock decides: an interaction older than three seconds is unknown (10062)."""
    fake = await FakeDiscord.start(clock=Clock(running=False))
    fake.guild()
    fake.channel()
    bot = SmallBot(fake.guilds[0].id)

    async def late(_interaction):
        fake.clock.advance(3.5)
        return True

    bot.tree.interaction_check = late
    async with online(fake, bot):
        interaction = await fake.command(fake.member(), "run", pipeline="sales")
        await fake.until(lambda: bot.errors)
    assert ([10062], None) == ([error.code for error in bot.errors], interaction.response)
    await fake.stop()


async def test_a_token_lives_fifteen_minutes(fake):
    """An edit after fifteen minutes is refused with 50027."""
    async with online(fake) as bot:
        interaction = await fake.command(fake.member(), "run", pipeline="sales")
        await interaction.shown()
        fake.clock.advance(901)
        webhook = discord.Webhook.partial(bot.application_id, interaction.token, client=bot)
        with pytest.raises(discord.HTTPException) as caught:
            await webhook.edit_message(interaction.original.id, content="late")
    assert (401, 50027) == (caught.value.status, caught.value.code)


async def test_the_bot_sees_its_rights_and_peoples_roles(fake):
    """From GUILD_CREATE the bot knows its own permissions in a channel and the roles of who acts."""
    ops, silent = fake.role("ops"), fake.channel("silent", denied=SEND_MESSAGES)
    seen = []
    bot = SmallBot(fake.guilds[0].id)

    async def look(interaction):
        seen.append(([role.name for role in interaction.user.roles], interaction.permissions.value))
        return True

    bot.tree.interaction_check = look
    async with online(fake, bot):
        ada = fake.member("ada", roles=[ops], permissions=discord.Permissions(EVERYTHING))
        await (await fake.command(ada, "run", pipeline="sales")).shown()
        place = bot.get_channel(silent.id)
        assert not place.permissions_for(place.guild.me).send_messages
    assert [(["@everyone", "ops"], EVERYTHING)] == seen


async def test_a_bot_in_another_process(fake):
    """Only the two addresses are needed: a bot of another process registers, connects and answers."""
    code = (
        "import asyncio, os, warnings; warnings.simplefilter('ignore')\n"
        "from tests.fake_discord import point_at; from tests.small_bot import SmallBot\n"
        "with point_at(os.environ['DISCORD_API_BASE'], os.environ['DISCORD_GATEWAY_URL']):\n"
        "    asyncio.run(SmallBot(int(os.environ['GUILD'])).start('fake.bot.token'))\n"
    )
    environment = os.environ | fake.environment | {"GUILD": str(fake.guilds[0].id)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=environment)
    try:
        await fake.gateway.ready(timeout_s=20)
        message = await (await fake.command(fake.member("ada"), "run", pipeline="sales")).shown()
    finally:
        process.kill()
        await process.wait()
    assert "ada runs sales x1" == message.content


def test_discords_description_is_at_hand():
    """Every body is held against Discord's official description; without it a test run proves less."""
    assert described() is not None


async def test_the_description_judges_both_sides(fake, monkeypatch):
    """A request that breaks the description is an invalid form; an answer that breaks it fails the test."""
    assert fake.description is described()
    channel = fake.channel("alerts")
    async with logged_in(fake) as bot:
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=channel.id)
        with pytest.raises(discord.HTTPException) as caught:
            await bot.http.request(route, json={"content": "x", "embeds": [{"color": "red"}]})
        monkeypatch.setattr(type(fake.bot), "payload", lambda user: {"id": user.id, "username": user.name})
        with pytest.raises(KeyError):
            await bot.fetch_user(fake.member().id)
    assert (50035, 1) == (caught.value.code, len(fake.problems))
    assert 'GET /users/{user_id} 200: $: "avatar" is a required property' == fake.problems.pop()


@pytest.mark.parametrize(
    ("components", "at", "text"),
    [
        ([{"type": 99}], [0], "{\"type\":99} is not valid under any of the schemas listed in the 'oneOf' keyword"),
        ([{"type": 10, "content": 5}], [0, "content"], '5 is not of type "string"'),
        (
            [{"type": 17, "components": [{"type": 1, "components": [{"type": 2, "style": 1, "label": 5}]}]}],
            [0, "components", 0, "components", 0, "label"],
            '5 is not of types "null", "string"',
        ),
    ],
    ids=["of no kind", "of one kind", "deep"],
)
def test_a_complaint_names_the_mistake(components, at, text):
    """Of a choice the description says what is wrong with the kind that was meant; of what is no kind, that."""
    with pytest.raises(Refusal) as caught:
        described().check_request(
            "POST", "/channels/{channel_id}/messages", {"components": components}, multipart=False
        )
    found = caught.value.body["errors"]["components"]
    for step in at:
        found = found[str(step)]
    assert text == found["_errors"][0]["message"]


def test_the_buttons_id_is_a_template():
    """The button of these tests carries its run in its id."""
    assert "p1:stop:7" == Stop(7).item.custom_id
