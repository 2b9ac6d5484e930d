"""Leases: who holds a run and until when, on either database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from pipelines.model import RunState, utcnow
from pipelines.store import clock, database, ends, history, leases, runs
from pipelines.store.ends import CancelWaiting
from pipelines.store.leases import HandBack, Kept, Renew, Sweep
from tests.store.conftest import on_postgresql
from tests.store.samples import NOON, after, claim, end, finish, ids, manual

TTL = timedelta(seconds=30)
OVER = timedelta(seconds=-1)


def held(conn, pipeline="prices", *, lease=TTL, owner="here", **more):
    """A run that `owner` has claimed."""
    runs.insert_runs(conn, [manual(pipeline, **more)])
    ((run,),) = runs.claim(conn, [runs.Claim(1, owner, NOON, lease=lease)])
    return run


def states(conn, *given):
    """The states of runs now."""
    return [history.run(conn, each.id).state.value for each in given]


def test_a_claim_is_a_lease_by_the_databases_clock(conn):
    """Whoever claims has the run for the length of a lease, counted by the database's own clock."""
    before = clock.now(conn)
    run = held(conn)
    assert before + TTL <= run.lease_until <= clock.now(conn) + TTL
    assert ("here", timedelta(0)) == (run.owner, max(timedelta(0), abs(utcnow() - before) - timedelta(seconds=5)))


def test_a_lease_is_renewed_by_its_holder_only(conn):
    """The attempt that runs is renewed; one that was replaced, and a run that is over, are lost."""
    run, over = held(conn, lease=OVER), held(conn, "over")
    finish(conn, end(over))
    wishes = [Renew(run.id, 1, TTL), Renew(run.id, 2, TTL), Renew(over.id, 1, TTL), Renew(10**9, 1, TTL)]
    assert [Kept(), None, None, None] == leases.renew(conn, wishes)
    assert history.run(conn, run.id).lease_until > clock.now(conn)


@on_postgresql
def test_a_renewal_waits_for_nobody(engine):
    """A run that another transaction holds is not renewed, and not lost either; the others are renewed."""
    with database.writing(engine).begin() as conn:
        taken, free = held(conn, "taken", lease=OVER), held(conn, "free", lease=OVER)
    with engine.connect() as other, database.writing(engine).begin() as conn:
        other.execute(text("SELECT id FROM runs WHERE id = :id FOR UPDATE"), {"id": taken.id})
        assert [Kept(renewed=False), Kept()] == leases.renew(conn, [Renew(taken.id, 1, TTL), Renew(free.id, 1, TTL)])
        assert history.run(conn, taken.id).lease_until < clock.now(conn) < history.run(conn, free.id).lease_until


def test_a_sweep_takes_up_only_what_is_not_renewed(conn):
    """A run whose lease is over is queued again as its next attempt; one whose holder renews it is left alone."""
    gone, kept = held(conn, "gone", lease=OVER, max_attempts=2), held(conn, "kept")
    (swept,) = leases.sweep(conn, [Sweep(after(9))])
    assert [(gone.id, RunState.QUEUED, "here")] == [(each.run_id, each.state, each.owner) for each in swept]
    assert ["queued", "running"] == states(conn, gone, kept)
    assert [("crashed", leases.DIED, after(9))] == [
        (each.state.value, each.reason, each.ended_at) for each in history.attempts(conn, gone.id)
    ]
    assert [None] == leases.renew(conn, [Renew(gone.id, 1, TTL)])
    (again,) = claim(conn)
    assert (gone.id, 2) == (again.id, again.attempt)
    assert [False] == finish(conn, end(gone))
    assert [[]] == leases.sweep(conn, [Sweep(after(10))])


def test_a_process_that_is_known_to_be_dead_is_not_waited_for(conn):
    """Its runs are taken up although their leases are not over."""
    dead, alive = held(conn, "a", owner="dead", max_attempts=2), held(conn, "b", owner="alive", max_attempts=2)
    (swept,) = leases.sweep(conn, [Sweep(NOON, dead=frozenset({"dead"}))])
    assert [dead.id] == [each.run_id for each in swept]
    assert ["queued", "running"] == states(conn, dead, alive)


@pytest.mark.parametrize(
    ("more", "wished", "becomes"),
    [
        ({"max_attempts": 3}, None, "queued"),
        ({"max_attempts": 1}, None, "crashed"),
        ({"max_attempts": 3, "at_most_once": True}, None, "crashed"),
        ({"max_attempts": 3}, "enough", "cancelled"),
    ],
)
def test_what_becomes_of_a_run_whose_holder_died(conn, more, wished, becomes):
    """It is tried again if an attempt is left, unless it may run once only or was to be cancelled."""
    run = held(conn, lease=OVER, **more)
    if wished:
        assert [True] == ends.wish_cancel(conn, [CancelWaiting(run.id, wished, NOON)])
    leases.sweep(conn, [Sweep(NOON)])
    assert [becomes] == states(conn, run)


