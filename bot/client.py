"""The bot as a gateway client: one connection's worth of it. What outlives a connection is handed in as `Parts`.

It has no prefix commands and reads nobody's messages: of the gateway it wants guilds, roles and channels only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import discord
from discord import app_commands

from bot.guilds import yaml_of_guilds
from bot.identifies import Identifies
from bot.pressing import answer_unknown
from bot.registration import Registration, mention
from bot.tree import Tree
from pipelines import PipecallError

if TYPE_CHECKING:
    from bot.card_keeper import CardKeeper
    from bot.rest import Rest
    from pipelines import Engine, Notes, Overview, Reads, Redactor, Settings, Verbs

logger = logging.getLogger(__name__)

CUSTOM_ID = "p1:"
"""How the ids of our lasting buttons begin; `p0:`, `p2:` and so on are of other versions."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the bot waits for what, in seconds; only tests are in a hurry.

    Attributes:
        identify_s: Before a further IDENTIFY, which Discord allows every 5 s.
        guilds_s: For guilds to arrive after READY before the bot counts as ready.
        presence_s: Between two changes of the bot's status text.
        housekeeping_s: Between two rounds of housekeeping.
        unanswered_s: For an answer to something pressed before the bot says that it does not know it.
    """

    identify_s: float = 5.0
    guilds_s: float = 2.0
    presence_s: float = 60.0
    housekeeping_s: float = 300.0
    unanswered_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a bot works with; it outlives the bot, of which each new connection to Discord makes another.

    `served` are the ids of the guilds that it serves, `leaving` says whether the service is being stopped.
    """

    scheduler: Engine
    verbs: Verbs
    rest: Rest
    cards: CardKeeper
    notes: Notes
    served: frozenset[int]
    leaving: Callable[[], bool] = lambda: False
    pace: Pace = Pace()


