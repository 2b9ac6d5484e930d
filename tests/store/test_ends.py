"""Runs end once, by the attempt that holds them, with all that belongs to the end."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from pipelines.model import (
    CollectionChange,
    Message,
    RunError,
    RunState,
    StageCount,
    StateChange,
)
from pipelines.store import ends, history, leases, runs, state
from pipelines.store.ends import CancelWaiting
from pipelines.store.leases import Sweep
from pipelines.store.schema import outbox
from tests.store.samples import NOON, after, claim, end, finish, ids, manual, started

STAGES = (StageCount(0, "Fetch", 1, 10, 0.5), StageCount(1, "Save", 10, 7, 0.25))
ERROR = RunError("OSError", "disk full\nreally", "Save", "Traceback …")


def test_a_run_that_succeeded_is_over(conn):
    """State, end, counts, stages and the definition's hash are kept."""
    (run,) = started(conn, "prices")
    assert [True] == finish(conn, end(run, stages=STAGES, definition_hash="abc"))
    over = history.run(conn, run.id)
    assert (RunState.SUCCEEDED, after(60), 10, 7, "abc", None) == (
        over.state,
        over.ended_at,
        over.items_in,
        over.items_out,
        over.definition_hash,
        over.error,
    )
    assert list(STAGES) == history.stages(conn, run.id)


def test_a_failure_is_kept_with_run_and_attempt(conn):
    """The error is there for both, with stage and traceback."""
    (run,) = started(conn, "prices")
    finish(conn, end(run, RunState.FAILED, error=ERROR))
    (attempt,) = history.attempts(conn, run.id)
    assert (ERROR, RunState.FAILED, after(60)) == (attempt.error, attempt.state, attempt.ended_at)
    assert (ERROR, RunState.FAILED) == (history.run(conn, run.id).error, history.run(conn, run.id).state)


def test_each_attempt_keeps_its_own_story(conn):
    """A run that failed and then succeeded has both attempts, and no error of its own any more."""
    (run,) = started(conn, "prices", max_attempts=2)
    again = {"next_state": RunState.WAITING_RETRY, "not_before": NOON}
    finish(conn, end(run, RunState.FAILED, error=ERROR, stages=STAGES[:1], **again))
    assert (RunState.WAITING_RETRY, None, NOON, ERROR) == (
        (waiting := history.run(conn, run.id)).state,
        waiting.ended_at,
        waiting.not_before,
        waiting.error,
    )
    (second,) = claim(conn)
    finish(conn, end(second, stages=STAGES))
    assert ["failed", "succeeded"] == [a.state for a in history.attempts(conn, run.id)]
    assert (None, RunState.SUCCEEDED) == (history.run(conn, run.id).error, history.run(conn, run.id).state)
    assert (1, 2) == (len(history.stages(conn, run.id, 1)), len(history.stages(conn, run.id)))


def test_an_end_counts_once(conn):
    """A second end of the same attempt is refused and changes nothing, also within one call."""
    (run,) = started(conn, "prices")
    failed = end(run, RunState.FAILED, error=ERROR)
    assert [True, False] == finish(conn, end(run), failed)
    assert [False] == finish(conn, failed)
    assert RunState.SUCCEEDED == history.run(conn, run.id).state
    assert [(1, 0)] == [(each.succeeded, each.failed) for each in history.stats(conn)]


def test_only_the_attempt_that_runs_may_end_the_run(conn):
    """An attempt that was given up cannot end the run that another attempt holds."""
    (old,) = started(conn, "prices", max_attempts=3)
    leases.sweep(conn, [Sweep(after(1), exclusive=True)])
    (new,) = claim(conn)
    assert [False] == finish(conn, end(old))
    assert (RunState.RUNNING, 2) == (history.run(conn, old.id).state, history.run(conn, old.id).attempt)
    assert [True] == finish(conn, end(new))


def test_a_run_that_is_not_there_cannot_end(conn):
    """An unknown run is not ours, and does not disturb the others."""
    run, other = started(conn, "a", "b")
    finish(conn, end(other))
    conn.exec_driver_sql(f"DELETE FROM runs WHERE id = {other.id}")
    assert [False, True] == finish(conn, end(other), end(run))


def test_state_is_taken_over_from_a_success(conn):
    """Values are replaced, entries put and removed."""
    first, second = (started(conn, "prices")[0] for _ in range(1)), None
    (run,) = first
    put = {"a": 1, "b": None, "c": {"x": [1, "é"]}}
    change = StateChange({"seen": 3, "old": True}, {"items": CollectionChange(put)})
    finish(conn, end(run, change=change))
    assert ({"seen": 3, "old": True}, put) == (
        state.values(conn, "prices"),
        state.lookup(conn, "prices", "items", ["a", "b", "c", "d"]),
    )
    (second,) = started(conn, "prices")
    change = StateChange({"seen": 4}, {"items": CollectionChange({"a": 2}, frozenset({"b", "zzz"}))})
    finish(conn, end(second, change=change))
    assert {"seen": 4} == state.values(conn, "prices")
    assert [("a", 2), ("c", {"x": [1, "é"]})] == state.scan(conn, "prices", "items", "", 10)


