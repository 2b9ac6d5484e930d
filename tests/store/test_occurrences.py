"""Each due instant becomes one run, or is told of, exactly once."""

from __future__ import annotations

import pytest

from pipelines.model import OccurrenceOutcome, RunState, ScheduleState
from pipelines.store import database, history, occurrences, runs, schedules
from pipelines.store.occurrences import record_due
from pipelines.store.schedules import SetState
from tests.store.samples import NOON, after, claim, due, manual, schedule


def outcomes(conn):
    """What became of the instants, oldest first."""
    return [(each.outcome, each.run_id, each.reason) for each in reversed(history.occurrences(conn))]


def test_a_due_instant_becomes_a_queued_run(conn):
    """The run and its occurrence are there, and name each other."""
    (run,) = record_due(conn, [due()])
    assert (RunState.QUEUED, "prices", NOON) == (run.state, run.schedule_id, run.due_at)
    assert run == history.run(conn, run.id)
    assert [(OccurrenceOutcome.RUN, run.id, None)] == outcomes(conn)


def test_the_second_who_fires_gets_nothing(conn):
    """An instant that was recorded before is not recorded again, nor is its run."""
    (run,) = record_due(conn, [due()])
    assert [None] == record_due(conn, [due()])
    assert [run.id] == [each.id for each in history.runs(conn)]


def test_a_double_in_one_call_counts_once(conn):
    """Also within one call, an instant runs once."""
    first, second = record_due(conn, [due(), due()])
    assert (True, None) == (first is not None, second)


def test_two_at_once_get_one_run_between_them(engine):
    """Of two transactions that record the same instants at the same time, each instant goes to one."""
    dues = [due(f"s{n}") for n in range(50)]
    with database.writing(engine).begin() as one:
        first = record_due(one, dues[:30])
    with database.writing(engine).begin() as two:
        second = record_due(two, dues)
    assert [None] * 30 == second[:30]
    assert (30, 20) == (sum(r is not None for r in first), sum(r is not None for r in second))


def test_nothing_is_made_up_for_that_a_schedule_has_given_up(conn):
    """Whoever has not heard of a pause, or slept through it, records nothing of it, however late it comes."""
    schedules.add(conn, [schedule(last_due_at=NOON)])
    job = due().run.schedule_id
    schedules.set_state(conn, [SetState(job, ScheduleState.PAUSED, after(60))])
    assert [None] == record_due(conn, [due(at=after(60))])
    schedules.set_state(conn, [SetState(job, ScheduleState.ACTIVE, after(180))])
    late, new = record_due(conn, [due(at=after(120)), due(at=after(240))])
    assert (None, after(240)) == (late, new.due_at)
    assert after(240) == schedules.get(conn, job).last_due_at


@pytest.mark.parametrize("state", [RunState.MISSED, RunState.SKIPPED])
def test_what_does_not_start_is_told_with_its_reason(conn, state):
    """A missed or skipped instant is a run that is over, with a reason, and is counted."""
    (run,) = record_due(conn, [due(state=state, reason="the machine slept")])
    assert (state, "the machine slept", True) == (run.state, run.reason, run.ended_at is not None)
    assert run == history.run(conn, run.id)
    assert [(OccurrenceOutcome(state.value), run.id, "the machine slept")] == outcomes(conn)
    (stats,) = history.stats(conn)
    assert (0, 1) == (stats.executed, stats.missed + stats.skipped)


def test_one_run_of_a_schedule_waits_and_further_ones_are_skipped(conn):
    """While a run of the schedule is queued, the next is recorded as skipped and says behind which."""
    (first,) = record_due(conn, [due()])
    (second,) = record_due(conn, [due(at=after(60))])
    why = f"run #{first.id} of this schedule is still waiting"
    assert (RunState.SKIPPED, why) == (second.state, second.reason)
    assert second == history.run(conn, second.id)
    assert (OccurrenceOutcome.SKIPPED, second.id, why) == outcomes(conn)[1]


def test_one_waits_behind_a_running_one(conn):
    """A run that has started waits no longer, so the next may."""
    record_due(conn, [due()])
    claim(conn)
    (second,) = record_due(conn, [due(at=after(60))])
    assert RunState.QUEUED == second.state


def test_the_rule_holds_within_one_call(conn):
    """Of three instants of one schedule in one call, one run waits."""
    made = record_due(conn, [due(), due(at=after(60)), due("other"), due(at=after(120))])
    assert ["queued", "skipped", "queued", "skipped"] == [run.state for run in made]


def test_a_loser_makes_nobody_wait(conn):
    """An instant that was recorded before does not count as the one that waits."""
    record_due(conn, [due()])
    claim(conn)
    lost, won = record_due(conn, [due(), due(at=after(60))])
    assert (None, RunState.QUEUED) == (lost, won.state)


def test_replays_wait_in_line(conn):
    """What is made up for after a pause runs in full, one after the other."""
    made = record_due(conn, [due(at=after(n), replay=True) for n in range(3)])
    assert ["queued"] * 3 == [run.state for run in made]


def test_manual_runs_do_not_count_as_waiting(conn):
    """A run that somebody asked for does not make a schedule's run a skipped one."""
    runs.insert_runs(conn, [manual()])
    (run,) = record_due(conn, [due()])
    assert RunState.QUEUED == run.state


def test_the_schedule_remembers_the_newest_instant(conn):
    """The newest handled instant moves forward, whatever becomes of it, and never back."""
    schedules.add(conn, [schedule(last_due_at=NOON)])
    record_due(conn, [due(at=after(120), state=RunState.MISSED, reason="late"), due(at=after(60))])
    assert after(120) == schedules.get(conn, "prices").last_due_at
    record_due(conn, [due(at=after(30))])
    assert after(120) == schedules.get(conn, "prices").last_due_at


def test_a_due_run_must_name_its_schedule(conn):
    """A run without a schedule or an instant, or in another state, is a mistake of the caller's."""
    with pytest.raises(ValueError, match="needs a schedule"):
        record_due(conn, [occurrences.Due(manual())])
    with pytest.raises(ValueError, match="needs a schedule"):
        record_due(conn, [due(state=RunState.RUNNING)])


def test_slices_come_back_in_their_shape(conn):
    """Several callers' slices are recorded at once and answered each by itself."""
    found = occurrences.record_slices(conn, [[due("a"), due("b")], [], [due("a")]])
    assert [[True, True], [], [False]] == [[run is not None for run in each] for each in found]


def test_a_large_burst_is_recorded_whole(conn):
    """Thousands of schedules due at once become as many runs, in their order."""
    made = record_due(conn, [due(f"s{n}") for n in range(2_500)])
    assert [f"s{n}" for n in range(2_500)] == [run.schedule_id for run in made]
    assert 2_500 == history.queue_depth(conn)
