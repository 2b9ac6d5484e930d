"""What becomes of the bot when Discord, or the way to it, goes wrong; real clients against the fake."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import aiohttp
import discord
import pytest

from bot.face import reachable
from bot.identifies import AT_MOST, Identifies, TooManyIdentifies
from bot.supervisor import BAN_S, LOOK_S, LOST_S, NEW_TOKEN_S, Standing, Supervisor, judge
from tests.fake_discord import faults

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


class Client(discord.Client):
    """As little of a bot as the supervisor needs."""

    def __init__(self) -> None:
        super().__init__(intents=discord.Intents(guilds=True), max_messages=None, guild_ready_timeout=0.01)
        self.up = False

    async def on_ready(self):
        self.up = True

    async def on_resumed(self):
        self.up = True

    async def on_disconnect(self):
        self.up = False

    async def before_identify_hook(self, shard_id, *, initial=False):
        """The library would wait five seconds here."""


class Time:
    """A clock that a test turns; whoever sleeps is noted, and wakes when it is turned far enough."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.Event()
        self._sleepers.append((self.now + seconds, woken))
        await woken.wait()

    async def pass_(self, seconds: float) -> None:
        self.now += seconds
        for until, woken in self._sleepers:
            if until <= self.now:
                woken.set()
        self._sleepers = [each for each in self._sleepers if each[0] > self.now]
        for _ in range(5):
            await asyncio.sleep(0)


class Watched:
    """A supervisor in a test; it begins when the test first waits for something of it."""

    def __init__(self, fake, *, token=None, make=Client) -> None:
        self.time = Time()
        self.clients: list[Client] = []
        self.life: asyncio.Task[None] | None = None
        self.fake = fake
        self.token = token or fake.token

        def made():
            self.clients.append(make())
            return self.clients[-1]

        self.supervisor = Supervisor(
            made,
            token=lambda: self.token,
            reachable=reachable,
            clock=lambda: self.time.now,
            sleep=self.time.sleep,
            now=lambda: NOW + timedelta(seconds=self.time.now),
        )

    async def until(self, standing: Standing, *, after: int = 0):
        self.life = self.life or asyncio.create_task(self.supervisor.run())
        await self.fake.until(
            lambda: self.supervisor.state.standing is standing and len(self.clients) > after, what=str(standing)
        )
        return self.supervisor.state


@pytest.fixture
async def watched(fake):
    """A supervisor that runs until the end of the test, beside a task that must not be disturbed."""
    fake.guild()
    alone = asyncio.create_task(asyncio.Event().wait())
    watching = Watched(fake)
    yield watching
    assert not alone.done()
    for task in filter(None, (watching.life, alone)):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_it_connects(watched):
    """With all well the bot is ready."""
    assert "ready" == str(await watched.until(Standing.READY))


async def test_a_rejected_token_is_not_tried_again(fake, watched, caplog):
    """401: disabled, told once with the remedy; nothing more is sent to Discord until there is another token."""
    watched.token = "some.other.token"
    state = await watched.until(Standing.DISABLED)
    requests = len(fake.requests)
    for _ in range(5):
        await watched.time.pass_(NEW_TOKEN_S)
    assert (requests, 1) == (len(fake.requests), len(watched.clients))
    assert ("rejected the token" in state.why, "DISCORD_TOKEN" in state.remedy) == (True, True)
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [True] == ["Discord is disabled" in each and "some.other" not in each for each in told]


async def test_a_new_token_is_taken_up(fake, watched):
    """Once the token's file holds another one, the bot connects without a restart."""
    watched.token = "some.other.token"
    await watched.until(Standing.DISABLED)
    watched.token = fake.token
    await watched.time.pass_(NEW_TOKEN_S)
    await watched.until(Standing.READY, after=1)


async def test_a_token_revoked_while_connected_disables(fake, watched):
    """Close code 4004."""
    await watched.until(Standing.READY)
    fake.gateway.close(4004)
    assert "rejected the token" in (await watched.until(Standing.DISABLED)).why


