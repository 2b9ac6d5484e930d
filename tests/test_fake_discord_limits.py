"""What Discord refuses, the fake refuses: with its official description as the judge, and without it."""

from __future__ import annotations

import io

import discord
import pytest
from discord.http import Route

from tests.fake_discord import FakeDiscord
from tests.fake_discord.limits import FILE_BYTES
from tests.small_bot import SmallBot, logged_in, online

V2 = 1 << 15


@pytest.fixture(params=["described", "alone"])
async def fake(request):
    """A fake with Discord's description, and one that has only its own limits."""
    started = await FakeDiscord.start()
    if request.param == "alone":
        started.description = None
    started.guild()
    started.channel("ops")
    yield started
    await started.stop()


def button(**more):
    return {"type": 2, "style": 1, "label": "x", "custom_id": "c"} | more


def row(*parts):
    return {"type": 1, "components": list(parts)}


def text(content="x"):
    return {"type": 10, "content": content}


def select(**more):
    return {"type": 3, "custom_id": "c", "options": [{"label": "a", "value": "a"}]} | more


def options(number):
    return [{"label": str(one), "value": str(one)} for one in range(number)]


def embed(**more):
    return {"embeds": [{"title": "t"} | more]}


def field(name="n", value="v"):
    return {"name": name, "value": value}


EMPTY = {
    "nothing": {},
    "an empty text": {"content": ""},
    "empty lists": {"embeds": [], "components": []},
}

REFUSED = {
    "content over 2000": {"content": "x" * 2001},
    "nonce over 25": {"content": "x", "nonce": "n" * 26},
    "11 embeds": {"embeds": [{"title": "t"}] * 11},
    "embed title over 256": embed(title="x" * 257),
    "embed description over 4096": embed(description="x" * 4097),
    "26 fields": embed(fields=[field()] * 26),
    "an empty field name": embed(fields=[field(name="")]),
    "an empty field value": embed(fields=[field(value=" ")]),
    "field name over 256": embed(fields=[field(name="x" * 257)]),
    "field value over 1024": embed(fields=[field(value="x" * 1025)]),
    "footer over 2048": embed(footer={"text": "x" * 2049}),
    "author over 256": embed(author={"name": "x" * 257}),
    "6001 characters of embeds": {"embeds": [{"description": "x" * 3001}, {"description": "x" * 3000}]},
    "6 rows": {"components": [row(button(custom_id=str(one))) for one in range(6)]},
    "6 buttons in a row": {"components": [row(*(button(custom_id=str(one)) for one in range(6)))]},
    "a select beside a button": {"components": [row(button(), select(custom_id="d"))]},
    "a button without custom_id or url": {"components": [row({"type": 2, "style": 1, "label": "x"})]},
    "a link without url": {"components": [row({"type": 2, "style": 5, "label": "x"})]},
    "a button without label": {"components": [row({"type": 2, "style": 1, "custom_id": "c"})]},
    "label over 80": {"components": [row(button(label="x" * 81))]},
    "custom_id over 100": {"components": [row(button(custom_id="x" * 101))]},
    "a custom_id twice": {"components": [row(button(), button())]},
    "26 options": {"components": [row(select(options=options(26)))]},
    "no options": {"components": [row(select(options=[]))]},
    "an option twice": {"components": [row(select(options=options(1) * 2))]},
    "option label over 100": {"components": [row(select(options=[{"label": "x" * 101, "value": "v"}]))]},
    "placeholder over 150": {"components": [row(select(placeholder="x" * 151))]},
    "a text without the flag": {"components": [text()]},
    "content beside components V2": {"content": "x", "flags": V2, "components": [text()]},
    "embeds beside components V2": embed() | {"flags": V2, "components": [text()]},
    "41 components V2": {"flags": V2, "components": [text()] * 41},
    "4001 characters of V2 texts": {"flags": V2, "components": [text("x" * 2001), text("x" * 2000)]},
    "an empty text of V2": {"flags": V2, "components": [text("")]},
    "a role both listed and parsed": {"content": "x", "allowed_mentions": {"parse": ["roles"], "roles": ["1"]}},
    "101 users to notify": {"content": "x", "allowed_mentions": {"users": [str(one) for one in range(1, 102)]}},
}


async def code_of(bot, method, path, body, **params):
    """The code with which a body was refused, or None where it was taken."""
    try:
        await bot.http.request(Route(method, path, **params), json=body)
    except discord.HTTPException as error:
        return error.code
    return None


