"""How many runs of each pipeline ended in which state.

Kept in the transaction that ends them, so that statistics over a million runs read a handful of rows. Reading them is
in `history`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import RunState
from pipelines.store import bulk
from pipelines.store.schema import run_counts


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has come to its end. `error` is one line for people, None where there is nothing to complain of.

    `empty` says what a success fell short of, None where it did not.
    """

    pipeline: str
    state: RunState
    at: datetime
    error: str | None = None
    run_id: int | None = None
    empty: str | None = None


def _upsert(insert: Any) -> Any:
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=["pipeline", "state"],
        set_={
            "count": run_counts.c.count + new.count,
            "last_ended_at": new.last_ended_at,
            "last_error": func.coalesce(new.last_error, run_counts.c.last_error),
        },
    )


_UPSERTS = {
    "sqlite": _upsert(sqlite.insert(run_counts)),
    "postgresql": _upsert(postgresql.insert(run_counts)),
}


def count(conn: Connection, ended: Iterable[Ended]) -> None:
    """Add runs that have ended; all have ended for good, so none is ever taken off again."""
    groups: dict[tuple[str, str], list[Ended]] = {}
    for end in ended:
        groups.setdefault((end.pipeline, end.state.value), []).append(end)
    # In one order everywhere, so that two processes cannot wait for each other's rows.
    bulk.execute(conn, _UPSERTS[conn.dialect.name], [_row(key, groups[key]) for key in sorted(groups)])


def _row(key: tuple[str, str], ends: Sequence[Ended]) -> dict[str, Any]:
    errors = [end.error for end in ends if end.error]
    return {
        "pipeline": key[0],
        "state": key[1],
        "count": len(ends),
        "last_ended_at": ends[-1].at,
        "last_error": errors[-1] if errors else None,
    }
