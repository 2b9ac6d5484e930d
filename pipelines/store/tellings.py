"""What people are told, stored: messages, and in the same transaction that they know of what these say.

So an event counts as told once its message is sure to be delivered, and never without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, update

from pipelines.model import Mute
from pipelines.store import bulk, notes, outbox
from pipelines.store.face_schema import incidents, mutes
from pipelines.store.notes import Note
from pipelines.store.outbox import Post

_MARK = (
    update(incidents)
    .where(incidents.c.id == bindparam("of"), incidents.c.told < bindparam("now_told"))
    .values(
        told=bindparam("now_told"),
        message_key=func.coalesce(bindparam("key", type_=incidents.c.message_key.type), incidents.c.message_key),
        target=func.coalesce(bindparam("sent_to", type_=incidents.c.target.type), incidents.c.target),
    )
)
_END_MUTE = delete(mutes).where(mutes.c.pipeline == bindparam("of"), mutes.c.at == bindparam("put_at"))


@dataclass(frozen=True, slots=True)
class Mark:
    """People know this version of an incident, by the message `key` in `target` (None: by none, or as before)."""

    incident_id: int
    version: int
    key: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """Messages to send, what is known with them, the mutes that end with them, and what is to be remembered."""

    posts: Sequence[Post] = ()
    marks: Sequence[Mark] = ()
    lifted: Sequence[Mute] = ()
    notes: Sequence[Note] = ()


def tell(conn: Connection, tellings: Sequence[Told]) -> list[None]:
    """Store all of it. An incident that has changed meanwhile stays due; a mute that was renewed meanwhile stays."""
    for told in tellings:
        outbox.post(conn, list(told.posts))
        marks = [
            {"of": mark.incident_id, "now_told": mark.version, "key": mark.key, "sent_to": mark.target}
            for mark in told.marks
        ]
        bulk.execute(conn, _MARK, marks)
        bulk.execute(conn, _END_MUTE, [{"of": mute.pipeline, "put_at": mute.at} for mute in told.lifted])
        notes.put(conn, told.notes)
    return [None] * len(tellings)
