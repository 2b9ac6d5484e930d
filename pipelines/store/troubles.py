"""What there is to know about pipelines in trouble and about mutes, read only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, select

from pipelines.model import Incident, Mute, RunState
from pipelines.store.columns import any_of
from pipelines.store.face_schema import incidents, mutes
from pipelines.store.incidents import OPEN_ONES, to_incident
from pipelines.store.schema import run_counts

_SUCCEEDED = run_counts.c.state == RunState.SUCCEEDED.value
_INCIDENTS = select(incidents, run_counts.c.last_ended_at.label("last_success")).outerjoin(
    run_counts, and_(run_counts.c.pipeline == incidents.c.pipeline, _SUCCEEDED)
)
_ALL_OPEN = _INCIDENTS.where(OPEN_ONES).order_by(incidents.c.id)
_UNTOLD = _INCIDENTS.where(incidents.c.version > incidents.c.told).order_by(incidents.c.id)
_BY_MESSAGE = _INCIDENTS.where(any_of(incidents.c.message_key, "keys")).order_by(incidents.c.id)
_SINCE = (
    _INCIDENTS.where(incidents.c.opened_at >= bindparam("since"))
    .order_by(incidents.c.id.desc())
    .limit(bindparam("at_most"))
)
_MUTES = (
    select(mutes, run_counts.c.last_ended_at.label("last_success"))
    .outerjoin(run_counts, and_(run_counts.c.pipeline == mutes.c.pipeline, _SUCCEEDED))
    .order_by(mutes.c.pipeline)
)


def standing(conn: Connection) -> list[Incident]:
    """Return the open incidents, oldest first."""
    return [to_incident(row) for row in conn.execute(_ALL_OPEN)]


def changed(conn: Connection) -> list[Incident]:
    """Return the incidents whose newest version people do not know, oldest first."""
    return [to_incident(row) for row in conn.execute(_UNTOLD)]


def with_message(conn: Connection, keys: Iterable[str]) -> list[Incident]:
    """Return all incidents that these messages tell of."""
    return [to_incident(row) for row in conn.execute(_BY_MESSAGE, {"keys": list(keys)})]


def opened_since(conn: Connection, since: datetime, limit: int = 1000) -> list[Incident]:
    """Return the incidents that began since an instant, newest first."""
    return [to_incident(row) for row in conn.execute(_SINCE, {"since": since, "at_most": limit})]


def muted(conn: Connection) -> list[Mute]:
    """Return all mutes, those that are over but not yet told of as well, by pipeline."""
    return [
        Mute(row.pipeline, row.until, row.at, row.actor, row.suppressed, row.last_success)
        for row in conn.execute(_MUTES)
    ]
