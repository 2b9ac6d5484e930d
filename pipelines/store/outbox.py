"""Messages on their way to people: stored in the transaction that makes them, delivered afterwards.

A message is `queued`, then `sending` while it is tried, and ends as `sent`, `dead` (refused for good) or `expired` (too
late to be worth it, or told by another). How it gets from one to the next is in `deliveries`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, literal_column, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import Message
from pipelines.store import bulk
from pipelines.store.columns import any_of
from pipelines.store.rows import AnyRow
from pipelines.store.schema import DEAD, UNDELIVERED, outbox

_LONGEST_KEY = 500


class PostState(StrEnum):
    """How far a message has come."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DEAD = "dead"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Post:
    """A message to store at `at`. `key` makes it unique for ever; without `replace` the first one of a key wins.

    With `replace` an undelivered message of that key gets this body, and one that was delivered is changed to it. The
    body of a change of another message names it: `edits` is its key, or `message_id` its id where it was sent. After
    `expires_at` nobody wants it any more; None means that it waits for ever.
    """

    target: str
    kind: str
    key: str
    body: Mapping[str, Any]
    at: datetime
    run_id: int | None = None
    expires_at: datetime | None = None
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a stored message; `error` is what was in its way last."""

    id: int
    target: str
    kind: str
    key: str
    state: PostState
    created_at: datetime
    attempts: int
    run_id: int | None
    message_id: str | None
    error: str | None


def _upsert(insert: Any) -> Any:
    """Replace what has the key. Tries of an undelivered message still count: one of them may have arrived."""
    new = insert.excluded
    waiting = outbox.c.state.in_([PostState.QUEUED.value, PostState.SENDING.value])
    return insert.on_conflict_do_update(
        index_elements=["dedupe_key"],
        set_={
            **{name: new[name] for name in ("target", "kind", "body", "run_id", "created_at", "expires_at")},
            "state": PostState.QUEUED.value,
            "attempts": case((waiting, outbox.c.attempts), else_=0),
            "first_tried_at": case((waiting, outbox.c.first_tried_at), else_=null()),
            "not_before": case((waiting, outbox.c.not_before), else_=null()),
            "error": null(),
        },
    )


_INSERTS: dict[str, Any] = {
    "sqlite": sqlite.insert(outbox).on_conflict_do_nothing(index_elements=["dedupe_key"]),
    "postgresql": postgresql.insert(outbox).on_conflict_do_nothing(index_elements=["dedupe_key"]),
}
_UPSERTS: dict[str, Any] = {
    "sqlite": _upsert(sqlite.insert(outbox)),
    "postgresql": _upsert(postgresql.insert(outbox)),
}
_BY_KEY = select(outbox).where(outbox.c.dedupe_key == bindparam("named"))
_WAITING = (
    select(outbox.c.target, func.count())
    .where(literal_column(f"outbox.{UNDELIVERED}"))
    .group_by(outbox.c.target)
    .order_by(outbox.c.target)
)
_DEAD = select(outbox).where(literal_column(DEAD)).order_by(outbox.c.id.desc()).limit(bindparam("at_most"))
_DEAD_OF = select(outbox.c.target, func.count()).where(literal_column(DEAD)).group_by(outbox.c.target)
_IDS = select(outbox.c.message_id).where(any_of(outbox.c.message_id, "ids"))
_COUNTS = select(outbox.c.state, func.count()).group_by(outbox.c.state)

_REDELIVER = (
    update(outbox)
    .where(literal_column(DEAD))
    .values(
        state=PostState.QUEUED.value,
        attempts=0,
        error=null(),
        not_before=null(),
        expires_at=null(),
        first_tried_at=null(),
    )
)


def put(conn: Connection, messages: Iterable[tuple[int, Message, datetime]]) -> None:
    """Store messages with the run each belongs to and the time of its end; one that is there already stays as it is."""
    rows = [
        {
            "run_id": run_id,
            "target": message.target,
            "kind": message.kind,
            "dedupe_key": dedupe_key(run_id, message.key),
            "body": dict(message.body),
            "created_at": at,
        }
        for run_id, message, at in messages
    ]
    bulk.execute(conn, _INSERTS[conn.dialect.name], rows)


def post(conn: Connection, posts: Sequence[Post]) -> list[bool]:
    """Store messages; False for one whose key was there already and that does not replace it."""
    return [_post(conn, each) for each in posts]


def redeliver(conn: Connection, wishes: Sequence[None]) -> list[int]:
    """Queue all messages again that were refused for good, for ever this time; return how many those are."""
    return [conn.execute(_REDELIVER).rowcount for _ in wishes]


def waiting(conn: Connection) -> dict[str, int]:
    """Return how many messages each target still has to get; those without any are left out."""
    return {row[0]: row[1] for row in conn.execute(_WAITING)}


def find(conn: Connection, key: str) -> Letter | None:
    """Return the message of a key."""
    row = conn.execute(_BY_KEY, {"named": _short(key)}).one_or_none()
    return None if row is None else _letter(row)


def dead(conn: Connection, limit: int = 100) -> list[Letter]:
    """Return what was refused for good, newest first."""
    return [_letter(row) for row in conn.execute(_DEAD, {"at_most": limit})]


def dead_by_target(conn: Connection) -> dict[str, int]:
    """Return how many messages of each target were refused for good; it reads all of them."""
    return {row[0]: row[1] for row in conn.execute(_DEAD_OF)}


def counts(conn: Connection) -> dict[PostState, int]:
    """Return how many messages are in each state; it reads all of them."""
    return {PostState(row[0]): row[1] for row in conn.execute(_COUNTS)}


def arrived(conn: Connection, message_ids: Sequence[str]) -> set[str]:
    """Return those of `message_ids` as which a message has arrived."""
    return {row[0] for row in conn.execute(_IDS, {"ids": list(message_ids)})}


def dedupe_key(run_id: int, key: str) -> str:
    """Return what makes a run's message unique."""
    return f"run:{run_id}:{_short(key)}"


def _short(key: str) -> str:
    """Shorten a long key to its digest, because indexes have their limits."""
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[:100]}…{sha256(key.encode(errors='surrogatepass')).hexdigest()}"


def _post(conn: Connection, new: Post) -> bool:
    statement = (_UPSERTS if new.replace else _INSERTS)[conn.dialect.name]
    row = {
        "run_id": new.run_id,
        "target": new.target,
        "kind": new.kind,
        "dedupe_key": _short(new.key),
        "body": dict(new.body),
        "created_at": new.at,
        "expires_at": new.expires_at,
    }
    return conn.execute(statement.returning(outbox.c.id), row).first() is not None


def _letter(row: AnyRow) -> Letter:
    return Letter(
        id=row.id,
        target=row.target,
        kind=row.kind,
        key=row.dedupe_key,
        state=PostState(row.state),
        created_at=row.created_at,
        attempts=row.attempts,
        run_id=row.run_id,
        message_id=row.message_id,
        error=row.error,
    )