async def test_refused_intents_disable(fake, watched):
    """Close code 4014 is nothing that trying again mends."""
    await watched.until(Standing.READY)
    fake.gateway.close(4014)
    assert "intents" in (await watched.until(Standing.DISABLED)).why


async def test_an_outage_at_start_is_waited_for(fake, watched):
    """503: a new client after a pause, as often as it takes; the pauses grow."""
    fake.faults.every(faults.status(503))
    for attempt in range(4):
        state = await watched.until(Standing.WAITING, after=attempt)
        assert "503" in state.why
        assert state.until > NOW
        if attempt < 3:
            await watched.time.pass_(70)
    fake.faults.clear()
    await watched.time.pass_(70)
    await watched.until(Standing.READY, after=4)
    pauses = [pause for pause in watched.time.slept if pause != LOOK_S]
    assert [(0.5, 1), (1, 2), (2, 4), (4, 8)] == [(2**n / 2, 2**n) for n in range(4)]
    assert all(2**n / 2 <= pause <= 2**n for n, pause in enumerate(pauses))


async def test_a_dead_network_is_waited_for(fake, watched):
    """Connections that end without an answer."""
    fake.faults.every(faults.dropped())
    assert "cannot be reached" in (await watched.until(Standing.WAITING)).why
    fake.faults.clear()
    await watched.time.pass_(2)
    await watched.until(Standing.READY, after=1)


async def test_a_refused_first_handshake_is_survived(fake, watched):
    """discord.py 2.7 ends with an AttributeError then; a new client connects."""
    fake.gateway.refuse()
    assert "refused the connection" in (await watched.until(Standing.WAITING)).why
    await watched.time.pass_(2)
    await watched.until(Standing.READY, after=1)


async def test_a_ban_is_respected(fake, watched):
    """Cloudflare's 429: nothing at all is sent for as long as it says, ten minutes at least."""
    fake.faults.next(faults.banned(30))
    state = await watched.until(Standing.WAITING)
    assert "stay away" in state.why
    assert BAN_S == max(watched.time.slept)
    requests = len(fake.requests)
    await watched.time.pass_(BAN_S - 1)
    assert requests == len(fake.requests)
    await watched.time.pass_(1)
    await watched.until(Standing.READY, after=1)


@pytest.mark.parametrize("how", ["reconnect", "resumable", "dropped"])
async def test_the_library_resumes_by_itself(fake, watched, how):
    """Op 7, op 9 with a session, and a cut connection end in a RESUME of the same client."""
    await watched.until(Standing.READY)
    act = {
        "reconnect": fake.gateway.reconnect,
        "resumable": lambda: fake.gateway.invalidate(resumable=True),
        "dropped": fake.gateway.drop,
    }[how]
    act()
    await fake.until(lambda: fake.gateway.resumes, what="a RESUME", timeout_s=8)
    await watched.until(Standing.READY)
    assert (1, 1) == (len(watched.clients), len(fake.gateway.identifies))


async def test_an_ended_session_is_begun_anew(fake, watched):
    """Op 9 without a session ends in a new IDENTIFY of the same client."""
    await watched.until(Standing.READY)
    fake.gateway.invalidate()
    await fake.until(lambda: len(fake.gateway.identifies) == 2, what="an IDENTIFY", timeout_s=8)
    assert 1 == len(watched.clients)


async def test_a_connection_that_stays_down_is_replaced(fake, watched):
    """Down for three minutes while Discord answers: the client, in one of its long pauses, is given up."""
    await watched.until(Standing.READY)
    watched.clients[0].up = False
    for _ in range(int(LOST_S / LOOK_S) + 1):
        await watched.time.pass_(LOOK_S)
    await fake.until(lambda: watched.supervisor.state.standing is Standing.WAITING, what="the end of the first")
    assert watched.clients[0].is_closed()
    await watched.time.pass_(2)
    await watched.until(Standing.READY, after=1)