async def test_every_limit_of_a_message_is_kept(fake):
    """Each message that Discord would refuse is refused as an invalid form, and none of them is stored."""
    channel = fake.channel("alerts")
    async with logged_in(fake) as bot:
        path = "/channels/{channel_id}/messages"
        codes = {name: await code_of(bot, "POST", path, body, channel_id=channel.id) for name, body in REFUSED.items()}
        empty = {name: await code_of(bot, "POST", path, body, channel_id=channel.id) for name, body in EMPTY.items()}
    assert dict.fromkeys(REFUSED, 50035) == codes
    assert dict.fromkeys(EMPTY, 50006) == empty
    assert [] == fake.messages(channel)


async def test_what_is_just_within_the_limits_is_taken(fake):
    """The largest message of each kind passes."""
    channel = fake.channel("alerts")
    rows = [row(*(button(custom_id=f"{one}.{two}", label="x" * 80) for two in range(5))) for one in range(5)]
    bodies = [
        {"content": "x" * 2000, "nonce": "n" * 25},
        {"embeds": [{"description": "x" * 3000}, {"description": "x" * 3000}]},
        {"components": rows},
        {"flags": V2, "components": [text("x" * 100)] * 40},
        {"components": [row(select(custom_id="x" * 100, options=options(25), placeholder="x" * 150))]},
    ]
    async with logged_in(fake) as bot:
        path = "/channels/{channel_id}/messages"
        codes = [await code_of(bot, "POST", path, body, channel_id=channel.id) for body in bodies]
    assert ([None] * 5, 5) == (codes, len(fake.messages(channel)))


async def test_an_edit_is_held_to_the_same_limits(fake):
    """An edit may not make a message too long or empty, nor put a text beside components V2."""
    channel = fake.channel("alerts")
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(channel.id)
        sent = await place.send("x")
        path = "/channels/{channel_id}/messages/{message_id}"
        bodies = [{"content": "x" * 2001}, {"content": ""}, {"flags": V2, "components": [text()]}]
        ids = {"channel_id": channel.id, "message_id": sent.id}
        codes = [await code_of(bot, "PATCH", path, body, **ids) for body in bodies]
    assert ([50035, 50006, 50035], "x") == (codes, fake.messages(channel)[0].content)


async def test_files_have_limits(fake):
    """Eleven files are an invalid form; a file over ten MiB is too large (40005)."""
    channel = fake.channel("alerts")
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(channel.id)
        with pytest.raises(discord.HTTPException) as large:
            await place.send(file=discord.File(io.BytesIO(b"x" * (FILE_BYTES + 1)), "x.csv"))
        params = [{"name": "payload_json", "value": '{"content": "x"}'}]
        for number in range(11):
            one = {"name": f"files[{number}]", "value": b"x", "filename": f"{number}.csv"}
            params.append(one | {"content_type": "application/octet-stream"})
        with pytest.raises(discord.HTTPException) as many:
            await bot.http.request(Route("POST", "/channels/{channel_id}/messages", channel_id=channel.id), form=params)
    assert (413, 40005, 50035) == (large.value.status, large.value.code, many.value.code)


def command(**more):
    return {"name": "run", "description": "Run", "type": 1} | more


def option(**more):
    return {"name": "pipeline", "description": "Which", "type": 3} | more


COMMANDS = {
    "no description": [command(description="")],
    "description over 100": [command(description="x" * 101)],
    "an upper-case name": [command(name="Run")],
    "a name with a space": [command(name="run it")],
    "name over 32": [command(name="x" * 33)],
    "a name twice": [command(), command()],
    "101 commands": [command(name=f"c{one}") for one in range(101)],
    "26 options": [command(options=[option(name=f"o{one}") for one in range(26)])],
    "26 choices": [command(options=[option(choices=[{"name": str(one), "value": str(one)} for one in range(26)])])],
    "choice name over 100": [command(options=[option(choices=[{"name": "x" * 101, "value": "v"}])])],
    "an option twice": [command(options=[option(), option()])],
    "an upper-case option": [command(options=[option(name="Pipeline")])],
    "an option without description": [command(options=[option(description="")])],
    "required after optional": [command(options=[option(), option(name="b", required=True)])],
    "8001 characters": [
        command(options=[
            option(name=f"o{one}", choices=[{"name": f"{two}".rjust(90, "x"), "value": f"{two}"} for two in range(25)])
            for one in range(4)
        ])
    ],
}  # fmt: skip


