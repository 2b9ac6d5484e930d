"""Keeps a bot connected to Discord: a new client for each attempt, and what to do after each way in which one ends.

The pipelines never depend on it. Whatever happens here, the scheduler's tasks go on; messages wait in the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import aiohttp
import discord

from bot.identifies import TooManyIdentifies
from pipelines import ConfigError

logger = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Pauses between attempts double from the one to the other."""
SETTLED_S = 300.0
"""A connection that lived this long was a good one: the next pause is short again."""
BAN_S, LONGEST_BAN_S = 600.0, 3600.0
"""So long, at least and at most, nothing is tried after Cloudflare refused us."""
LOST_S = 180.0
"""A connection that is down so long while Discord answers is given up for a new one."""
LOOK_S = 15.0
NEW_TOKEN_S = 60.0
"""How often it is looked whether a rejected token was replaced."""

NEW_ONE = "put a new one into DISCORD_TOKEN and restart, or into the file that DISCORD_TOKEN_FILE names"


class Standing(StrEnum):
    """Where a bot stands."""

    OFF = "off"
    STANDBY = "standby"
    CONNECTING = "connecting"
    READY = "ready"
    WAITING = "waiting"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class BotState:
    """Where a bot stands, `why`, `until` when it waits (UTC), and the `remedy` where somebody has to do something."""

    standing: Standing
    why: str = ""
    until: datetime | None = None
    remedy: str = ""

    def __str__(self) -> str:
        """`waiting until 09:30:12 UTC: Discord cannot be reached`."""
        until = f" until {self.until:%H:%M:%S} UTC" if self.until else ""
        told = "; ".join(filter(None, (self.why, self.remedy)))
        return f"{self.standing}{until}" + (f": {told}" if told else "")