async def test_a_connection_is_kept_while_discord_is_out(fake, watched):
    """While Discord does not answer, a new client would find nothing either."""
    await watched.until(Standing.READY)
    fake.faults.every(faults.status(503))
    watched.clients[0].up = False
    for _ in range(2 * int(LOST_S / LOOK_S)):
        asked = len(fake.sent("GET /gateway"))
        await watched.time.pass_(LOOK_S)
    await fake.until(lambda: len(fake.sent("GET /gateway")) >= asked, what="a look")
    assert 1 == len(watched.clients)


async def test_an_unexpected_end_is_logged_and_survived(fake, watched, caplog):
    """A mistake in the bot itself is told with its traceback, and tried again."""
    await watched.until(Standing.READY)

    async def broken(*_, **__):
        raise ZeroDivisionError("a mistake")

    verdict = judge(ZeroDivisionError("a mistake"), NOW)
    assert ("ZeroDivisionError" in verdict.why, 0.0) == (True, verdict.at_least_s)
    watched.clients[0].ws.poll_event = broken
    fake.gateway.ask_for_heartbeat()
    await watched.until(Standing.WAITING)
    assert any("a mistake" in record.getMessage() for record in caplog.records)


async def test_a_bot_that_cannot_be_made_is_tried_again(fake):
    """A mistake in a command keeps the bot away, not the supervisor."""
    wrong = [ValueError("a mistake")]

    def make():
        if wrong:
            raise wrong.pop()
        return Client()

    fake.guild()
    watching = Watched(fake, make=make)
    life = asyncio.create_task(watching.supervisor.run())
    await fake.until(lambda: watching.supervisor.state.standing is Standing.WAITING, what="the pause")
    await watching.time.pass_(2)
    await fake.until(lambda: watching.supervisor.state.standing is Standing.READY, what="the bot")
    life.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await life


async def test_without_a_token_there_is_no_bot(fake):
    """No token: off, and Discord is never asked."""
    watching = Watched(fake)
    watching.token = None
    await watching.supervisor.run()
    assert (Standing.OFF, []) == (watching.supervisor.state.standing, watching.clients)
    assert "set DISCORD_TOKEN" in str(watching.supervisor.state)


@pytest.mark.parametrize(
    ("error", "at_least_s"),
    [
        (None, 0.0),
        (aiohttp.ClientError(), 0.0),
        (OSError(), 0.0),
        (TimeoutError(), 0.0),
        (AttributeError("'NoneType' object has no attribute 'sequence'"), 0.0),
        (AttributeError("another"), 0.0),
        (RuntimeError("Session is closed"), 0.0),
        (discord.GatewayNotFound(), 0.0),
        (discord.LoginFailure(), None),
        (discord.PrivilegedIntentsRequired(None), None),
        (TooManyIdentifies(NOW + timedelta(hours=1)), 3600.0),
    ],
)
def test_every_end_has_a_verdict(error, at_least_s):
    """What is worth another try gets one; what is not does not."""
    assert at_least_s == judge(error, NOW).at_least_s


class Memory:
    """Notes in memory."""

    def __init__(self) -> None:
        self.kept = {}

    async def get(self, name):
        return self.kept.get(name)

    async def put(self, name, value):
        self.kept[name] = value


async def test_identifies_are_counted_over_a_day():
    """800 within 24 hours are allowed, the next is not; a day later there is room again."""
    at = NOW
    identifies = Identifies(Memory(), clock=lambda: at)
    for _ in range(AT_MOST):
        await identifies.count()
    with pytest.raises(TooManyIdentifies) as caught:
        await identifies.count()
    assert caught.value.until > NOW + timedelta(hours=23)
    at = caught.value.until
    await identifies.count()


async def test_discord_is_reachable_or_not(fake):
    """It is asked without a token; what is no good answer counts as none."""
    assert await reachable()
    fake.faults.next(faults.status(503))
    assert not await reachable()
    fake.faults.every(faults.dropped())
    assert not await reachable()
