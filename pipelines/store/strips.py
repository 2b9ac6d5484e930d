"""The newest runs in few columns, for pictures of many at a time: what became of each, when, and how long it took.

Every read here walks an index newest first and stops at its limit, so that a million runs slow nothing down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from pipelines.model import RunState
from pipelines.store import schema
from pipelines.store.rows import AnyRow

_COLUMNS = (
    schema.runs.c.id,
    schema.runs.c.pipeline,
    schema.runs.c.state,
    schema.runs.c.queued_at,
    schema.runs.c.started_at,
    schema.runs.c.ended_at,
)
_NEWEST = select(*_COLUMNS).order_by(schema.runs.c.id.desc()).limit(bindparam("at_most"))
_OF_PIPELINE = _NEWEST.where(schema.runs.c.pipeline == bindparam("name"))


@dataclass(frozen=True, slots=True)
class Mark:
    """One run in a picture.

    `at` is when it began, or else was queued (UTC), `took_s` how many seconds it took (None: not over, or never began).
    """

    id: int
    pipeline: str
    state: RunState
    at: datetime
    took_s: float | None = None


def newest(conn: Connection, limit: int) -> list[Mark]:
    """Return the newest runs of all pipelines, newest first."""
    return [_mark(row) for row in conn.execute(_NEWEST, {"at_most": limit})]


def of_pipelines(conn: Connection, pipelines: Iterable[str], limit: int) -> dict[str, list[Mark]]:
    """Return the newest `limit` runs of each pipeline, oldest first, by its name."""
    return {
        name: [_mark(row) for row in conn.execute(_OF_PIPELINE, {"name": name, "at_most": limit})][::-1]
        for name in pipelines
    }


def _mark(row: AnyRow) -> Mark:
    took = (row.ended_at - row.started_at).total_seconds() if row.started_at and row.ended_at else None
    return Mark(row.id, row.pipeline, RunState(row.state), row.started_at or row.queued_at, took)