class Pipecall(discord.Client):
    """The bot. Its commands and buttons are added by `composition.compose`."""

    tree: Tree

    def __init__(self, parts: Parts) -> None:
        """Make a client that has not connected yet."""
        super().__init__(
            intents=discord.Intents(guilds=True),
            max_messages=None,
            allowed_mentions=discord.AllowedMentions.none(),
            max_ratelimit_timeout=60.0,
            heartbeat_timeout=60.0,
            guild_ready_timeout=parts.pace.guilds_s,
        )
        self.parts = parts
        self.rest, self.cards = parts.rest, parts.cards
        self.verbs, self.scheduler = parts.verbs, parts.scheduler
        self.up = False
        self.tree = Tree(self)
        self._pressables: set[type[discord.ui.DynamicItem[Any]]] = set()
        self.registration = Registration(parts.notes)
        self._identifies = Identifies(parts.notes)
        self._setups: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._shown: str | None = None
        self._fault = ""

    @property
    def settings(self) -> Settings:
        """The settings of the service."""
        return self.scheduler.settings

    @property
    def overview(self) -> Overview:
        """All that is going on, in memory."""
        return self.scheduler.overview

    @property
    def reads(self) -> Reads:
        """Questions to the store."""
        return self.scheduler.reads

    @property
    def redactor(self) -> Redactor:
        """Hides secrets in whatever is shown."""
        return self.scheduler.redactor

    @property
    def served(self) -> frozenset[int]:
        """The ids of the guilds that are served; nobody elsewhere is."""
        return self.parts.served

    @property
    def leaving(self) -> bool:
        """True once the service is being stopped: nothing new is begun."""
        return self.parts.leaving()

    def mention(self, name: str, guild_id: int | None = None) -> str:
        """Return a command as people can click it, `</run:123>`, or `/run` while its id is not known.

        Ids differ from guild to guild; without `guild_id` the first guild's is taken.
        """
        return mention(self.registration.ids, name, guild_id)

    # -- its life ------------------------------------------------------------------------------------------------

    def at_setup(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have `act` called once, after login and before the connection."""
        self._setups.append(act)

    async def setup_hook(self) -> None:
        """Set up what asked for it, then register the commands; runs once, before the connection."""
        for act in self._setups:
            await act()
        await self._register()
        self.begin(self._housekeeping(), "housekeeping of the bot")
        self.begin(self._keep_presence(), "presence")

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a task that ends with this client at the latest."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End the connection and what runs for it."""
        self.up = False
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await super().close()

    async def connect(self, *, reconnect: bool = True) -> None:
        """Connect and stay connected. Raises: TooManyIdentifies: the bot must not connect now."""
        # Before, and not only in the hook below: when that raises, the library leaves its heartbeat running.
        await self._counted(self._identifies.check)
        await super().connect(reconnect=reconnect)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:  # noqa: ARG002 - one shard
        """Count each IDENTIFY: Discord resets the token of who sends 1,000 within a day. Raises: TooManyIdentifies."""
        await self._counted(self._identifies.count)
        if not initial:
            await asyncio.sleep(self.parts.pace.identify_s)

    async def _counted(self, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await act()
        except PipecallError as error:
            logger.warning("an IDENTIFY could not be counted: %s", error)

    async def on_ready(self) -> None:
        """Connected anew: say so, and where nobody is served, what to write to change that."""
        self.up = True
        self._shown = None
        await self.show_presence()
        logger.info("connected to Discord as %s, serving %d server(s)", self.user, len(self.served))
        if not self.served:
            logger.warning("no server is served; %s", yaml_of_guilds({guild.id: guild.name for guild in self.guilds}))
        for guild_id in self.served.difference(guild.id for guild in self.guilds):
            logger.warning("I am not on the server %d, which `discord: guilds:` names; see `bot invite`", guild_id)

    async def on_resumed(self) -> None:
        """Connected again."""
        self.up = True

    async def on_disconnect(self) -> None:
        """The connection was lost; the library tries again."""
        self.up = False

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Say that somebody put the bot onto a server."""
        served = "which is served" if guild.id in self.served else "which is NOT served: all commands are refused there"
        logger.warning("I was added to the server %r (%d), %s", guild.name, guild.id, served)
        if guild.id in self.served:
            self.register_again()  # its commands may have gone when the bot last left it

    # -- what nobody else answers --------------------------------------------------------------------------------

    def add_dynamic_items(self, *items: type[discord.ui.DynamicItem[Any]]) -> None:
        """Make classes of lasting buttons known."""
        self._pressables.update(items)
        super().add_dynamic_items(*items)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Answer what was pressed or filled in where nothing else does."""
        data: Any = interaction.data or {}
        custom_id = data.get("custom_id")
        if not isinstance(custom_id, str) or self._knows(custom_id):
            return
        after_s = 0.0 if custom_id.partition(":")[0].strip("0123456789") == "p" else self.parts.pace.unanswered_s
        self.begin(answer_unknown(interaction, after_s=after_s), "answer to something unknown")

    def _knows(self, custom_id: str) -> bool:
        return any(item.__discord_ui_compiled_template__.fullmatch(custom_id) for item in self._pressables)

    # -- commands ------------------------------------------------------------------------------------------------

    def register_again(self) -> None:
        """Register the commands soon: somebody used one that is not as Discord knows it."""
        self.registration.forget()
        self.begin(self._register(), "registration")

    async def _register(self) -> None:
        """Register the commands where they changed; a failure is logged and tried again with the housekeeping."""
        try:
            await self.registration.sync(self.tree, self.served, application=self.application_id or 0)
        except (discord.HTTPException, app_commands.CommandSyncFailure) as error:
            self._tell_once(f"Discord did not take the commands: {self.redactor.text(str(error))}")
        except (aiohttp.ClientError, OSError, TimeoutError, PipecallError) as error:
            self._tell_once(f"the commands could not be registered: {type(error).__name__}")

    def _tell_once(self, fault: str) -> None:
        """Log why the commands are not registered, once for all the times that it is tried again."""
        logger.log(logging.DEBUG if fault == self._fault else logging.ERROR, "%s", fault)
        self._fault = fault

    # -- now and then --------------------------------------------------------------------------------------------

    async def keep_house(self) -> None:
        """Register what could not be, and make the lasting buttons known again."""
        # discord.py forgets a class when a view that holds one of it goes in the wrong way; this brings it back.
        super().add_dynamic_items(*self._pressables)
        if not self.registration.done:
            await self._register()

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(self.parts.pace.housekeeping_s)
            await self.keep_house()

    async def _keep_presence(self) -> None:
        while True:
            await asyncio.sleep(self.parts.pace.presence_s)
            await self.show_presence()

    async def show_presence(self) -> None:
        """Set the bot's status text, where it changed."""
        text = self._presence()
        if not self.up or text == self._shown:
            return
        try:
            await self.change_presence(activity=discord.CustomActivity(text))
        except (ConnectionError, aiohttp.ClientError, discord.DiscordException):
            return  # the connection was just lost; it is shown with the next one
        self._shown = text

    def _presence(self) -> str:
        jobs = len(self.overview.jobs())
        failing = sum(view.failing for view in self.overview.pipelines())
        return f"{jobs} job{'' if jobs == 1 else 's'}" + (f" · {failing} failing" if failing else "")
