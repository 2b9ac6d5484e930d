"""Pictures of many runs at a time: the newest of each pipeline, read from indexes alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, event, insert

from pipelines.model import RunState
from pipelines.store import history, schema, strips
from tests.store.conftest import on_sqlite

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def filled(engine):
    """Runs of two pipelines, the third of each failed, the last one queued."""
    rows = [
        {
            "pipeline": f"p{number % 2}",
            "started_by": "manual",
            "params": {},
            "state": "queued" if number == 19 else "failed" if number in (4, 5) else "succeeded",
            "queued_at": AT + timedelta(minutes=number),
            "started_at": None if number == 19 else AT + timedelta(minutes=number, seconds=5),
            "ended_at": None if number == 19 else AT + timedelta(minutes=number, seconds=5 + number),
        }
        for number in range(20)
    ]
    with engine.begin() as conn:
        conn.execute(insert(schema.runs), rows)
    return engine


def test_each_pipeline_has_its_newest_runs_oldest_first(filled):
    """The newest runs of each pipeline that was asked for, with when they began and how long they took."""
    with filled.connect() as conn:
        found = strips.of_pipelines(conn, ["p0", "p1", "nope"], 3)
    assert [14.0, 16.0, 18.0] == [mark.took_s for mark in found["p0"]]
    assert [RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.QUEUED] == [mark.state for mark in found["p1"]]
    assert (AT + timedelta(minutes=19), None, []) == (found["p1"][-1].at, found["p1"][-1].took_s, found["nope"])


def test_the_newest_of_all_come_newest_first(filled):
    """The newest runs of all pipelines, and not one more than was asked for."""
    with filled.connect() as conn:
        found = strips.newest(conn, 4)
    assert (["p1", "p0", "p1", "p0"], sorted((mark.id for mark in found), reverse=True)) == (
        [mark.pipeline for mark in found],
        [mark.id for mark in found],
    )


QUESTIONS = {
    "strips": lambda conn: strips.of_pipelines(conn, ["p0", "p1"], 20),
    "newest": lambda conn: strips.newest(conn, 2_000),
    "runs": lambda conn: history.runs(conn, limit=51, before_id=12),
    "runs of a pipeline": lambda conn: history.runs(conn, pipeline="p0", before_id=12),
    "runs in a state": lambda conn: history.runs(conn, state=RunState.FAILED, before_id=12),
    "runs of a pipeline in a state": lambda conn: history.runs(conn, pipeline="p0", state=RunState.FAILED),
    "live runs of a pipeline": lambda conn: history.runs(conn, pipeline="p0", state=RunState.QUEUED),
    "runs of a schedule": lambda conn: history.runs(conn, schedule_id="s", before_id=12),
    "durations": lambda conn: history.durations(conn, "p0", 60),
}
"""All that pages ask about many runs."""


@on_sqlite
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_page_reads_the_whole_table(filled, question):
    """SQLite answers each from an index, newest first: it neither sorts nor looks through the table of runs."""
    plans = []

    def explain(conn: Connection, cursor, statement, parameters, *_: object) -> None:
        plain = conn.connection.cursor()
        plans.extend(row[3] for row in plain.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))
        plain.close()

    with filled.connect() as conn:
        event.listen(conn, "before_cursor_execute", explain)
        QUESTIONS[question](conn)
    assert plans
    assert [] == [plan for plan in plans if "TEMP B-TREE" in plan or (plan == "SCAN runs" and question not in FREE)]


FREE = frozenset({"newest"})
"""A scan by primary key backwards stops at its limit: that is the newest of all."""
