"""A schedule that is due while a run of its own waits or goes on: each policy, on both databases."""

from __future__ import annotations

import pytest

from pipelines.model import NewRun, OccurrenceOutcome, Overlap, RunState, StartedBy
from pipelines.store import ends, history, overlaps, runs
from pipelines.store.occurrences import Due, record_due
from tests.store.samples import NOON, after, claim, end, finish, ids, manual

OTHERS = [Overlap.QUEUE, Overlap.SKIP, Overlap.QUEUE_ALL, Overlap.CANCEL_RUNNING]


def due(overlap: Overlap, seconds: float = 0, schedule: str = "prices", **more: object) -> Due:
    """An instant of a schedule with this policy, whose pipeline may have three runs at a time."""
    new = NewRun(
        pipeline="prices",
        started_by=StartedBy.SCHEDULE,
        schedule_id=schedule,
        due_at=after(seconds),
        max_attempts=2,
        max_instances=3,
        lane=None if overlap is Overlap.ALLOW else schedule,
    )
    return Due(new, overlap=overlap, **more)


def states(made):
    """The states of what was recorded."""
    return [run.state.value for run in made]


def test_skip_lets_none_wait_behind_one_that_runs(conn):
    """While a run of the schedule goes on, the next is recorded as skipped and says which one still runs."""
    (first,) = record_due(conn, [due(Overlap.SKIP)])
    claim(conn)
    (second,) = record_due(conn, [due(Overlap.SKIP, 60)])
    why = f"run #{first.id} still runs"
    assert (RunState.SKIPPED, why, second.queued_at) == (second.state, second.reason, second.ended_at)
    assert second == history.run(conn, second.id)
    (newest, _) = history.occurrences(conn)
    assert (OccurrenceOutcome.SKIPPED, second.id, why) == (newest.outcome, newest.run_id, newest.reason)


def test_skip_lets_none_wait_behind_one_between_attempts(conn):
    """A run that waits for its next attempt still runs, as far as skipping goes."""
    (first,) = record_due(conn, [due(Overlap.SKIP)])
    (running,) = claim(conn)
    finish(conn, end(running, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(900)))
    (second,) = record_due(conn, [due(Overlap.SKIP, 60)])
    assert f"run #{first.id} still runs" == second.reason


def test_skip_lets_none_wait_behind_one_that_waits(conn):
    """While a run of the schedule is queued, the next is skipped, replays too."""
    made = record_due(conn, [due(Overlap.SKIP, n, replay=True) for n in range(3)])
    assert ["queued", "skipped", "skipped"] == states(made)
    assert f"run #{made[0].id} of this schedule is still waiting" == made[2].reason


def test_skip_runs_where_nothing_is_in_the_way(conn):
    """After the end of the last run, and beside runs of other schedules and people, the next is queued."""
    record_due(conn, [due(Overlap.SKIP), due(Overlap.SKIP, schedule="other")])
    runs.insert_runs(conn, [manual()])
    (running, *_) = claim(conn, 3)
    finish(conn, end(running))
    assert ["queued"] == states(record_due(conn, [due(Overlap.SKIP, 60)]))


@pytest.mark.parametrize("overlap", [Overlap.QUEUE_ALL, Overlap.ALLOW])
def test_all_wait_where_all_may(conn, overlap):
    """With queue_all and with allow, nothing is skipped."""
    record_due(conn, [due(overlap)])
    claim(conn)
    assert ["queued"] * 3 == states(record_due(conn, [due(overlap, n) for n in (1, 2, 3)]))


def test_the_newest_takes_the_place_of_the_others(conn):
    """With cancel_running the newer is queued, and it is known which older ones shall give way."""
    (first,) = record_due(conn, [due(Overlap.CANCEL_RUNNING)])
    claim(conn)
    made = record_due(conn, [due(Overlap.CANCEL_RUNNING, n) for n in (1, 2)])
    assert [("skipped", overlaps.NEWER), ("queued", None)] == [(run.state.value, run.reason) for run in made]
    assert [first.id] == overlaps.older(conn, made[1])
    assert [] == overlaps.older(conn, first)


def test_older_ones_are_those_of_the_schedule_that_are_not_over(conn):
    """Queued, running and between attempts give way; what is over, of another schedule or of people does not."""
    made = record_due(conn, [due(Overlap.ALLOW, n) for n in range(5)])
    record_due(conn, [due(Overlap.ALLOW, schedule="other")])
    runs.insert_runs(conn, [manual()])
    over, again, _ = claim(conn, 3)
    finish(conn, end(over), end(again, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=NOON))
    assert ids(made)[1:4] == overlaps.older(conn, made[4])


@pytest.mark.parametrize("overlap", OTHERS)
def test_one_at_a_time_wherever_it_is_not_allowed(conn, overlap):
    """Whatever max_instances says, a schedule's runs go one at a time, also while one waits for its next attempt."""
    (first,) = record_due(conn, [due(overlap)])
    (running,) = claim(conn, 3)
    second = runs.insert_runs(conn, [due(overlap, 60).run])[0]
    assert [] == claim(conn, 3)
    finish(conn, end(running, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(90)))
    assert [] == claim(conn, 3)
    (again,) = claim(conn, 3, now=after(90))
    assert first.id == again.id
    finish(conn, end(again))
    assert [second.id] == ids(claim(conn, 3))


def test_side_by_side_where_it_is_allowed(conn):
    """With allow, up to max_instances runs of a schedule go on at once."""
    made = record_due(conn, [due(Overlap.ALLOW, n) for n in range(5)])
    assert ids(made)[:3] == ids(claim(conn, 9))


def test_two_schedules_of_a_pipeline_run_side_by_side(conn):
    """One at a time is meant of a schedule: another one of the pipeline, and people, have room beside it."""
    made = record_due(conn, [due(Overlap.QUEUE), due(Overlap.QUEUE, schedule="other")])
    by_hand = runs.insert_runs(conn, [manual(max_instances=3)])
    assert ids([*made, *by_hand]) == ids(claim(conn, 9))


def test_a_cancelled_wait_frees_the_place(conn):
    """When the run that waits for its next attempt is cancelled, the next of its schedule may start."""
    record_due(conn, [due(Overlap.QUEUE_ALL, n) for n in (0, 1)])
    (running,) = claim(conn, 2)
    finish(conn, end(running, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(900)))
    assert [True] == ends.cancel_waiting(conn, [ends.CancelWaiting(running.id, "enough", after(1))])
    assert [running.id + 1] == ids(claim(conn, 2))
