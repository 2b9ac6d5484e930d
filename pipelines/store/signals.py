"""Signals: what one process changed in the store that others must take up, written with the change itself.

A row says what happened, not what to do: whoever reads it looks at the store again. Taking one up twice is harmless.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, Connection, bindparam, cast, delete, func, insert, select

from pipelines.model import LIVE_STATES, utcnow
from pipelines.store.face_schema import signals
from pipelines.store.schema import in_states, runs

KEPT = timedelta(days=1)
"""So long a signal stays: a service that was down takes up wishes to cancel that are not older."""
LATE = 50
"""On a server, a transaction with a lower number may commit after one with a higher: so many are looked at again."""


class SignalKind(StrEnum):
    """What a signal is about; its subject is a job's id, a run's id, or nothing."""

    JOB = "job"
    RUN = "run"
    CANCEL = "cancel"
    PEOPLE = "people"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True)
class Signal:
    """One change: a job's row, a run that was queued or ended, a wish to cancel a run that goes on elsewhere.

    `people` means mutes, acknowledgements and messages to send again; `reload` that the files shall be read now.
    """

    kind: SignalKind
    subject: str = ""
    detail: str = ""
    at: datetime = field(default_factory=utcnow)


_INSERT = insert(signals)
_AFTER = (
    select(signals.c.id, signals.c.kind, signals.c.subject, signals.c.detail, signals.c.at)
    .where(signals.c.id > bindparam("last"))
    .order_by(signals.c.id)
    .limit(1_000)
)
_LAST = select(func.coalesce(func.max(signals.c.id), 0))
_OLD = delete(signals).where(signals.c.at < bindparam("before"))
_RUN = cast(signals.c.subject, BigInteger)
_WISHES = (
    select(signals.c.subject, signals.c.detail)
    .join(runs, runs.c.id == _RUN)
    .where(signals.c.kind == SignalKind.CANCEL.value, in_states(*LIVE_STATES))
    .order_by(signals.c.id)
)


def put(conn: Connection, given: Sequence[Signal]) -> list[None]:
    """Write signals."""
    if given:
        conn.execute(
            _INSERT,
            [
                {"at": each.at, "kind": each.kind.value, "subject": each.subject, "detail": each.detail}
                for each in given
            ],
        )
    return [None] * len(given)


def after(conn: Connection, last: int) -> list[tuple[int, Signal]]:
    """Return up to 1,000 signals with their numbers, from the first after `last` on; on a server some before it too."""
    given = last if conn.dialect.name == "sqlite" else last - LATE
    return [
        (row.id, Signal(SignalKind(row.kind), row.subject, row.detail, row.at))
        for row in conn.execute(_AFTER, {"last": given})
    ]


def newest(conn: Connection) -> int:
    """Return the number of the newest signal, 0 where there is none."""
    last: int = conn.execute(_LAST).scalar_one()
    return last


def wishes(conn: Connection) -> list[tuple[int, str]]:
    """Return the runs, with the reason, that somebody wanted cancelled and that are not over."""
    return [(int(row.subject), row.detail) for row in conn.execute(_WISHES)]


def prune(conn: Connection, given: Sequence[datetime]) -> list[None]:
    """Forget signals that are older than `KEPT` at the given instants."""
    conn.execute(_OLD, {"before": max(given) - KEPT})
    return [None] * len(given)
