"""Finding runs that have no ticket: in their order, and not among those that are over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from pipelines.model import RunState, utcnow
from pipelines.store import database, places, unticketed
from tests.project import fresh_store

OVER, WAITING = 10_000, 10_000


@pytest.fixture
def engine() -> Iterator[Engine]:
    """A store on PostgreSQL."""
    with fresh_store() as url:
        engine = database.connect(url)
        database.migrate(engine)
        yield engine
        engine.dispose()


def put(conn: Any, state: RunState, count: int = 1, **given: Any) -> None:
    """Put runs that are in a state."""
    values = {"queue": "default", "rank": 0, "ticket": None, "not_before": None, **given}
    conn.execute(
        text(
            "INSERT INTO runs (pipeline, started_by, params, state, queued_at, queue, rank, ticket, not_before) "
            "SELECT 'p', 'manual', '{}', :state, now(), :queue, :rank, :ticket, CAST(:not_before AS timestamptz) "
            "FROM generate_series(1, :count)"
        ),
        {"state": state.value, "count": count, **values},
    )


def test_each_queue_and_rank_is_found_once(engine):
    """Those that go first come first; runs with a ticket, at work, over, or not due again yet count for nothing."""
    with engine.begin() as conn:
        put(conn, RunState.QUEUED, 3)
        put(conn, RunState.QUEUED, 2, queue="gpu")
        put(conn, RunState.QUEUED, rank=-5, queue="gpu")
        put(conn, RunState.QUEUED, rank=7, queue="slow")
        put(conn, RunState.WAITING_RETRY, rank=-9, queue="again", not_before=utcnow() - timedelta(seconds=1))
        put(conn, RunState.WAITING_RETRY, queue="later", not_before=utcnow() + timedelta(hours=1))
        put(conn, RunState.QUEUED, queue="has one", ticket=1)
        put(conn, RunState.RUNNING, queue="at work")
        put(conn, RunState.SUCCEEDED, queue="over")
        expected = [(-9, "again"), (-5, "gpu"), (0, "default"), (0, "gpu"), (7, "slow")]
        assert expected == unticketed.groups(conn)


def test_nobody_looks_for_them_among_runs_that_are_over(engine):
    """However many wait, none of the statements goes through all runs by their number."""
    plans: list[str] = []

    def explain(conn: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            raw = conn.connection.driver_connection
            plans.extend(row[0] for row in raw.execute(f"EXPLAIN {statement}", given).fetchall())

    with engine.begin() as conn:
        put(conn, RunState.SUCCEEDED, OVER)
        put(conn, RunState.QUEUED, WAITING)
        conn.execute(text("ANALYZE runs"))
        event.listen(engine, "before_cursor_execute", explain)
        found = unticketed.groups(conn)
        room = places.Room(conn, {}, 10)
        asked = {"now": utcnow(), "page": 200, "in_queue": "default", "in_rank": 0}
        assert ([(0, "default")], 1) == (found, len(list(room.first_to_start(asked))))
    told = "\n".join(plans)
    assert ("runs_live" in told, "runs_pkey" in told) == (True, False), told
