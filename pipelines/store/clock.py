"""What time it is for leases: on a server its own clock, as those of several machines differ."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from pipelines.model import utcnow
from pipelines.store.columns import UtcDateTime

_NOW = select(func.clock_timestamp(type_=UtcDateTime))


def now(conn: Connection) -> datetime:
    """Return the time by the database's clock, UTC; an SQLite file is used on one machine, whose clock it is."""
    if conn.dialect.name == "sqlite":
        return utcnow()
    at: datetime = conn.execute(_NOW).scalar_one()
    return at