@pytest.mark.parametrize("ended_as", [RunState.FAILED, RunState.CANCELLED, RunState.SKIPPED])
def test_nothing_is_taken_over_from_other_ends(conn, ended_as):
    """A run that did not succeed leaves durable state and outbox alone."""
    (run,) = started(conn, "prices")
    change = StateChange({"seen": 3}, {"items": CollectionChange({"a": 1})})
    finish(conn, end(run, ended_as, change=change, messages=(Message("discord:1", "text", {}, "k"),)))
    assert ({}, [], 0) == (
        state.values(conn, "prices"),
        state.scan(conn, "prices", "items", "", 10),
        len(conn.execute(select(outbox)).all()),
    )


def test_messages_of_a_success_are_stored_once(conn):
    """Two messages of the same key are one; other runs' keys are their own."""
    one, two = started(conn, "a", "b")
    hello = Message("discord:1", "text", {"content": "hej"}, "k")
    finish(
        conn, end(one, messages=(hello, hello, Message("log:", "text", {}, "x" * 5000))), end(two, messages=(hello,))
    )
    rows = conn.execute(select(outbox).order_by(outbox.c.id)).all()
    assert [one.id, one.id, two.id] == [row.run_id for row in rows]
    assert (f"run:{one.id}:k", "discord:1", {"content": "hej"}, "queued", 0, after(60)) == (
        rows[0].dedupe_key,
        rows[0].target,
        rows[0].body,
        rows[0].state,
        rows[0].attempts,
        rows[0].created_at,
    )


def test_hostile_text_ends_a_run_all_the_same(conn):
    """NUL characters and lone surrogates in errors, messages, params, keys and values do no harm."""
    bad = "a\x00b\ud800c\ufdd0"
    (run,) = started(conn, bad, params={"x": bad})
    change = StateChange({bad: bad}, {bad: CollectionChange({bad: {"v": bad}, "plain": bad})})
    message = Message(bad, "text", {"content": bad}, bad)
    outcome = {"error": RunError(bad, bad, bad, bad), "reason": bad, "stages": (StageCount(0, bad, 1, 1, 0.0),)}
    assert [True] == finish(conn, end(run, change=change, messages=(message,), **outcome))
    assert ({bad: bad}, {bad: {"v": bad}, "plain": bad}) == (
        state.values(conn, bad),
        state.lookup(conn, bad, bad, [bad, "plain"]),
    )
    over = history.run(conn, run.id)
    assert (bad, {"x": bad}, "a\ufffdb\ufffdc\ufdd0") == (over.pipeline, over.params, over.error.message)


def test_a_queued_run_is_cancelled(conn):
    """It is over, with its reason, and never starts."""
    (run,) = runs.insert_runs(conn, [manual()])
    assert [True, False] == ends.cancel_waiting(conn, [CancelWaiting(run.id, "not today", NOON)] * 2)
    over = history.run(conn, run.id)
    assert (RunState.CANCELLED, "not today", NOON) == (over.state, over.reason, over.ended_at)
    assert [] == claim(conn)


def test_a_run_between_attempts_is_cancelled(conn):
    """A run that waits for its next attempt can be cancelled; its failed attempt stays what it was."""
    (run,) = started(conn, "prices", max_attempts=2)
    finish(conn, end(run, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=NOON))
    assert [True] == ends.cancel_waiting(conn, [CancelWaiting(run.id, "no", NOON)])
    assert [RunState.FAILED] == [a.state for a in history.attempts(conn, run.id)]
    assert (None, None) == (history.run(conn, run.id).not_before, runs.next_wake(conn))


def test_what_runs_or_is_over_is_not_cancelled_as_waiting(conn):
    """Only what waits can be cancelled without asking the one who runs it."""
    one, two = started(conn, "a", "b")
    finish(conn, end(two))
    wishes = [CancelWaiting(run_id, "no", NOON) for run_id in (one.id, two.id, 10**9)]
    assert [False, False, False] == ends.cancel_waiting(conn, wishes)


def test_recovery_queues_again_what_has_attempts_left(conn):
    """Attempts that were running end crashed; their runs are tried again, or end crashed without attempts left."""
    more, last, never = started(conn, "more", "last", "never", max_attempts=2)
    conn.exec_driver_sql(f"UPDATE runs SET max_attempts = 1 WHERE id = {last.id}")
    conn.exec_driver_sql(f"UPDATE runs SET at_most_once = (1 = 1) WHERE id = {never.id}")
    waiting = runs.insert_runs(conn, [manual("waiting")])
    (swept,) = leases.sweep(conn, [Sweep(after(9), exclusive=True)])
    assert [(more.id, "queued"), (last.id, "crashed"), (never.id, "crashed")] == [(s.run_id, s.state) for s in swept]
    states = [history.run(conn, each.id).state for each in (more, last, never, waiting[0])]
    assert ["queued", "crashed", "crashed", "queued"] == states
    assert [(RunState.CRASHED, leases.DIED, after(9))] * 3 == [
        (a.state, a.reason, a.ended_at) for run in (more, last, never) for a in history.attempts(conn, run.id)
    ]
    (again, _) = claim(conn, 5)
    assert (more.id, 2, NOON) == (again.id, again.attempt, again.started_at)


def test_recovery_with_nothing_to_recover(conn):
    """A clean start changes nothing."""
    runs.insert_runs(conn, [manual()])
    assert [[]] == leases.sweep(conn, [Sweep(NOON, exclusive=True)])
    assert 1 == history.queue_depth(conn)


def test_a_run_handed_back_is_queued(conn):
    """An attempt that ends with its run queued leaves it to be claimed again."""
    (run,) = started(conn, "prices", max_attempts=2)
    finish(conn, end(run, RunState.CANCELLED, next_state=RunState.QUEUED))
    assert ids([run]) == ids(claim(conn))
