"""What a test orders to go wrong, requests and gateway, reaches the real discord.py as Discord's own failures do."""

from __future__ import annotations

import asyncio
import random

import aiohttp
import discord
import pytest

from tests.fake_discord import FakeDiscord, faults
from tests.small_bot import SmallBot, logged_in, online

CREATE = "POST /channels/{channel_id}/messages"


@pytest.fixture
async def fake():
    started = await FakeDiscord.start()
    started.guild()
    started.channel("ops")
    yield started
    await started.stop()


async def sending(fake, fault, *, nonce=None):
    """Send one message while the fault is ordered; returns what was raised, or the message."""
    fake.faults.next(fault, route=CREATE)
    async with logged_in(fake) as bot:
        try:
            async with asyncio.timeout(5):
                return await bot.get_partial_messageable(fake.guilds[0].channels[0].id).send("x", nonce=nonce)
        except (discord.DiscordException, aiohttp.ClientError) as error:
            return error


def stored(fake):
    return len(fake.messages(fake.guilds[0].channels[0]))


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_rate_limit_is_waited_out(fake, everywhere):
    """A 429 with Via is repeated after its seconds, with the same nonce, for one bucket or for all."""
    assert "x" == (await sending(fake, faults.rate_limited(0.01, everywhere=everywhere))).content
    first, second = fake.sent(CREATE)
    assert ([429, 200], first.body["nonce"]) == ([first.status, second.status], second.body["nonce"])


async def test_a_rate_limit_too_long_is_raised(fake):
    """A wait beyond the client's bound is raised instead of slept."""
    fake.faults.next(faults.rate_limited(90), route=CREATE)
    async with logged_in(fake) as bot:
        bot.http.max_ratelimit_timeout = 60
        with pytest.raises(discord.RateLimited) as caught:
            await bot.get_partial_messageable(fake.guilds[0].channels[0].id).send("x")
    assert 90 == caught.value.retry_after


@pytest.mark.parametrize("fault", [faults.rate_limited(via=False), faults.banned(600)], ids=["without Via", "page"])
async def test_a_ban_is_raised_at_once(fake, fault):
    """A 429 without Via, JSON or Cloudflare's page, is not repeated."""
    error = await sending(fake, fault)
    assert (429, 1) == (error.status, len(fake.sent(CREATE)))
    assert "Retry-After" in error.response.headers


async def test_a_500_is_repeated_and_a_503_is_not(fake):
    """The client repeats a 500 after a second of its own; a 503 raises."""
    assert isinstance(await sending(fake, faults.status(503)), discord.DiscordServerError)
    assert "x" == (await sending(fake, faults.status(500))).content


@pytest.mark.parametrize("after", [False, True])
async def test_a_dropped_connection_is_ambiguous(fake, after):
    """Both ways the bot sees a lost connection; only the fake knows whether the message stands."""
    assert isinstance(await sending(fake, faults.dropped(after=after)), aiohttp.ServerDisconnectedError)
    assert int(after) == stored(fake)


async def test_a_nonce_settles_a_dropped_connection(fake):
    """Sending again with the nonce of a message that was stored and lost finds it instead of doubling it."""
    await sending(fake, faults.dropped(after=True), nonce="n1")
    await sending(fake, faults.rate_limited(), nonce="n1")
    assert 1 == stored(fake)


@pytest.mark.parametrize("after", [False, True])
async def test_a_hung_request_can_be_given_up(fake, after):
    """No answer comes until the test releases it, whether or not the message was stored."""
    fake.faults.next(faults.hung(after=after), route=CREATE)
    async with logged_in(fake) as bot:
        task = asyncio.create_task(bot.get_partial_messageable(fake.guilds[0].channels[0].id).send("x"))
        await fake.until(lambda: fake.sent(CREATE) and stored(fake) == after)
        assert not task.done()
        fake.faults.release()
        with pytest.raises(aiohttp.ClientError):
            await task
    assert int(after) == stored(fake)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (50001, discord.Forbidden),
        (50013, discord.Forbidden),
        (10003, discord.NotFound),
        (10008, discord.NotFound),
        (50035, discord.HTTPException),
        (20028, discord.HTTPException),
    ],
)
async def test_an_error_on_demand(fake, code, kind):
    """Each of Discord's codes arrives with its status and its class."""
    error = await sending(fake, faults.error(code))
    assert (kind, code) == (type(error), error.code)


async def test_a_fault_strikes_what_it_was_ordered_for(fake):
    """A fault may name a path or a condition, and strikes every match until it is cleared."""
    other = fake.channel("other")
    fake.faults.every(
        faults.error(50013), route=f"POST /channels/{other.id}/*", where=lambda call: "bad" in str(call.body)
    )
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(other.id)
        await place.send("good")
        for _ in range(2):
            with pytest.raises(discord.Forbidden):
                await place.send("bad")
        fake.faults.clear()
        await place.send("bad no more")
    assert ["good", "bad no more"] == [one.content for one in fake.messages(other)]


async def test_a_queue_with_nonces_survives_what_goes_wrong(fake):
    """Under drops, errors and rate limits a patient sender loses nothing, doubles nothing and keeps the order."""
    chance = random.Random(7)
    channel = fake.channel("queue")
    kinds = [faults.dropped(), faults.dropped(after=True), faults.status(503), faults.rate_limited(0.001)]
    for fault in kinds:
        fake.faults.every(fault, route=CREATE, where=lambda _: chance.random() < 0.1)
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(channel.id)
        for number in range(60):
            while True:
                try:
                    await place.send(f"{number}", nonce=f"n{number}")
                    break
                except (discord.DiscordServerError, aiohttp.ClientError):
                    continue
    assert [str(number) for number in range(60)] == [one.content for one in fake.messages(channel)]


