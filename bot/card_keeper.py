"""Keeps the cards of runs true: edits each while its run goes on, and sees to it that its last state is delivered.

It lives as long as the service and edits with the bot's own token, whatever connection the bot has. What a card shows
while its run goes on may be lost, and is not repeated: only the latest counts. Its end goes through the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import discord
from discord import ui

from bot import card, card_end
from bot.card_facts import CardFacts
from bot.card_on_token import keep_on_token, may_edit
from bot.card_pace import CardPace, Turns, Waiter, progress_s, wait
from bot.card_search import Editor, find
from bot.doubles import Doubles
from bot.followed import Followed
from pipelines import (
    Card,
    CardEnd,
    Cards,
    DeliveryFault,
    Forbidden,
    Gone,
    Rejected,
    Run,
    StoreError,
    TooBig,
    Unauthorised,
    UnknownName,
    Unsure,
    Wait,
)

if TYPE_CHECKING:
    from bot.client import Pipecall
    from pipelines import Engine, Parcel

logger = logging.getLogger(__name__)

ADOPTED = timedelta(days=1)
"""Runs asked for so long ago are looked for in their channels when the service starts."""
LOST = timedelta(minutes=1)
"""A card that may not have arrived answers a request that is no older."""
LONGEST_S = 300.0
"""The longest pause between two looks for lost cards while Discord is out."""
END_S = 2.0
"""So long the store may take to record the ends that are known when the service stops."""


class CardKeeper:
    """The cards of one service. `start` and `close` it as often as it leads, the last time before the store."""

    def __init__(
        self,
        scheduler: Engine,
        rest: Editor,
        *,
        clock: Callable[[], float] = time.monotonic,
        waiter: Waiter = wait,
        pace: CardPace | None = None,
    ) -> None:
        """Edit through `rest`; `clock` is in seconds and only rises, `waiter` waits by it."""
        self.doubles = Doubles(clock)
        self._scheduler = scheduler
        self._rest = rest
        self._clock = clock
        self._wait = waiter
        self._pace = pace = pace or CardPace()
        self._facts = CardFacts(scheduler)
        self._store = Cards(scheduler.writer, scheduler.reader, door="discord")
        self._turns = Turns(clock, pace.channel_s)
        self._followed: dict[int, Followed] = {}
        self._on_token: set[Followed] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[int] = set()
        scheduler.watch(self._happened)

    # -- its life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up the cards that an earlier service left behind; returns at once."""
        self._begin("cards of an earlier service", self._take_up)

    async def close(self) -> None:
        """Stop editing, once the ends that are known are stored. Cards that live are taken up by the next service."""
        over = {each.name for each in self._followed.values() if each.over.is_set()}
        ending = [task for task in self._tasks if task.get_name() in over]
        if ending:
            await asyncio.wait(ending, timeout=END_S)
        for task in (tasks := list(self._tasks)):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def live(self) -> int:
        """How many cards follow a run now."""
        return len(self._followed) + len(self._on_token)

    # -- what commands use ---------------------------------------------------------------------------------------

    async def view(self, run: Run) -> ui.LayoutView:
        """Return the card of a run, to be sent once.

        Raises:
            StoreError: the store cannot be read.
        """
        return card.view(await self._facts.of(run))

    async def render(self, parcel: Parcel) -> dict[str, Any] | None:
        """Return the body of a card's last edit, for delivery; None when the run is not recorded any more."""
        return await self._facts.render(parcel)

    async def follow(self, run: Run, interaction: discord.Interaction[Pipecall], message_id: int) -> None:
        """Keep the card true that answered an interaction.

        Where the bot may not write into the channel, the interaction's own token serves, for a quarter of an hour.

        Raises:
            StoreError: the card cannot be stored.
        """
        channel_id = interaction.channel_id or 0
        made = Card(message_id, channel_id, run.id, self._scheduler.clock())
        now = self._clock()
        followed = Followed(made, run, began=now, edited=now)
        if not may_edit(interaction):
            self._on_token.add(followed)
            self._begin(followed.name, self._keep_on_token, followed, interaction)
        elif await self._store.put(made):
            followed.shows = card.digest(card.payload(await self._facts.of(run)))
            self._begin(followed.name, self._keep, followed)

    def look_for_lost(self) -> None:
        """Look soon for a card of which nobody knows whether it was sent."""
        self._begin("a lost card", self._look_for_lost)

    # -- following -----------------------------------------------------------------------------------------------

    def _begin(self, name: str, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        task = asyncio.create_task(self._guarded(work, *arguments), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        try:
            await work(*arguments)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a card's task; other cards go on
            logger.error("a card is not kept any more: %s", self._scheduler.redactor.text(repr(error)))

    def _happened(self, run: Run) -> None:
        for followed in (*self._followed.values(), *self._on_token):
            if followed.run.id == run.id:
                followed.happened(run)

    async def _keep(self, followed: Followed) -> None:
        """Follow a run to its end, then leave the last edit to the outbox."""
        message_id = followed.card.message_id
        self._followed[message_id] = followed
        try:
            await self._catch_up(followed)
            if await self._edit_until_over(followed):
                await self._end(followed)
        finally:
            self._followed.pop(message_id, None)

    async def _keep_on_token(self, followed: Followed, interaction: discord.Interaction[Pipecall]) -> None:
        try:
            await self._catch_up(followed)
            left_s = self._pace.token_s - (discord.utils.utcnow() - interaction.created_at).total_seconds()
            await keep_on_token(
                followed, interaction, facts=self._facts, clock=self._clock, wait=self._wait, until_s=left_s
            )
        finally:
            self._on_token.discard(followed)

    async def _catch_up(self, followed: Followed) -> None:
        """Learn what happened to the run before anybody listened."""
        while True:
            try:
                run = await self._scheduler.reads.run(followed.run.id)
            except StoreError as error:
                logger.debug("a run could not be read for its card: %s", error)
                await self._wait(followed.over, self._pace.retry_s)
            else:
                break
        if run.state.final or not followed.changed.is_set():
            followed.happened(run)

    async def _edit_until_over(self, followed: Followed) -> bool:
        """Edit while the run goes on; False when the message is gone, so that nothing is left to end."""
        while True:
            await self._pause(followed)
            if followed.over.is_set():
                return True
            try:
                await self._edit(followed)
            except Wait as fault:
                self._turns.rest(followed.card.channel_id, fault.after_s, everywhere=fault.everywhere)
            except Gone:
                await self._store.lose(followed.card.message_id)
                return False
            except (Forbidden, Unauthorised, Rejected, TooBig) as fault:
                self._tell(followed.card.channel_id, fault)
                await followed.over.wait()
            except (DeliveryFault, StoreError) as fault:
                logger.debug("a card could not be edited: %s", fault)

    async def _pause(self, followed: Followed) -> None:
        """Wait for something to show, and until it may be shown; the end of the run cuts all of it short."""
        channel_id = followed.card.channel_id
        cards = sum(each.card.channel_id == channel_id for each in self._followed.values())
        every_s = progress_s(self._clock() - followed.began, cards=cards)
        await self._wait(followed.changed, followed.edited + every_s - self._clock())
        followed.changed.clear()
        await self._wait(followed.over, followed.edited + self._pace.edit_s - self._clock())

    async def _edit(self, followed: Followed) -> None:
        """Show the newest state, unless the card shows it already."""
        followed.edited = self._clock()
        if card.digest(card.payload(await self._facts.of(followed.run))) == followed.shows:
            return
        await self._wait(followed.over, self._turns.take(followed.card.channel_id))
        if followed.over.is_set() or not self._scheduler.delivery.may():
            return
        body = card.payload(await self._facts.of(followed.run))
        await self._rest.edit_message(str(followed.card.channel_id), str(followed.card.message_id), body)
        followed.shows, followed.edited = card.digest(body), self._clock()

    def _tell(self, channel_id: int, fault: DeliveryFault) -> None:
        if channel_id not in self._told:
            self._told.add(channel_id)
            logger.warning("cards in the channel %d cannot be edited: %s", channel_id, fault)

    async def _end(self, followed: Followed) -> None:
        """Put the last edit into the outbox, with a word to who asked; as long as the store refuses, again."""
        while True:
            try:
                wish = await self._store.wish_for(followed.run.id)
                posts = card_end.posts(followed.card, followed.run, wish, self._scheduler.clock())
                await self._store.end(CardEnd(followed.card.message_id, posts))
            except StoreError as error:
                logger.warning("the end of a card cannot be stored: %s", error)
                await self._wait(asyncio.Event(), self._pace.retry_s)
            else:
                self._scheduler.delivery.wake()
                return

    # -- after a restart -----------------------------------------------------------------------------------------

    async def _take_up(self) -> None:
        """Follow what an earlier service followed, and look for the cards that it sent and could not note down."""
        for left in await self._store.live():
            await self._follow_again(left)
        since, pause_s = self._scheduler.clock() - ADOPTED, self._pace.retry_s
        while (least_s := await self._adopt(since)) is not None:
            await self._wait(asyncio.Event(), max(least_s, pause_s))
            pause_s = min(pause_s * 2, LONGEST_S)

    async def _look_for_lost(self) -> None:
        await self._wait(asyncio.Event(), self._pace.retry_s)
        await self._adopt(self._scheduler.clock() - LOST)

    async def _follow_again(self, left: Card) -> None:
        if left.message_id in self._followed:
            return
        try:
            run = await self._scheduler.reads.run(left.run_id)
        except UnknownName:
            await self._store.lose(left.message_id)
            return
        now = self._clock()
        followed = Followed(left, run, began=now, edited=now - self._pace.edit_s)
        self._begin(followed.name, self._keep, followed)

    async def _adopt(self, since: datetime) -> float | None:
        """Follow cards that are found in their channels; where Discord is out, return the seconds to wait at least."""
        followed = {each.card.run_id for each in self._followed.values()}
        for wish in await self._store.cardless(since):
            if wish.run_id in followed or any(each.run.id == wish.run_id for each in self._on_token):
                continue
            try:
                message_id = await find(self._rest, wish)
            except (Wait, Unsure) as fault:
                return fault.after_s if isinstance(fault, Wait) else 0.0
            except DeliveryFault as fault:
                logger.debug("no card of run %d was looked for: %s", wish.run_id, fault)
                continue
            if message_id is not None:
                adopted = Card(message_id, wish.channel_id, wish.run_id, wish.at)
                if await self._store.put(adopted):
                    await self._follow_again(adopted)
        return None
