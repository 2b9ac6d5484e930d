"""Incidents of runs that go on for too long and of pipelines that have not succeeded for too long.

Whether it is still so is asked in the transaction that opens the incident.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from pipelines.model import Incident, RunState
from pipelines.store import incidents
from pipelines.store.columns import any_of
from pipelines.store.schema import in_states, run_counts, runs

_GOING = select(runs.c.id).where(in_states(RunState.RUNNING, RunState.WAITING_RETRY), any_of(runs.c.id, "ids"))
_SUCCESSES = select(run_counts.c.pipeline, run_counts.c.last_ended_at).where(
    and_(run_counts.c.state == RunState.SUCCEEDED.value, any_of(run_counts.c.pipeline, "names"))
)
_NEWEST = (
    select(runs.c.pipeline, func.max(runs.c.id).label("newest"))
    .where(any_of(runs.c.pipeline, "names"))
    .group_by(runs.c.pipeline)
)


def open_slow(conn: Connection, found: Sequence[Incident]) -> list[bool]:
    """Open incidents of runs that go on; False where the run is over, or its pipeline's trouble is as grave already."""
    going = set(conn.execute(_GOING, {"ids": [each.last_run_id for each in found]}).scalars())
    return incidents.open_found(conn, [(each, each.last_run_id in going) for each in found])


def open_missing(conn: Connection, found: Sequence[tuple[Incident, datetime | None]]) -> list[bool]:
    """Open incidents of pipelines; False where one succeeded after the instant given with it, or is in graver trouble.

    The instant is the last success that was known (None: there was none).
    """
    now = {row[0]: row[1] for row in conn.execute(_SUCCESSES, {"names": [each.pipeline for each, _ in found]})}
    return incidents.open_found(conn, [(each, now.get(each.pipeline) == known) for each, known in found])


def last_of(conn: Connection, names: Sequence[str]) -> dict[str, tuple[int | None, datetime | None]]:
    """Return the id of the newest run of each pipeline, and when it last succeeded; those without any are left out."""
    newest = {row[0]: row[1] for row in conn.execute(_NEWEST, {"names": names})}
    succeeded = {row[0]: row[1] for row in conn.execute(_SUCCESSES, {"names": names})}
    return {name: (newest.get(name), succeeded.get(name)) for name in newest.keys() | succeeded.keys()}