async def test_a_wrong_token_is_refused_at_login(fake):
    """A 401 at login is LoginFailure."""
    fake.token = "another"
    with fake.used():
        bot = SmallBot()
        with pytest.raises(discord.LoginFailure):
            await bot.login("fake.bot.token")
        await bot.close()


async def test_a_refused_first_handshake(fake):
    """discord.py 2.7.1 fails with AttributeError where the very first handshake is refused (its issue 10520)."""
    fake.gateway.refuse()
    with pytest.raises(AttributeError):
        async with online(fake):
            pass
    assert (1, []) == (fake.gateway.handshakes, fake.gateway.identifies)


def cut_by_code(code):
    return lambda gateway: gateway.close(code)


@pytest.mark.parametrize(
    "cut",
    [
        lambda gateway: gateway.reconnect(),
        lambda gateway: gateway.invalidate(resumable=True),
        lambda gateway: gateway.drop(),
        *map(cut_by_code, (1000, 1001, 4000, 4007, 4009)),
    ],
    ids=["op 7", "op 9 true", "drop", "1000", "1001", "4000", "4007", "4009"],
)
async def test_what_was_missed_is_replayed_on_resume(fake, cut):
    """After each such end the bot resumes, and what happened meanwhile is told to it exactly once."""
    async with online(fake) as bot:
        cut(fake.gateway)
        fake.role("missed")
        await fake.until(lambda: bot.seen["RESUMED"])
        await fake.until(lambda: bot.seen["GUILD_ROLE_CREATE"])
        message = await (await fake.command(fake.member("ada"), "run", pipeline="sales")).shown()
        assert discord.utils.get(bot.guilds[0].roles, name="missed")
    assert (1, 1, 1) == (len(fake.gateway.identifies), len(fake.gateway.resumes), bot.seen["GUILD_ROLE_CREATE"])
    assert "ada runs sales x1" == message.content


@pytest.mark.parametrize(
    "end",
    [lambda gateway: gateway.invalidate(), lambda gateway: gateway.close(4009, forget=True)],
    ids=["op 9 false", "resume of a forgotten session"],
)
async def test_a_lost_session_is_begun_anew(fake, end):
    """A session that cannot be resumed leads to a new IDENTIFY and a new READY."""
    async with online(fake) as bot:
        end(fake.gateway)
        await fake.until(lambda: bot.seen["READY"] == 2)
    assert (2, 0) == (len(fake.gateway.identifies), bot.seen["RESUMED"])


async def test_a_revoked_token_ends_the_bot(fake):
    """Close code 4004 ends the client with ConnectionClosed."""
    with fake.used():
        bot = SmallBot(fake.guilds[0].id)
        life = asyncio.create_task(bot.start(fake.token))
        await fake.until(bot.is_ready)
        fake.token = "another"
        fake.gateway.reconnect()
        with pytest.raises(discord.ConnectionClosed) as caught:
            await life
    assert (4004, True) == (caught.value.code, bot.is_closed())


async def test_privileged_intents_must_be_granted(fake):
    """Intents that the application was not granted close with 4014."""
    fake.gateway.granted = 0
    bot = SmallBot(fake.guilds[0].id, intents=discord.Intents(guilds=True, message_content=True))
    with pytest.raises(discord.PrivilegedIntentsRequired):
        async with online(fake, bot):
            pass


async def test_heartbeats_are_answered(fake):
    """The client beats when asked to, and learns its latency from the answers."""
    async with online(fake) as bot:
        before = fake.gateway.heartbeats
        fake.gateway.ask_for_heartbeat()
        await fake.until(lambda: fake.gateway.heartbeats > before)
        await fake.until(lambda: bot.latency < 5)
        await bot.change_presence(activity=discord.CustomActivity("2 jobs"))
        await fake.until(lambda: fake.gateway.presences)
    assert before >= 1


async def test_messages_are_told_only_to_those_who_asked(fake):
    """MESSAGE_CREATE, UPDATE and DELETE reach a bot with the message intents, and no other."""
    intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
    listening, deaf = SmallBot(fake.guilds[0].id, intents=intents), SmallBot(fake.guilds[0].id)
    async with online(fake, listening), online(fake, deaf):
        place = listening.get_partial_messageable(fake.guilds[0].channels[0].id)
        sent = await place.send("one")
        await sent.edit(content="two")
        await sent.delete()
        await (await listening.fetch_user(fake.member().id)).send("dm")
        await fake.until(lambda: listening.seen["MESSAGE_CREATE"] == 2 and listening.seen["MESSAGE_DELETE"])
    assert (1, 0) == (listening.seen["MESSAGE_UPDATE"], deaf.seen["MESSAGE_CREATE"])
    assert ["one", "dm"] == listening.heard


async def test_a_guild_in_outage(fake):
    """An unavailable guild never arrives, yet its members can still act, with roles that the bot cannot name."""
    lost = fake.guild("Lost", available=False)
    place = fake.channel("far", guild=lost)
    bot = SmallBot(lost.id)
    async with online(fake, bot):
        ada = fake.member("ada", guild=lost)
        message = await (await fake.command(ada, "run", channel=place, pipeline="sales")).shown()
        assert bot.get_channel(place.id) is None
    assert "ada runs sales x1" == message.content