OFF = BotState(Standing.OFF, "no token", remedy="set DISCORD_TOKEN to use Discord")
STANDBY = BotState(Standing.STANDBY)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the end of an attempt means: try again no sooner than `at_least_s` from now, or (None) not at all."""

    why: str
    at_least_s: float | None = 0.0
    remedy: str = ""
    unexpected: BaseException | None = None


class Bot(Protocol):
    """What the supervisor needs of a client; `up` is true while it is connected."""

    up: bool

    async def start(self, token: str) -> None:
        """Log in and stay connected."""

    async def close(self) -> None:
        """End the connection."""


B = TypeVar("B", bound=Bot)


class Supervisor(Generic[B]):
    """One bot's life. `run` is a task; cancel it to end the bot. `bot` is the client of the present attempt."""

    def __init__(
        self,
        make: Callable[[], B],
        *,
        token: Callable[[], str | None],
        reachable: Callable[[], Awaitable[bool]],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        hide: Callable[[str], str] = str,
        renewed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Connect nothing yet.

        Args:
            make: Makes a client that has never connected.
            token: Reads the bot's token; it may be another one each time.
            reachable: Says whether Discord answers at all.
            clock: Counts seconds.
            sleep: Waits for so many seconds.
            now: Tells the time, UTC.
            hide: Takes the secrets out of what is logged.
            renewed: Called when a rejected token was replaced.
        """
        self._make = make
        self._token = token
        self._reachable = reachable
        self._clock = clock
        self._sleep = sleep
        self._now = now
        self._hide = hide
        self._renewed = renewed
        self._state = BotState(Standing.CONNECTING)
        self._told = ""
        self._again = asyncio.Event()
        self.bot: B | None = None

    @property
    def state(self) -> BotState:
        """Where the bot stands now."""
        if self._state.standing is Standing.CONNECTING and self.bot is not None and self.bot.up:
            return BotState(Standing.READY)
        return self._state

    async def run(self) -> None:
        """Keep a bot connected until cancelled; returns only where there is no token."""
        wait_s = FIRST_WAIT_S
        while (token := self._read_token()) is not None:
            self._state = BotState(Standing.CONNECTING)
            began = self._clock()
            verdict = await self._survived(token) if token else Verdict("the token cannot be read", LONGEST_WAIT_S)
            if verdict.at_least_s is None:
                await self._disabled(verdict, token)
                continue
            if self._again.is_set():
                self._again.clear()
                continue
            if self._clock() - began > SETTLED_S:
                wait_s = FIRST_WAIT_S
            # Somewhat at random, so that many bots do not come back in the same second after an outage.
            pause_s = max(wait_s * random.uniform(0.5, 1), verdict.at_least_s)  # noqa: S311 - nothing secret
            await self._wait(verdict, pause_s)
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        self._state = OFF

    def again(self) -> None:
        """Make a new bot and connect it, as what a bot offers has changed."""
        logger.info("what the bot offers has changed: it connects anew")
        self._again.set()

    def _read_token(self) -> str | None:
        """Return the token; empty where its file cannot be read just now."""
        try:
            return self._token()
        except ConfigError as error:
            self._tell(str(error))
            return ""

    async def _survived(self, token: str) -> Verdict:
        """Connect once; a bot that cannot even be made, or closed, counts as one that ended."""
        try:
            return await self._attempt(token)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a bot's life
            return judge(error, self._now())

    async def _attempt(self, token: str) -> Verdict:
        """Connect once, and return what became of it."""
        bot = self.bot = self._make()
        life = asyncio.create_task(bot.start(token), name="discord")
        watch = asyncio.create_task(self._until_lost(bot), name="watchdog of the bot")
        again = asyncio.create_task(self._again.wait(), name="change of the bot")
        try:
            await asyncio.wait({life, watch, again}, return_when=asyncio.FIRST_COMPLETED)
            if not life.done():
                return Verdict("the connection was down for long while Discord answered")
            return judge(life.exception(), self._now())
        finally:
            bot.up = False
            # Cancelled and not only closed: the library may be in a pause of up to 17 minutes.
            for task in (life, watch, again):
                task.cancel()
            await asyncio.gather(life, watch, again, return_exceptions=True)
            await bot.close()

    async def _until_lost(self, bot: B) -> None:
        """Return once the connection was down for long although Discord answers."""
        seen = self._clock()
        while True:
            await self._sleep(LOOK_S)
            if bot.up:
                seen = self._clock()
                self._told = ""
            elif self._clock() - seen >= LOST_S and await self._reachable():
                return

    async def _wait(self, verdict: Verdict, pause_s: float) -> None:
        self._state = BotState(Standing.WAITING, verdict.why, self._now() + timedelta(seconds=pause_s), verdict.remedy)
        self._tell(f"not connected to Discord: {verdict.why}; trying again", verdict.unexpected)
        await self._sleep(pause_s)

    async def _disabled(self, verdict: Verdict, token: str) -> None:
        """Stay away from Discord until there is another token: each refused login counts towards a ban."""
        self._state = BotState(Standing.DISABLED, verdict.why, remedy=verdict.remedy)
        logger.error("Discord is disabled: %s; %s. Pipelines go on", verdict.why, verdict.remedy)
        while self._read_token() in {token, "", None}:
            await self._sleep(NEW_TOKEN_S)
        logger.info("there is a new token for Discord")
        if self._renewed is not None:
            await self._renewed()

    def _tell(self, what: str, unexpected: BaseException | None = None) -> None:
        """Log a reason once, however often it comes in a row."""
        trace = "".join(["\n", *traceback.format_exception(unexpected)]) if unexpected else ""
        logger.log(logging.DEBUG if what == self._told else logging.WARNING, "%s%s", what, self._hide(trace))
        self._told = what


def judge(error: BaseException | None, now: datetime) -> Verdict:
    """Say what an attempt's end means. `now` is UTC."""
    match error:
        case None:
            verdict = Verdict("the connection was closed")
        case discord.LoginFailure():
            verdict = _rejected()
        case discord.PrivilegedIntentsRequired():
            verdict = _of_close_code(4014)
        case discord.ConnectionClosed():
            verdict = _of_close_code(error.code)
        case discord.HTTPException():
            verdict = _of_status(error)
        case TooManyIdentifies():
            verdict = Verdict(str(error), max((error.until - now).total_seconds(), LONGEST_WAIT_S))
        case aiohttp.ClientError() | OSError() | TimeoutError() | discord.GatewayNotFound():
            verdict = Verdict(f"Discord cannot be reached ({type(error).__name__})")
        case AttributeError() if "sequence" in str(error):
            # discord.py's way to say that the first handshake was refused (its issue 10520).
            verdict = Verdict("Discord refused the connection")
        case _:
            verdict = Verdict(f"the bot ended unexpectedly ({type(error).__name__})", unexpected=error)
    return verdict


def _rejected() -> Verdict:
    return Verdict("Discord rejected the token", None, NEW_ONE)


def _of_close_code(code: int) -> Verdict:
    """Judge a close code of the gateway (Discord's "Gateway Close Event Codes")."""
    if code == 4004:
        return _rejected()
    if code in (4010, 4011, 4012):
        return Verdict(f"Discord refuses this kind of connection (close code {code})", None, "update this program")
    if code in (4013, 4014):
        remedy = "update this program; it asks for no privileged intents"
        return Verdict(f"Discord refuses the intents (close code {code})", None, remedy)
    return Verdict(f"Discord closed the connection ({code})")


def _of_status(error: discord.HTTPException) -> Verdict:
    if error.status == 401:
        return _rejected()
    if error.status != 429:
        return Verdict(f"Discord answered with {error.status}")
    try:
        after_s = float(error.response.headers.get("Retry-After", BAN_S))
    except ValueError:
        after_s = BAN_S
    return Verdict("Discord asks us to stay away for a while (429)", min(max(after_s, BAN_S), LONGEST_BAN_S))
