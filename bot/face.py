"""Discord as the service sees it: channels that messages leave through, and a bot that is started and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import aiohttp
import discord.http

from bot import addresses, alert_message, library_log, question_message, reload_message
from bot.card_keeper import CardKeeper
from bot.client import Pace, Parts, Pipecall
from bot.composition import compose, names_people
from bot.discord_channel import DiscordChannel
from bot.guilds import served
from bot.rest import Rest
from bot.supervisor import STANDBY, BotState, Supervisor
from bot.webhook_channel import WebhookChannel
from pipelines import Change, Channel, Engine, Notes, Parcel, PipecallError, Settings, Verbs, Wait

logger = logging.getLogger(__name__)

REACH_S = 10.0
"""How long Discord may take to say that it is there."""
FINISH_S = 5.0
"""How long the interactions under way may take once the service stops."""
STARTING_S, UNSTARTED_S = 10.0, 60.0
"""So long a card's edit waits for a service that is starting, and where there is none, until it is tried again."""
UNDER_WAY = (
    "CommandTree-invoker",
    "discord-ui-dynamic-item-",
    "discord-ui-view-dispatch-",
    "discord-ui-modal-dispatch-",
)
"""How the library names the tasks in which it calls commands, buttons and forms."""


class DiscordFace:
    """The bot of one service that has a token, and the channels through which messages leave, which need no bot.

    It can be stopped and started again, for as long as this process leads each time.
    """

    name = "Discord"
    alone = True

    def __init__(self, settings: Settings, env: Mapping[str, str], *, pace: Pace | None = None) -> None:
        """`env` is where the addresses of webhooks are. Nothing is opened yet."""
        self._settings = settings
        self._env = env
        self._pace = pace or Pace()
        self._leaving = False
        self._supervisor: Supervisor[Pipecall] | None = None
        self._life: asyncio.Task[None] | None = None
        self._cards: CardKeeper | None = None
        self._started = asyncio.Event()
        self._offered: tuple[object, ...] | None = None
        addresses.use(settings)
        self._rest = Rest(settings)

    def channels(self) -> Mapping[str, Channel]:
        """Return how messages leave for Discord, by the first part of their target."""
        renderers = {
            "alert": alert_message.render_alert,
            "digest": alert_message.render_digest,
            "question": question_message.render_question,
            "reload": reload_message.render_reload,
            "card": self._render_card,
        }
        return {
            "discord": DiscordChannel(self._rest, renderers),
            "webhook": WebhookChannel(self._rest, self._env),
        }

    def absent(self) -> Mapping[str, str]:
        """Return nothing: it has all its channels."""
        return {}

    async def _render_card(self, parcel: Parcel) -> dict[str, Any] | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STARTING_S):
                await self._started.wait()
        if self._cards is None:
            raise Wait("cards are changed while the service runs", UNSTARTED_S)
        return await self._cards.render(parcel)

    async def start(self, scheduler: Engine) -> None:
        """Start the bot over a running scheduler; returns at once, the bot connects in its own time."""
        library_log.set_up(scheduler.redactor.text)
        self._leaving = False
        parts = self.parts(scheduler)
        await parts.cards.start()
        self._supervisor = Supervisor(
            lambda: composed(replace(parts, served=served(self._settings, scheduler.catalog))),
            token=self._settings.bot_token,
            reachable=reachable,
            hide=scheduler.redactor.text,
            renewed=lambda: self._renew(scheduler),
        )
        self._life = asyncio.create_task(self._supervisor.run(), name="supervisor of the bot")
        if self._offered is None:
            scheduler.reload.watch(partial(self._reloaded, scheduler))
        self._offered = self._offer(scheduler)

    def _reloaded(self, scheduler: Engine, what: Change | PipecallError) -> None:
        """Connect anew after a change of what a bot is made with."""
        before, self._offered = self._offered or ((), ()), self._offer(scheduler)
        changed = isinstance(what, Change) and (before != self._offered or (what.plugins and before[1]))
        if changed and self._supervisor is not None:
            self._supervisor.again()

    def _offer(self, scheduler: Engine) -> tuple[object, ...]:
        """Return what a bot is made with, once for its life: if it changes, another bot must be made."""
        catalog = scheduler.catalog
        commands = {each.discord_commands for each in catalog.pipelines.values() if each.discord_commands}
        return served(self._settings, catalog), commands, names_people(catalog)

    async def _renew(self, scheduler: Engine) -> None:
        """Deliver with the new token what was refused with the old one."""
        await self._rest.renew()
        scheduler.delivery.retry_now("discord")

    def parts(self, scheduler: Engine) -> Parts:
        """Return what each bot of this face works with."""
        self._cards = self._cards or CardKeeper(scheduler, self._rest)
        self._started.set()
        return Parts(
            scheduler=scheduler,
            verbs=Verbs(scheduler),
            rest=self._rest,
            cards=self._cards,
            notes=Notes(scheduler.writer, scheduler.reader),
            served=served(self._settings, scheduler.catalog),
            leaving=lambda: self._leaving or not scheduler.delivery.may(),
            pace=self._pace,
        )

    async def leave(self) -> None:
        """Take no more interactions, and let those under way finish for 5 s. Cards go on."""
        self._leaving = True
        under_way = [task for task in asyncio.all_tasks() if task.get_name().startswith(UNDER_WAY)]
        if under_way:
            await asyncio.wait(under_way, timeout=FINISH_S)

    async def stop(self) -> None:
        """Leave, see the cards of runs that are over to their end, then disconnect. Channels stay open."""
        await self.leave()
        if self._cards is not None:
            await self._cards.close()
        if self._life is not None:
            self._life.cancel()
            await asyncio.wait({self._life})
        self._life = self._supervisor = None

    @property
    def bot(self) -> Pipecall | None:
        """The bot of the present connection."""
        return self._supervisor.bot if self._supervisor else None

    @property
    def where(self) -> BotState:
        """Where the bot stands."""
        return self._supervisor.state if self._supervisor else STANDBY

    def state(self) -> str:
        """Say where the bot stands: `ready`, `waiting until 09:30:12 UTC: Discord cannot be reached`."""
        return str(self.where)


def composed(parts: Parts) -> Pipecall:
    """Return a bot that has not connected yet, with all its commands."""
    bot = Pipecall(parts)
    compose(bot)
    return bot


async def reachable() -> bool:
    """Say whether Discord answers at all; asked without a token."""
    timeout = aiohttp.ClientTimeout(total=REACH_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{discord.http.Route.BASE}/gateway") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
