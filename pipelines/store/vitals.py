"""What the store knows of the service's health: what waits in it, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, literal_column, select

from pipelines.model import RunState
from pipelines.store.schema import DEAD, UNDELIVERED, in_states, outbox, runs

_WAITING = in_states(RunState.QUEUED)
_FIRST = select(runs.c.queued_at).where(_WAITING).order_by(runs.c.id).limit(1)
_QUEUED = select(func.count()).select_from(runs).where(_WAITING)
_RETRYING = select(func.count()).select_from(runs).where(in_states(RunState.WAITING_RETRY))
_UNSENT = select(func.count(), func.min(outbox.c.created_at)).where(literal_column(UNDELIVERED))
_DEAD = select(func.count()).select_from(outbox).where(literal_column(DEAD))


@dataclass(frozen=True, slots=True)
class StoreVitals:
    """Runs and messages that wait.

    `queued` runs wait for their start, the oldest `queued_since`; `retrying` ones are between attempts. `unsent`
    messages wait for delivery, the oldest `unsent_since`; `dead` ones were refused for good.
    """

    queued: int = 0
    queued_since: datetime | None = None
    retrying: int = 0
    unsent: int = 0
    unsent_since: datetime | None = None
    dead: int = 0


def read(conn: Connection) -> StoreVitals:
    """Read them all."""
    unsent, since = conn.execute(_UNSENT).one()
    return StoreVitals(
        queued=_count(conn, _QUEUED),
        queued_since=conn.execute(_FIRST).scalar_one_or_none(),
        retrying=_count(conn, _RETRYING),
        unsent=unsent,
        unsent_since=since,
        dead=_count(conn, _DEAD),
    )


def _count(conn: Connection, statement: Any) -> int:
    return int(conn.execute(statement).scalar_one())