def test_a_wish_to_cancel_reaches_the_holder_with_its_lease(conn):
    """Should the signal be lost, the renewal brings it; the first reason stays, and what waits takes no wish."""
    run, waiting = held(conn), runs.insert_runs(conn, [manual("other")])[0]
    wishes = [CancelWaiting(run.id, "first", NOON), CancelWaiting(run.id, "second", NOON)]
    assert [True, True, False] == ends.wish_cancel(conn, [*wishes, CancelWaiting(waiting.id, "no", NOON)])
    assert [Kept("first")] == leases.renew(conn, [Renew(run.id, 1, TTL)])


def test_a_run_that_is_handed_back_runs_again_and_loses_no_attempt(conn):
    """It waits as before, the attempt cut short does not count, and its holder holds it no more."""
    run = held(conn, max_attempts=1)
    wish = HandBack(run.id, 1, after(5), "the service was stopped")
    assert [RunState.QUEUED, None] == leases.hand_back(conn, [wish, wish])
    now = history.run(conn, run.id)
    assert ("queued", None, None, 2) == (now.state.value, now.owner, now.lease_until, now.max_attempts)
    assert [False] == finish(conn, end(run))
    assert [("cancelled", "the service was stopped")] == [
        (each.state.value, each.reason) for each in history.attempts(conn, run.id)
    ]
    assert [run.id] == ids(claim(conn))


def test_a_run_that_may_run_once_only_is_not_handed_back(conn):
    """Its stages may have begun: it ends as cancelled, and so does one that was to be cancelled."""
    once, wished = held(conn, "once", at_most_once=True), held(conn, "wished")
    ends.wish_cancel(conn, [CancelWaiting(wished.id, "enough", NOON)])
    wishes = [HandBack(each.id, 1, NOON, "stopped") for each in (once, wished)]
    assert [RunState.CANCELLED, RunState.CANCELLED] == leases.hand_back(conn, wishes)
    assert ["stopped", "enough"] == [history.run(conn, each.id).reason for each in (once, wished)]


def test_a_run_of_which_nothing_began_is_handed_back_even_if_it_may_run_once_only(conn):
    """It is queued for another attempt; one that was to be cancelled is cancelled all the same."""
    once, wished = held(conn, "once", at_most_once=True, max_attempts=1), held(conn, "wished")
    ends.wish_cancel(conn, [CancelWaiting(wished.id, "enough", NOON)])
    wishes = [HandBack(each.id, 1, NOON, "too late", begun=False) for each in (once, wished)]
    assert [RunState.QUEUED, RunState.CANCELLED] == leases.hand_back(conn, wishes)
    assert [(once.id, 2)] == [(each.id, each.attempt) for each in claim(conn)]


def test_higher_priority_starts_first_and_age_decides_among_equals(conn):
    """Of the runs that wait, whoever has the higher priority is claimed first, also beyond a page of others."""
    made = runs.insert_runs(conn, [manual(f"p{number}") for number in range(30)])
    low, high = runs.insert_runs(conn, [manual("low", priority=-5), manual("high", priority=5)])
    assert [high.id, made[0].id, made[1].id] == ids(claim(conn, 3))
    assert [each.id for each in made[2:]] + [low.id] == ids(claim(conn, 100))


def test_a_claim_keeps_to_its_queues_and_versions(conn):
    """Runs of other queues, and those that need another version, are left to others."""
    plain, gpu = runs.insert_runs(conn, [manual("a"), manual("b", queue="gpu")])
    conn.exec_driver_sql(f"UPDATE runs SET version = 'v2' WHERE id = {gpu.id}")
    here = {"a": "v1", "b": "v1"}.get
    assert [[]] == runs.claim(conn, [runs.Claim(9, "x", NOON, queues=frozenset({"gpu"}), versions=here)])
    (found,) = runs.claim(conn, [runs.Claim(9, "x", NOON, versions=here)])
    assert [plain.id] == ids(found)
    (found,) = runs.claim(conn, [runs.Claim(9, "x", NOON, queues=frozenset({"gpu"}), versions={"b": "v2"}.get)])
    assert [gpu.id] == ids(found)


def test_a_limit_for_all_machines_counts_what_runs_anywhere(conn):
    """However many places a claimer has, no more run at once than the limit in all says."""
    runs.insert_runs(conn, [manual(f"p{number}") for number in range(5)])
    assert 2 == len(claim(conn, 2))
    (more,) = runs.claim(conn, [runs.Claim(5, "elsewhere", NOON, in_all=3)])
    assert 1 == len(more)
    assert [[]] == runs.claim(conn, [runs.Claim(5, "elsewhere", NOON, in_all=3)])