async def test_every_limit_of_commands_is_kept(fake):
    """Each list of commands that Discord would refuse is refused, and the registered ones stay."""
    async with online(fake) as bot:
        before = fake.commands(fake.guilds[0])
        path, ids = "/applications/{application_id}/commands", {"application_id": bot.application_id}
        codes = {name: await code_of(bot, "PUT", path, body, **ids) for name, body in COMMANDS.items()}
    assert dict.fromkeys(COMMANDS, 50035) == codes
    assert (before, []) == (fake.commands(fake.guilds[0]), fake.commands())


async def test_a_refused_sync_names_the_mistake(fake):
    """discord.py can tell which command was refused and why."""
    bot = SmallBot(fake.guilds[0].id)
    bot.tree.get_command("run").description = "x" * 101
    with pytest.raises(discord.app_commands.CommandSyncFailure, match="run"):
        async with online(fake, bot):
            pass


async def test_a_command_keeps_its_id_over_a_sync(fake):
    """Registering the same commands again keeps their ids, so that mentions of them stay true."""
    async with online(fake) as bot:
        first = {one["name"]: one["id"] for one in fake.commands(fake.guilds[0])}
        await bot.tree.sync(guild=bot.home)
    assert first == {one["name"]: one["id"] for one in fake.commands(fake.guilds[0])}


def label(**more):
    return {"type": 18, "label": "l", "component": {"type": 4, "style": 1, "custom_id": "f"}} | more


def modal(*rows, **more):
    return {"type": 9, "data": {"title": "t", "custom_id": "m", "components": list(rows or [label()])} | more}


ANSWERS = {
    "a text over 2000": {"type": 4, "data": {"content": "x" * 2001}},
    "an update without a message": {"type": 7, "data": {"content": "x"}},
    "choices for a command": {"type": 8, "data": {"choices": []}},
    "modal title over 45": modal(title="x" * 46),
    "modal custom_id over 100": modal(custom_id="x" * 101),
    "6 rows in a modal": modal(*(label(component={"type": 4, "style": 1, "custom_id": str(one)}) for one in range(6))),
    "label over 45": modal(label(label="x" * 46)),
    "a field twice": modal(label(), label()),
}


async def test_every_limit_of_an_answer_is_kept(fake):
    """Each answer that Discord would refuse is refused, after which a right one is still taken."""
    bot = SmallBot(fake.guilds[0].id)
    bot.tree.interaction_check = never
    async with online(fake, bot):
        asked = await fake.command(fake.member(), "run", pipeline="x")
        path = "/interactions/{number}/{token}/callback"
        ids = {"number": asked.id, "token": asked.token}
        codes = {name: await code_of(bot, "POST", path, body, **ids) for name, body in ANSWERS.items()}
        assert await code_of(bot, "POST", path, {"type": 4, "data": {}}, **ids) == 50006
        right = await code_of(bot, "POST", path, modal(), **ids)
    assert (dict.fromkeys(ANSWERS, 50035), None) == (codes, right)


async def test_choices_have_limits(fake):
    """More than 25 choices, or one over 100 characters, is refused."""
    bot = SmallBot(fake.guilds[0].id)
    bot.tree.interaction_check = never
    async with online(fake, bot):
        asked = await fake.autocomplete(fake.member(), "run", "pipeline", "x")
        ids = {"number": asked.id, "token": asked.token}
        codes = []
        for choices in (
            [{"name": str(one), "value": str(one)} for one in range(26)],
            [{"name": "x" * 101, "value": "v"}],
            [{"name": "n", "value": "x" * 101}],
            [{"name": "", "value": "v"}],
            [{"name": "n", "value": "v"}],
        ):
            body = {"type": 8, "data": {"choices": choices}}
            codes.append(await code_of(bot, "POST", "/interactions/{number}/{token}/callback", body, **ids))
    assert [50035] * 4 + [None] == codes


async def never(_interaction):
    return False


async def test_a_route_that_the_fake_lacks_fails_the_test():
    """A request that the fake cannot answer is not passed over: stopping the fake says which it was."""
    fake = await FakeDiscord.start()
    async with logged_in(fake) as bot:
        with pytest.raises(discord.HTTPException):
            await bot.http.request(Route("GET", "/sticker-packs"))
    with pytest.raises(AssertionError, match="no route GET /sticker-packs"):
        await fake.stop()
