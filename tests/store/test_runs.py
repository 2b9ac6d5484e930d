"""Runs are queued and claimed, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from pipelines.model import NewRun, RunState, StartedBy
from pipelines.store import history, runs
from pipelines.store.runs import Claim
from tests.store.samples import NOON, after, claim, end, finish, ids, manual, started


def test_a_queued_run_is_what_was_asked_for(conn):
    """A run comes back from the database as it came back from the insert, whatever it holds."""
    new = NewRun(
        pipeline="priser på öl",
        started_by=StartedBy.MANUAL,
        params={"shop": "Åhléns", "limit": 3, "nested": {"yes": True, "none": None}},
        actor="anna",
        max_attempts=4,
    )
    (made,) = runs.insert_runs(conn, [new])
    assert (RunState.QUEUED, "anna", 4, new.params) == (made.state, made.actor, made.max_attempts, made.params)
    assert made == history.run(conn, made.id)


def test_runs_come_back_in_the_order_they_were_asked_for(conn):
    """Many runs in one insert get ascending ids in their order."""
    made = runs.insert_runs(conn, [manual(f"p{n}") for n in range(300)])
    assert [f"p{n}" for n in range(300)] == [run.pipeline for run in made]
    assert sorted(ids(made)) == ids(made)


def test_nothing_to_insert_is_fine(conn):
    """No arguments give no results."""
    assert [] == runs.insert_runs(conn, [])


def test_an_id_is_never_given_twice(conn):
    """The id of a run that was deleted is not used again."""
    (first,) = runs.insert_runs(conn, [manual()])
    conn.execute(text("DELETE FROM runs"))
    (second,) = runs.insert_runs(conn, [manual()])
    assert second.id > first.id


def test_a_naive_datetime_is_refused(conn):
    """A time without a zone is an error, not a guess."""
    with pytest.raises(ValueError, match="without a time zone"):
        runs.insert_runs(conn, [manual(due_at=NOON.replace(tzinfo=None))])


def test_a_claimed_run_is_running(conn):
    """A claim gives the run its attempt's number and start."""
    runs.insert_runs(conn, [manual()])
    (run,) = claim(conn)
    assert (RunState.RUNNING, 1, NOON) == (run.state, run.attempt, run.started_at)
    assert run == history.run(conn, run.id)
    assert [(1, RunState.RUNNING, NOON)] == [(a.number, a.state, a.started_at) for a in history.attempts(conn, run.id)]


def test_several_lists_are_queued_at_once(conn):
    """Of lists of runs that are queued in one call, each comes back as a list of its own, in order."""
    made = runs.insert_lists(conn, [[manual("a"), manual("b")], [], [manual("c")]])
    assert [["a", "b"], [], ["c"]] == [[run.pipeline for run in each] for each in made]


def test_the_oldest_are_claimed_first(conn):
    """A claim takes the oldest runs, at most as many as it asks for."""
    made = runs.insert_runs(conn, [manual(f"p{n}") for n in range(5)])
    assert ids(made)[:3] == ids(claim(conn, 3))
    assert ids(made)[3:] == ids(claim(conn, 3))
    assert [] == claim(conn, 3)


def test_a_run_is_claimed_once(conn):
    """Of two claims in one call, each run goes to one."""
    runs.insert_runs(conn, [manual(f"p{n}") for n in range(3)])
    wishes = [Claim(2, "here", NOON), Claim(2, "there", NOON)]
    assert [2, 1] == [len(claimed) for claimed in runs.claim(conn, wishes)]


def test_claims_of_several_workers_in_one_call(conn):
    """Restricted and free claims, of two owners, share what there is without a run going to two."""
    made = runs.insert_runs(conn, [manual(f"p{n}") for n in range(6)])
    last = frozenset({made[5].id, made[0].id})
    wishes = [Claim(1, "a", NOON), Claim(2, "b", NOON, last), Claim(9, "a", NOON), Claim(9, "b", NOON)]
    found = [ids(claimed) for claimed in runs.claim(conn, wishes)]
    assert [[made[0].id], [made[5].id], ids(made)[1:5], []] == found


def test_no_room_is_no_claim(conn):
    """A claim for nothing takes nothing."""
    runs.insert_runs(conn, [manual()])
    assert [] == claim(conn, 0)


def test_a_pipeline_runs_no_more_than_its_limit(conn):
    """A pipeline at its limit waits, and holds up no other."""
    made = runs.insert_runs(conn, [*[manual("a")] * 100, manual("b"), *[manual("c", max_instances=2)] * 3])
    assert [made[0].id, made[100].id, made[101].id, made[102].id] == ids(claim(conn, 10))
    assert [] == claim(conn, 10)


def test_a_place_that_is_freed_is_taken(conn):
    """The next run of a pipeline starts when the one before has ended."""
    first, second = runs.insert_runs(conn, [manual(), manual()])
    (running,) = claim(conn, 2)
    finish(conn, end(running))
    assert [first.id, second.id] == [running.id, *ids(claim(conn, 2))]


def test_a_run_between_attempts_keeps_its_place(conn):
    """While a run waits for its next attempt, no other of its pipeline starts; then it is the one that does."""
    first, _ = runs.insert_runs(conn, [manual(max_attempts=2), manual()])
    (running,) = claim(conn)
    finish(conn, end(running, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(90)))
    assert [] == claim(conn, 2, now=after(89))
    (again,) = claim(conn, 2, now=after(90))
    assert (first.id, 2, NOON, None) == (again.id, again.attempt, again.started_at, again.not_before)


def test_runs_between_attempts_never_block_each_other(conn):
    """Of two that wait in a pipeline whose limit was lowered meanwhile, one goes on."""
    both = started(conn, "a", "a", max_attempts=2, max_instances=2)
    finish(conn, *[end(r, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=NOON) for r in both])
    conn.execute(text("UPDATE runs SET max_instances = 1"))
    assert [both[0].id] == ids(claim(conn, 2))


def test_a_retry_and_a_new_run_share_the_limit(conn):
    """With two places, a run that goes on and a new one start together."""
    first = started(conn, "a", max_attempts=2, max_instances=2)
    finish(conn, end(first[0], RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=NOON))
    made = runs.insert_runs(conn, [manual("a", max_instances=2)] * 2)
    assert [first[0].id, made[0].id] == ids(claim(conn, 5))


def test_a_claim_may_be_restricted(conn):
    """A claim with a set of ids takes no other."""
    made = runs.insert_runs(conn, [manual(f"p{n}") for n in range(50)])
    wanted = frozenset({made[40].id, made[45].id, 10**9})
    assert [made[40].id, made[45].id] == ids(claim(conn, 10, only=wanted))
    assert [] == claim(conn, 10, only=frozenset())


def test_the_next_wake_is_the_earliest_retry(conn):
    """It is known when the next attempt may start."""
    assert runs.next_wake(conn) is None
    both = started(conn, "a", "b", max_attempts=2)
    for run, seconds in zip(both, (90, 30), strict=True):
        finish(conn, end(run, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(seconds)))
    assert after(30) == runs.next_wake(conn)
