"""What is asked of the past is answered newest first, and by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from pipelines.model import OccurrenceOutcome, RunError, RunState
from pipelines.store import history, runs
from pipelines.store.occurrences import record_due
from tests.store.conftest import on_sqlite
from tests.store.samples import NOON, after, claim, due, end, finish, ids, manual, started


@pytest.fixture
def past(conn):
    """Six runs: a succeeded, a failed, b succeeded, a queued, one of a schedule that was missed, b running."""
    a1, b1 = started(conn, "a", "b")
    finish(conn, end(a1), end(b1, at=after(5)))
    (a2,) = started(conn, "a")
    finish(conn, end(a2, RunState.FAILED, error=RunError("OSError", "no\nmore", "Save"), at=after(90)))
    (missed,) = record_due(conn, [due("s", pipeline="c", state=RunState.MISSED, reason="asleep")])
    (b2,) = started(conn, "b")
    (a3,) = runs.insert_runs(conn, [manual("a")])
    return {"a1": a1.id, "b1": b1.id, "a2": a2.id, "missed": missed.id, "b2": b2.id, "a3": a3.id}


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({}, ["a3", "b2", "missed", "a2", "b1", "a1"]),
        ({"limit": 2}, ["a3", "b2"]),
        ({"pipeline": "a"}, ["a3", "a2", "a1"]),
        ({"state": RunState.SUCCEEDED}, ["b1", "a1"]),
        ({"state": RunState.QUEUED}, ["a3"]),
        ({"state": RunState.RUNNING, "pipeline": "b"}, ["b2"]),
        ({"state": RunState.SUCCEEDED, "pipeline": "a"}, ["a1"]),
        ({"schedule_id": "s"}, ["missed"]),
        ({"pipeline": "nobody"}, []),
    ],
)
def test_runs_are_found_newest_first(conn, past, asked, names):
    """Each question is answered by the runs that it asks for."""
    assert [past[name] for name in names] == ids(history.runs(conn, **asked))


def test_runs_are_paged(conn, past):
    """The next page begins before the last run of this one."""
    assert [past["b1"], past["a1"]] == ids(history.runs(conn, before_id=past["a2"]))


def test_statistics_by_pipeline(conn, past):
    """Counts, the newest error and the last end, by pipeline; missed and waiting runs are not executed ones."""
    a, b, c = history.stats(conn)
    assert ("a", 2, 1, 1, "Save: OSError: no", after(90), 0.5) == (
        a.pipeline,
        a.executed,
        a.succeeded,
        a.failed,
        a.last_error,
        a.last_ended_at,
        a.success_rate,
    )
    assert ("b", 1, None, after(5)) == (b.pipeline, b.executed, b.last_error, b.last_ended_at)
    assert ("c", 0, 1, None, None) == (c.pipeline, c.executed, c.missed, c.last_ended_at, c.success_rate)
    assert [a] == history.stats(conn, "a")
    assert [] == history.stats(conn, "nobody")


def test_occurrences_latest_first(conn):
    """By schedule and by what became of them."""
    record_due(conn, [due("s", after(n), state=RunState.MISSED, reason="m") for n in range(3)])
    record_due(conn, [due("s", after(9)), due("t", after(5))])
    assert [("s", after(9)), ("t", after(5)), ("s", after(2))] == [
        (each.schedule_id, each.due_at) for each in history.occurrences(conn, limit=3)
    ]
    assert [after(5)] == [each.due_at for each in history.occurrences(conn, schedule_id="t")]
    missed = history.occurrences(conn, schedule_id="s", outcome=OccurrenceOutcome.MISSED)
    assert [after(2), after(1), NOON] == [each.due_at for each in missed]
    assert 2 == len(history.occurrences(conn, outcome=OccurrenceOutcome.RUN))


def test_what_is_not_over(conn, past):
    """Of some runs, those that still live; and how many are queued."""
    assert {past["a3"], past["b2"]} == history.unfinished(conn, [*past.values(), 10**9])
    assert 1 == history.queue_depth(conn)


def test_unknown_runs_have_no_story(conn):
    """Nothing is found where nothing is."""
    nothing = history.run(conn, 1), history.attempts(conn, 1), history.stages(conn, 1), history.runs(conn)
    assert (None, [], [], []) == nothing


def plans(engine, conn, ask):
    """The steps of SQLite's plans for all that `ask` does on the connection."""
    said = []

    def note(_conn, _cursor, statement, parameters, _context, executemany):
        if not statement.startswith(("BEGIN", "EXPLAIN", "INSERT")) and not executemany:
            said.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    raw = conn.connection.cursor()
    return [
        row[3]
        for statement, parameters in said
        for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    ]


ASKED = {
    "claim": (lambda conn: claim(conn, 3), "runs_live"),
    "claim only": (lambda conn: claim(conn, 3, only=frozenset({1, 2})), "runs"),
    "next_wake": (runs.next_wake, "runs_live"),
    "queue_depth": (history.queue_depth, "runs_"),
    "unfinished": (lambda conn: history.unfinished(conn, [1, 2]), "runs"),
    "last": (history.runs, "runs"),
    "pipeline": (lambda conn: history.runs(conn, pipeline="a", before_id=9), "runs_by_pipeline"),
    "over": (lambda conn: history.runs(conn, state=RunState.FAILED), "runs_over"),
    "live": (lambda conn: history.runs(conn, state=RunState.RUNNING), "runs_live"),
    "both": (lambda conn: history.runs(conn, state=RunState.FAILED, pipeline="a"), "runs_over_by_pipeline"),
    "schedule": (lambda conn: history.runs(conn, schedule_id="s"), "runs_by_schedule"),
    "due": (lambda conn: record_due(conn, [due(), due(at=after(1))]), "runs_waiting"),
    "missed": (lambda conn: history.occurrences(conn, outcome=OccurrenceOutcome.MISSED), "occurrences_not_run"),
    "last executed": (history.last_executed, "runs_over_by_pipeline (pipeline=? AND state=?)"),
}


@on_sqlite
@pytest.mark.parametrize("name", ASKED)
def test_no_question_reads_the_whole_past(engine, conn, name):
    """On SQLite, each is answered by an index, without sorting what is over; `last` reads backwards from the end."""
    ask, index = ASKED[name]
    steps = plans(engine, conn, lambda: ask(conn))
    whole = [step for step in steps if step.startswith("SCAN runs") and "runs_live" not in step]
    assert (["SCAN runs"] if name == "last" else []) == whole
    assert (name == "live") == any("TEMP B-TREE FOR ORDER BY" in step for step in steps)  # it goes by priority
    assert any(index in step for step in steps)


def test_a_tally_of_named_pipelines_and_the_rest(conn, past):
    """Ends are counted by pipeline and state for those named, with the last end; all others count together as ''."""
    finish(conn, end(claim(conn)[0], at=after(200)))
    tally = {(name, state): (count, last) for name, state, count, last in history.tally(conn, ["a", "nobody"])}
    assert {
        ("a", RunState.SUCCEEDED): (2, after(200)),
        ("a", RunState.FAILED): (1, after(90)),
        ("", RunState.SUCCEEDED): (1, after(5)),
    } == {key: value for key, value in tally.items() if key[1] is not RunState.MISSED}
    assert 1 == tally["", RunState.MISSED][0]
