"""Delivering what is in the outbox: whose turn it is, and what became of a try.

Within a target the order is that of the ids, always. A message that was being sent when the process died is still
`sending`; its target's next turn begins with it. What the states mean is in `outbox`.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b, sha256
from typing import Any

from sqlalchemy import Connection, Text, bindparam, case, cast, func, literal_column, null, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.store import bulk
from pipelines.store.face_schema import notes
from pipelines.store.outbox import PostState, find
from pipelines.store.rows import AnyRow
from pipelines.store.schema import UNDELIVERED, outbox

SMALL = 20_000
"""Characters of a body that still counts as a small one."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message that is being delivered now.

    `attempts` counts this try too. `unsure` says that an earlier one may have arrived; `first_tried_at` is when the
    earliest of those began, `at` when this one does, and they are the same where there is none. `message_id` is that of
    the message which this one changes; None for a new one. `post_id` is the forum post that an earlier message with the
    same `reuse` opened.
    """

    id: int
    target: str
    kind: str
    key: str
    body: Mapping[str, Any]
    created_at: datetime
    attempts: int
    first_tried_at: datetime
    at: datetime
    unsure: bool = False
    run_id: int | None = None
    message_id: str | None = None
    post_id: str | None = None

    @property
    def channel(self) -> str:
        """The part of the target that says who delivers."""
        return self.target.partition(":")[0]

    @property
    def address(self) -> str:
        """The part of the target that says where to: all after the first colon."""
        return self.target.partition(":")[2]

    @property
    def nonce(self) -> str:
        """24 characters that are the same at every try of this message, and differ from those of any other."""
        return b32encode(blake2b(self.key.encode(errors="surrogatepass"), digest_size=15).digest()).decode()


@dataclass(frozen=True, slots=True)
class Take:
    """A wish for the message of a target whose turn it is at `now`."""

    target: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Sent:
    """A message arrived as `message_id`; None where that is not known.

    In a post of a forum that is `post/message`: later messages with the same `reuse` will go there.
    """

    id: int
    message_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Retry:
    """A try that failed for now. `first_tried_at` is that of the parcel if the try may have arrived, else None."""

    id: int
    error: str
    not_before: datetime | None = None
    first_tried_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bury:
    """A message that was refused for good."""

    id: int
    error: str


@dataclass(frozen=True, slots=True)
class Gather:
    """Messages that wait, told together: the first of `ids` gets `body`, the others are not sent."""

    ids: Sequence[int]
    body: Mapping[str, Any]


def _undelivered(state: PostState) -> Any:
    """Return the condition of a state, spelled so that the index of undelivered messages serves it."""
    return literal_column(f"(outbox.state = '{state}' AND outbox.{UNDELIVERED})")


def _replace_note(insert: Any) -> Any:
    new = insert.excluded
    return insert.on_conflict_do_update(index_elements=["name"], set_={"value": new.value, "at": new.at})


_OF_TARGET = outbox.c.target == bindparam("to")
_FIRST = [
    select(func.min(outbox.c.id)).where(_undelivered(state), _OF_TARGET)
    for state in (PostState.SENDING, PostState.QUEUED)
]
_BY_ID = select(outbox).where(outbox.c.id == bindparam("of"))
_UNTRIED = (
    select(outbox)
    .where(_undelivered(PostState.QUEUED), _OF_TARGET, outbox.c.kind == bindparam("of_kind"), outbox.c.attempts == 0)
    .where(func.length(cast(outbox.c.body, Text)) < SMALL)
    .order_by(outbox.c.id)
    .limit(bindparam("at_most"))
)

_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_OURS = outbox.c.id == bindparam("of")
_MINE = _OURS & (outbox.c.state == PostState.SENDING.value)
_CLAIM = (
    update(outbox)
    .where(_OURS)
    .values(
        state=PostState.SENDING.value,
        attempts=outbox.c.attempts + 1,
        first_tried_at=func.coalesce(outbox.c.first_tried_at, bindparam("now", type_=outbox.c.sent_at.type)),
    )
)
_SENT = (
    update(outbox)
    .where(_OURS)
    .values(
        # One that was replaced meanwhile is queued: what arrived is then changed to the new body.
        state=case((outbox.c.state == PostState.SENDING.value, PostState.SENT.value), else_=outbox.c.state),
        message_id=func.coalesce(bindparam("as_id", type_=outbox.c.message_id.type), outbox.c.message_id),
        sent_at=bindparam("now", type_=outbox.c.sent_at.type),
        error=null(),
    )
)
_RETRY = (
    update(outbox)
    .where(_MINE)
    .values(
        state=PostState.QUEUED.value,
        error=bindparam("why"),
        not_before=bindparam("then", type_=outbox.c.sent_at.type),
        first_tried_at=bindparam("since", type_=outbox.c.sent_at.type),
    )
)
_BURY = update(outbox).where(_MINE).values(state=PostState.DEAD.value, error=bindparam("why"))
_EXPIRE = update(outbox).where(_OURS).values(state=PostState.EXPIRED.value, error=bindparam("why"))
_REMEMBERED = select(notes.c.value).where(notes.c.name == bindparam("named"))
_REMEMBER: dict[str, Any] = {name: _replace_note(insert(notes)) for name, insert in _INSERTS.items()}
_FILL = update(outbox).where(_OURS).values(body=bindparam("filled", type_=outbox.c.body.type))


def claim(conn: Connection, takes: Sequence[Take]) -> list[Parcel | datetime | None]:
    """Take the oldest undelivered message of each target: it is `sending` now.

    An instant instead says when it may be tried again, None that nothing waits. What has expired meanwhile, and a
    change of a message that was never delivered, is passed over.
    """
    return [_claim(conn, take) for take in takes]


def sent(conn: Connection, arrivals: Sequence[Sent]) -> list[bool]:
    """Record that messages arrived; False for one that is to be sent again, because it was replaced meanwhile."""
    return [_sent(conn, each) for each in arrivals]


def retry(conn: Connection, failures: Sequence[Retry]) -> list[bool]:
    """Queue messages again, at their old place; False for one that is not being sent."""
    return [
        conn.execute(
            _RETRY, {"of": each.id, "why": each.error, "then": each.not_before, "since": each.first_tried_at}
        ).rowcount
        == 1
        for each in failures
    ]


def bury(conn: Connection, refused: Sequence[Bury]) -> list[bool]:
    """Give messages up; False for one that is not being sent."""
    return [conn.execute(_BURY, {"of": each.id, "why": each.error}).rowcount == 1 for each in refused]


def gather(conn: Connection, gathers: Sequence[Gather]) -> list[None]:
    """Tell many messages by one: see `Gather`."""
    for each in gathers:
        first, *others = each.ids
        conn.execute(_FILL, {"of": first, "filled": dict(each.body)})
        why = f"told together with message {first}"
        bulk.execute(conn, _EXPIRE, [{"of": other, "why": why} for other in others])
    return [None for _ in gathers]


def untried(conn: Connection, target: str, kind: str, limit: int) -> list[Parcel]:
    """Return the oldest small messages of a kind that were never tried, as they would be delivered."""
    asked = {"to": target, "of_kind": kind, "at_most": limit}
    return [_parcel(row, row.created_at) for row in conn.execute(_UNTRIED, asked)]


def _claim(conn: Connection, take: Take) -> Parcel | datetime | None:
    while (row := _head(conn, take.target)) is not None:
        message_id, lost = _changed(conn, row)
        if row.expires_at is not None and row.expires_at <= take.now:
            conn.execute(_EXPIRE, {"of": row.id, "why": row.error or "nobody wants it any more"})
        elif lost:
            conn.execute(_EXPIRE, {"of": row.id, "why": "the message that it changes was not delivered"})
        elif row.not_before is not None and row.not_before > take.now:
            return row.not_before  # type: ignore[no-any-return]  # a row's values are of any type
        else:
            conn.execute(_CLAIM, {"of": row.id, "now": take.now})
            return _parcel(row, take.now, message_id, _post_of(conn, row))
    return None


def _sent(conn: Connection, arrival: Sent) -> bool:
    conn.execute(_SENT, {"of": arrival.id, "as_id": arrival.message_id, "now": arrival.at})
    row = _one(conn, arrival.id)
    post, slash, _ = (arrival.message_id or "").partition("/")
    if slash and (name := _post_note(row)):
        conn.execute(_REMEMBER[conn.dialect.name], {"name": name, "value": post, "at": arrival.at})
    return row.state == PostState.SENT.value  # type: ignore[no-any-return]  # as above


def _post_note(row: AnyRow) -> str | None:
    """Return the name of the note that says which post of a forum a message belongs to; None for one of its own."""
    reuse = (row.body.get("forum") or {}).get("reuse")
    return None if reuse is None else f"post:{row.target}:{sha256(str(reuse).encode()).hexdigest()}"


def _post_of(conn: Connection, row: AnyRow) -> str | None:
    name = _post_note(row)
    return None if name is None else conn.execute(_REMEMBERED, {"named": name}).scalar_one_or_none()


def _head(conn: Connection, target: str) -> AnyRow | None:
    ids = [conn.execute(each, {"to": target}).scalar_one() for each in _FIRST]
    first = min((id_ for id_ in ids if id_ is not None), default=None)
    return None if first is None else _one(conn, first)


def _one(conn: Connection, id_: int) -> AnyRow:
    return conn.execute(_BY_ID, {"of": id_}).one()


def _changed(conn: Connection, row: AnyRow) -> tuple[str | None, bool]:
    """Return the id of the message that this one changes, and whether there should be one but is not."""
    key = row.body.get("edits")
    if key is not None:
        first = find(conn, key)
        message_id = None if first is None else first.message_id
        return message_id, message_id is None
    named = row.body.get("message_id")
    return row.message_id if named is None else str(named), False


def _parcel(row: AnyRow, now: datetime, message_id: str | None = None, post_id: str | None = None) -> Parcel:
    return Parcel(
        id=row.id,
        target=row.target,
        kind=row.kind,
        key=row.dedupe_key,
        body=row.body,
        created_at=row.created_at,
        attempts=row.attempts + 1,
        first_tried_at=row.first_tried_at or now,
        at=now,
        unsure=row.first_tried_at is not None,
        run_id=row.run_id,
        message_id=message_id,
        post_id=post_id,
    )
