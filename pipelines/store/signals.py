"""Signals: what one process changed in the store that others must take up, written with the change itself.

A row says what happened, not what to do: whoever reads it looks at the store again. Taking one up twice is harmless.

On a server transactions commit in any order, so no number tells what a reader has not seen yet. There each signal has
the number of the transaction that wrote it, and a reader keeps the snapshot of its last look: new is what that snapshot
could not see, however long its transaction went on. A `NOTIFY` that becomes due with the commit wakes those who listen
(`listening`); SQLite, whose transactions commit in their order, has nothing like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, Connection, Text, and_, bindparam, cast, delete, func, insert, or_, select, text

from pipelines.model import LIVE_STATES, utcnow
from pipelines.store.columns import any_of
from pipelines.store.face_schema import signals
from pipelines.store.schema import in_states, runs

KEPT = timedelta(days=1)
"""So long a signal stays: a service that was down takes up wishes to cancel that are not older."""
RUNS_KEPT = timedelta(minutes=10)
"""So long one about a run stays. Who was away for longer reads the runs themselves again."""
PRUNED_AT_ONCE = 5_000
"""At most so many old ones are removed in one go, so that no other write waits long for it."""


class SignalKind(StrEnum):
    """What a signal is about; its subject is a job's id, a run's id, or nothing."""

    JOB = "job"
    RUN = "run"
    CANCEL = "cancel"
    PEOPLE = "people"
    RELOAD = "reload"
    TICKET = "ticket"


@dataclass(frozen=True, slots=True)
class Signal:
    """One change: a job's row, a run that was queued, began or ended, a wish to cancel a run that goes on elsewhere.

    `people` means mutes, acknowledgements and messages to send again; `reload` that the files shall be read now;
    `ticket` that a worker left a run to others, as it has another version of its pipeline. The `detail` of one about a
    run is the id of the process that changed it, or empty.
    """

    kind: SignalKind
    subject: str = ""
    detail: str = ""
    at: datetime = field(default_factory=utcnow)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a reader has seen: on SQLite all up to the number `last`, on a server all that `snapshot` could see.

    A snapshot is what `pg_current_snapshot()` returns: `xmin:xmax:xip,…`.
    """

    last: int = 0
    snapshot: str = "1:1:"


_KINDS = frozenset(SignalKind)
_INSERT = insert(signals)
CHANNEL = "concat('pipecall_', md5(current_schema()))"
"""The channel, in SQL, on which PostgreSQL tells of signals: one a schema, as a database may hold several stores."""
_NOTIFY = text(f"SELECT pg_notify({CHANNEL}, '')")
_COLUMNS = (signals.c.id, signals.c.kind, signals.c.subject, signals.c.detail, signals.c.at)
_NUMBERED = select(*_COLUMNS).where(signals.c.id > bindparam("last")).order_by(signals.c.id)
_SNAPSHOT = cast(func.pg_current_snapshot(), Text)
_BEYOND = cast(cast(func.pg_snapshot_xmax(func.pg_current_snapshot()), Text), BigInteger)
_UNSEEN = (
    select(*_COLUMNS, _SNAPSHOT.label("snapshot"))
    .where(or_(and_(signals.c.tx >= bindparam("xmax"), signals.c.tx < _BEYOND), any_of(signals.c.tx, "xip")))
    .order_by(signals.c.id)
)
"""The upper bound keeps out rows that were copied from a server whose transactions had higher numbers."""
_LAST = select(func.coalesce(func.max(signals.c.id), 0))
_OLD = (
    select(signals.c.id)
    .where(
        or_(
            signals.c.at < bindparam("before"),
            and_(signals.c.at < bindparam("runs_before"), signals.c.kind == SignalKind.RUN.value),
        )
    )
    .limit(PRUNED_AT_ONCE)
    .with_for_update(skip_locked=True)
)
_PRUNE = delete(signals).where(signals.c.id.in_(_OLD))
_RUN = cast(signals.c.subject, BigInteger)
_WISHES = (
    select(signals.c.subject, signals.c.detail)
    .join(runs, runs.c.id == _RUN)
    .where(signals.c.kind == SignalKind.CANCEL.value, in_states(*LIVE_STATES))
    .order_by(signals.c.id)
)


def put(conn: Connection, given: Sequence[Signal]) -> list[None]:
    """Write signals; on PostgreSQL those who listen are woken once they are committed."""
    if given:
        conn.execute(
            _INSERT,
            [
                {"at": each.at, "kind": each.kind.value, "subject": each.subject, "detail": each.detail}
                for each in given
            ],
        )
        if conn.dialect.name == "postgresql":
            _notify(conn)
    return [None] * len(given)


def _notify(conn: Connection) -> None:
    """Notify once in each transaction, and once more in each of its savepoints, which may be rolled back."""
    now = conn.get_nested_transaction() or conn.get_transaction()
    if now is None or conn.info.get(_NOTIFIED) is not now:
        conn.execute(_NOTIFY)
        conn.info[_NOTIFIED] = now


_NOTIFIED = "pipecall_notified"


def after(conn: Connection, seen: Seen) -> tuple[list[Signal], Seen]:
    """Return the signals that were not seen yet, in the order in which they were written, and what is seen now."""
    if conn.dialect.name == "sqlite":
        rows = conn.execute(_NUMBERED, {"last": seen.last}).all()
        place = Seen(last=rows[-1].id) if rows else seen
    else:
        _, xmax, going = seen.snapshot.split(":")
        xip = [int(each) for each in going.split(",") if each]
        rows = conn.execute(_UNSEEN, {"xmax": int(xmax), "xip": xip}).all()
        place = Seen(snapshot=rows[0].snapshot) if rows else seen
    known = [row for row in rows if row.kind in _KINDS]  # a later version of this program may tell of more
    return [Signal(SignalKind(row.kind), row.subject, row.detail, row.at) for row in known], place


def seen_now(conn: Connection) -> Seen:
    """Return what there is to see now, for one who begins after it."""
    if conn.dialect.name == "sqlite":
        return Seen(last=conn.execute(_LAST).scalar_one())
    return Seen(snapshot=conn.execute(select(_SNAPSHOT)).scalar_one())


def wishes(conn: Connection) -> list[tuple[int, str]]:
    """Return the runs, with the reason, that somebody wanted cancelled and that are not over."""
    return [(int(row.subject), row.detail) for row in conn.execute(_WISHES)]


def prune(conn: Connection, given: Sequence[datetime]) -> list[None]:
    """Forget signals that are older than `KEPT`, or `RUNS_KEPT`, at the given instants; a bounded number at a time.

    Those that another process is just removing are left to it.
    """
    now = max(given)
    conn.execute(_PRUNE, {"before": now - KEPT, "runs_before": now - RUNS_KEPT})
    return [None] * len(given)
