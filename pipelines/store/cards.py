"""Messages that follow a run until it is over, and the runs that were asked for in chat; `Cards` is what a face uses.

A card's end is put into the outbox in the transaction that makes it `over`, so that none stays behind, whatever dies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import Verb
from pipelines.store.face_schema import audit, cards
from pipelines.store.outbox import Post, post
from pipelines.store.rows import AnyRow
from pipelines.store.writer import Reader, Writer

_NEWEST = 500
"""At most so many runs without a card are looked at."""


class CardState(StrEnum):
    """Live: it is edited while its run goes on. Over: the run's end is in the outbox. Gone: somebody deleted it."""

    LIVE = "live"
    OVER = "over"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Card:
    """One message that follows a run; ids of messages and channels are the chat's own. `created_at` is UTC."""

    message_id: int
    channel_id: int
    run_id: int
    created_at: datetime
    state: CardState = CardState.LIVE


@dataclass(frozen=True, slots=True)
class CardEnd:
    """The end of a card, with the messages to deliver because of it: the last edit, and whoever else is to be told."""

    message_id: int
    posts: tuple[Post, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """A run that somebody asked for in chat: who (`actor_id`, as `discord:123`), and in which channel. `at` is UTC."""

    run_id: int
    actor_id: str
    channel_id: int
    at: datetime


_INSERTS: dict[str, Any] = {
    "sqlite": sqlite.insert(cards).on_conflict_do_nothing().returning(cards.c.message_id),
    "postgresql": postgresql.insert(cards).on_conflict_do_nothing().returning(cards.c.message_id),
}
_LEAVE = (
    update(cards)
    .where(cards.c.message_id == bindparam("of"), cards.c.state == CardState.LIVE.value)
    .values(state=bindparam("next_state"))
    .returning(cards.c.message_id)
)
_LIVE = select(cards).where(cards.c.state == CardState.LIVE.value).order_by(cards.c.message_id)
_WISHES = (
    select(audit.c.run_id, audit.c.actor_id, audit.c.place, audit.c.at)
    .where(
        audit.c.run_id.is_not(None), audit.c.allowed, audit.c.verb == Verb.RUN.value, audit.c.door == bindparam("by")
    )
    .order_by(audit.c.id.desc())
)
_WISH_FOR = _WISHES.where(audit.c.run_id == bindparam("of")).limit(1)
_CARDLESS = _WISHES.where(audit.c.at >= bindparam("since"), ~exists().where(cards.c.run_id == audit.c.run_id)).limit(
    _NEWEST
)


def put(conn: Connection, made: Sequence[Card]) -> list[bool]:
    """Store cards; False for a message that is one already."""
    return [_put(conn, card) for card in made]


def end(conn: Connection, ends: Sequence[CardEnd]) -> list[bool]:
    """Make live cards `over` and queue what is to be delivered then; False, and nothing queued, for one not live."""
    return [_end(conn, each) for each in ends]


def lose(conn: Connection, message_ids: Sequence[int]) -> list[bool]:
    """Note that live cards were deleted; False for one that was not live."""
    return [_leave(conn, each, CardState.GONE) for each in message_ids]


def live(conn: Connection) -> list[Card]:
    """Return the cards whose end is not in the outbox yet, oldest first."""
    return [_to_card(row) for row in conn.execute(_LIVE)]


def wish_for(conn: Connection, run_id: int, door: str) -> Wish | None:
    """Return who asked for a run through `door`, or None."""
    found = (_to_wish(row) for row in conn.execute(_WISH_FOR, {"of": run_id, "by": door}))
    return next((wish for wish in found if wish is not None), None)


def cardless(conn: Connection, since: datetime, door: str) -> list[Wish]:
    """Return the runs asked for through `door` since an instant that no card follows or followed, newest first."""
    found = [_to_wish(row) for row in conn.execute(_CARDLESS, {"since": since, "by": door})]
    return [wish for wish in found if wish is not None]


class Cards:
    """The cards in the store. Each method raises StoreError where the database refuses."""

    def __init__(self, writer: Writer, reader: Reader, *, door: str) -> None:
        """`door` is the name under which the face's requests are audited (`discord`)."""
        self._writer = writer
        self._reader = reader
        self._door = door

    async def put(self, card: Card) -> bool:
        """Store a card; False if the message is one already."""
        return await self._writer.call(put, card)

    async def end(self, end_of: CardEnd) -> bool:
        """Make a live card `over` and queue its messages, in one transaction; False if it was not live any more."""
        return await self._writer.call(end, end_of)

    async def lose(self, message_id: int) -> bool:
        """Note that a live card was deleted."""
        return await self._writer.call(lose, message_id)

    async def live(self) -> list[Card]:
        """Return the cards that follow a run, oldest first."""
        return await self._reader.read(live)

    async def wish_for(self, run_id: int) -> Wish | None:
        """Return who asked for a run through this door, or None."""
        return await self._reader.read(wish_for, run_id, self._door)

    async def cardless(self, since: datetime) -> list[Wish]:
        """Return the runs asked for through this door since an instant that have no card, newest first."""
        return await self._reader.read(cardless, since, self._door)


def _put(conn: Connection, card: Card) -> bool:
    row = {
        "message_id": str(card.message_id),
        "channel_id": str(card.channel_id),
        "run_id": card.run_id,
        "state": card.state.value,
        "created_at": card.created_at,
    }
    return conn.execute(_INSERTS[conn.dialect.name], row).scalar_one_or_none() is not None


def _end(conn: Connection, each: CardEnd) -> bool:
    if not _leave(conn, each.message_id, CardState.OVER):
        return False
    post(conn, each.posts)
    return True


def _leave(conn: Connection, message_id: int, state: CardState) -> bool:
    asked = {"of": str(message_id), "next_state": state.value}
    return conn.execute(_LEAVE, asked).scalar_one_or_none() is not None


def _to_card(row: AnyRow) -> Card:
    return Card(int(row.message_id), int(row.channel_id), row.run_id, row.created_at, CardState(row.state))


def _to_wish(row: AnyRow) -> Wish | None:
    channel = str(row.place.get("channel") or "")
    return Wish(row.run_id, row.actor_id, int(channel), row.at) if channel.isdigit() else None
