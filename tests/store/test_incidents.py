"""A pipeline's trouble is opened, counted and closed with the runs that end; mutes count what they hold back."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select

from pipelines.model import Incident, IncidentKind, Mute, RunError, RunState
from pipelines.store import ends, expectations, incidents, leases, occurrences, outbox, runs, tellings, troubles
from pipelines.store.face_schema import incidents as table
from pipelines.store.incidents import Late
from pipelines.store.notes import Note
from pipelines.store.outbox import Post
from pipelines.store.tellings import Mark, Told
from tests.store.samples import NOON, after, claim, due, end, finish, manual, started

ERROR = RunError("OSError", "disk full\nreally", "Save", "Traceback …")


def ended(conn, *states: RunState, pipeline: str = "prices"):
    """Run a pipeline once for each state; the ends are 60 s after noon and a minute apart."""
    made = []
    for minute, state in enumerate(states, start=1):
        (run,) = started(conn, pipeline)
        error = ERROR if state is RunState.FAILED else None
        finish(conn, end(run, state, error=error, at=after(60 * minute)))
        made.append(run)
    return made


def test_a_failure_opens_an_incident(conn):
    """It knows the run, the time and the error's line, and nobody knows of it."""
    (run,) = ended(conn, RunState.FAILED)
    (found,) = troubles.standing(conn)
    assert ("prices", IncidentKind.FAILURE, 1, run.id, run.id) == (
        found.pipeline,
        found.kind,
        found.count,
        found.first_run_id,
        found.last_run_id,
    )
    assert (after(60), after(60), "Save: OSError: disk full", 1, 0) == (
        found.opened_at,
        found.last_at,
        found.summary,
        found.version,
        found.told,
    )


@pytest.mark.parametrize("bad", [RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED])
def test_further_failures_count_and_a_success_closes(conn, bad):
    """One incident goes from the first bad run to the good one; the next failure opens another."""
    first, _, last, good, again = ended(
        conn, RunState.FAILED, bad, RunState.TIMED_OUT, RunState.SUCCEEDED, RunState.FAILED
    )
    closed, found = troubles.opened_since(conn, NOON)[::-1]
    assert (3, first.id, last.id, good.id, after(240)) == (
        closed.count,
        closed.first_run_id,
        closed.last_run_id,
        closed.closing_run_id,
        closed.closed_at,
    )
    assert (1, again.id, [found]) == (found.count, found.first_run_id, troubles.standing(conn))
    assert (after(240), after(300)) == (found.last_success, found.opened_at)


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.SKIPPED])
def test_other_ends_change_nothing(conn, state):
    """What was cancelled or skipped neither opens nor counts nor closes."""
    ended(conn, state)
    assert [] == troubles.changed(conn)
    ended(conn, RunState.FAILED, state)
    (found,) = troubles.standing(conn)
    assert (1, 1) == (found.count, found.version)


def test_an_attempt_that_is_tried_again_is_no_trouble(conn):
    """Only the end of the run counts, not that of an attempt."""
    (run,) = started(conn, "prices", max_attempts=2)
    finish(conn, end(run, RunState.FAILED, error=ERROR, next_state=RunState.WAITING_RETRY, not_before=NOON))
    assert [] == troubles.standing(conn)


def test_many_ends_in_one_transaction_keep_their_order(conn):
    """Of ends that are written together, each moves its own pipeline's incident as if it had come alone."""
    a1, b1, a2, c1 = started(conn, "a", "b", "a", "c", max_instances=9)
    a3, a4 = started(conn, "a", "a", max_instances=9)
    bad, good = RunState.FAILED, RunState.SUCCEEDED
    course = [(a1, bad), (b1, bad), (a2, good), (c1, good), (a3, bad), (a4, bad)]
    finish(conn, *(end(run, state, at=after(run.id)) for run, state in course))
    assert [("a", 2, a3.id), ("b", 1, b1.id)] == sorted(
        (each.pipeline, each.count, each.first_run_id) for each in troubles.standing(conn)
    )
    assert [("a", 1, a2.id)] == [
        (each.pipeline, each.count, each.closing_run_id) for each in troubles.changed(conn) if not each.open
    ]


def test_where_all_goes_well_one_look_is_enough(conn):
    """Runs that succeed cost one question about open incidents, however many they are; so do cancelled ones."""
    made = started(conn, *(f"p{number}" for number in range(20)))
    asked = []
    event.listen(
        conn,
        "before_cursor_execute",
        lambda _c, _x, statement, *_: (
            asked.append(statement) if "incidents" in statement or "mutes" in statement else None
        ),
    )
    finish(conn, *(end(run) for run in made[:10]))
    assert 1 == len(asked)
    finish(conn, *(end(run, RunState.CANCELLED) for run in made[10:]))
    assert 2 == len(asked)


def test_runs_that_died_with_the_service_are_trouble(conn):
    """A run without attempts left that was running when the service died opens an incident as it is recovered."""
    started(conn, "prices")
    leases.sweep(conn, [leases.Sweep(after(5), exclusive=True)])
    (found,) = troubles.standing(conn)
    assert (IncidentKind.FAILURE, leases.DIED, after(5)) == (found.kind, found.summary, found.opened_at)


def test_a_cancelled_waiting_run_is_no_trouble(conn):
    """Cancelling what waits changes nothing."""
    (run,) = runs.insert_runs(conn, [manual()])
    ends.cancel_waiting(conn, [ends.CancelWaiting(run.id, "no", NOON)])
    assert [] == troubles.changed(conn)


def test_missed_instants_open_one_incident(conn):
    """Its count is how many were missed; a success closes it."""
    occurrences.record_due(
        conn, [due(at=after(60 * n), state=RunState.MISSED, reason="the service was down") for n in range(3)]
    )
    (found,) = troubles.standing(conn)
    assert (IncidentKind.MISSED, 3, "the service was down") == (found.kind, found.count, found.summary)
    ended(conn, RunState.SUCCEEDED)
    assert [] == troubles.standing(conn)


def test_graver_trouble_takes_the_place_of_lesser(conn):
    """A failure ends what was missed and begins its own incident; what is missed later does not disturb it."""
    occurrences.record_due(conn, [due(state=RunState.MISSED, reason="down")])
    (run,) = ended(conn, RunState.FAILED)
    missed, failed = troubles.changed(conn)
    assert (run.id, IncidentKind.FAILURE, True) == (missed.closing_run_id, failed.kind, failed.open)
    occurrences.record_due(conn, [due(at=after(9), state=RunState.MISSED, reason="down")])
    assert (1, 1) == ((found := troubles.standing(conn)[0]).count, found.version)


def test_a_run_that_does_not_start_is_late(conn):
    """It is found once it was due long ago, opens an incident once, and its success closes it."""
    (run,) = occurrences.record_due(conn, [due()])
    assert [] == incidents.overdue(conn, after(-1))
    (late,) = incidents.overdue(conn, after(0))
    assert Late(run.id, "prices", NOON) == late
    assert [True, False] == incidents.open_late(conn, [(late, after(900))] * 2)
    assert [False] == incidents.open_late(conn, [(late, after(930))])
    (found,) = troubles.standing(conn)
    assert (IncidentKind.LATE, NOON, after(900), []) == (
        found.kind,
        found.opened_at,
        found.last_at,
        incidents.overdue(conn, after(0)),
    )
    (run,) = claim(conn)
    finish(conn, end(run))
    assert [] == troubles.standing(conn)


def test_what_is_missing_or_slow_opens_an_incident_while_it_is_so(conn):
    """That nothing succeeded meanwhile, and that the run goes on, is asked in the transaction; the graver one stays."""
    ended(conn, RunState.SUCCEEDED)
    (run,) = started(conn, "prices")
    slow = Incident("prices", IncidentKind.SLOW, NOON, after(9), run.id, run.id)
    missing = Incident("prices", IncidentKind.MISSING, NOON, after(9), None, None)
    assert [False] == expectations.open_missing(conn, [(missing, None)])
    assert [True] == expectations.open_slow(conn, [slow])
    assert [True, False] == expectations.open_missing(conn, [(missing, after(60)), (missing, after(60))])
    assert [False] == expectations.open_slow(conn, [slow])
    assert [IncidentKind.MISSING] == [each.kind for each in troubles.standing(conn)]
    assert {"prices": (run.id, after(60))} == expectations.last_of(conn, ["prices", "stock"])


def test_a_run_that_started_meanwhile_is_not_late(conn):
    """Whether it still waits is asked in the transaction that opens the incident."""
    (run,) = occurrences.record_due(conn, [due()])
    claim(conn)
    assert [False] == incidents.open_late(conn, [(Late(run.id, "prices", NOON), after(900))])


def test_a_mute_counts_what_it_holds_back(conn):
    """Trouble is counted until the mute is over; muting again keeps the count."""
    ended(conn, RunState.FAILED)
    incidents.mute(conn, [Mute("prices", after(600), after(70), "ann")])
    assert 2 == troubles.standing(conn)[0].version
    ended(conn, RunState.FAILED, RunState.FAILED)
    incidents.mute(conn, [Mute("prices", None, after(130), "olga")])
    (mute,) = troubles.muted(conn)
    assert (2, "olga", None, False) == (mute.suppressed, mute.actor, mute.until, mute.over(after(10**6)))
    ended(conn, RunState.FAILED, pipeline="other")
    assert 2 == troubles.muted(conn)[0].suppressed


def test_a_mute_ends_in_time_or_with_a_success(conn):
    """One with an end is over then and counts no more; others are after the next success; `unmute` ends any."""
    incidents.mute(conn, [Mute("a", after(60), NOON, "ann"), Mute("b", None, NOON, "ann"), Mute("c", None, NOON, "x")])
    a, b, _ = troubles.muted(conn)
    assert [False, True, False] == [a.over(after(59)), a.over(after(60)), b.over(after(60))]
    ended(conn, RunState.FAILED, pipeline="a")
    assert 0 == troubles.muted(conn)[0].suppressed
    ended(conn, RunState.SUCCEEDED, pipeline="b")
    incidents.unmute(conn, [("c", after(60))])
    assert [True, True] == [mute.over(after(61)) for mute in troubles.muted(conn)[1:]]


def test_somebody_takes_an_incident_up(conn):
    """Their name is kept, and the message is due for a change; a closed one stays as it is."""
    ended(conn, RunState.FAILED)
    (found,) = troubles.standing(conn)
    incidents.acknowledge(conn, [(found.id, "ann")])
    assert ("ann", 2) == ((taken := incidents.get(conn, found.id)).acknowledged_by, taken.version)
    ended(conn, RunState.SUCCEEDED)
    incidents.acknowledge(conn, [(found.id, "olga")])
    assert ("ann", None) == (incidents.get(conn, found.id).acknowledged_by, incidents.get(conn, 10**9))


def test_what_is_told_is_stored_with_its_message(conn):
    """A mark is for one version: an incident that changed meanwhile stays due; renewed mutes stay as well."""
    ended(conn, RunState.FAILED)
    (found,) = troubles.standing(conn)
    incidents.mute(conn, [Mute("prices", after(600), NOON, "ann"), Mute("b", after(600), NOON, "ann")])
    old = troubles.muted(conn)
    incidents.mute(conn, [Mute("prices", after(900), after(1), "ann")])
    post = Post("discord:1", "alert", "incident:1", {"tell": "alert"}, NOON)
    mark = Mark(found.id, found.version, "incident:1", "discord:1")
    tellings.tell(conn, [Told([post], [mark], old, [Note("n", {"a": 1}, NOON)])])
    (still,) = troubles.changed(conn)
    assert ("incident:1", "discord:1", 1, 3) == (still.message_key, still.target, still.told, still.version)
    assert ["prices"] == [mute.pipeline for mute in troubles.muted(conn)]
    assert ({"tell": "alert"}, [still]) == (
        conn.execute(select(outbox.outbox.c.body)).scalar_one(),
        troubles.with_message(conn, ["incident:1"]),
    )
    tellings.tell(conn, [Told(marks=[Mark(found.id, 3)])])
    assert ([], "incident:1") == (troubles.changed(conn), incidents.get(conn, found.id).message_key)


def test_hostile_names_are_followed_like_others(conn):
    """Names with NUL characters and lone surrogates have their incidents and mutes."""
    bad = "a\x00b\ud800c"
    incidents.mute(conn, [Mute(bad, None, NOON, bad)])
    ended(conn, RunState.FAILED, RunState.FAILED, pipeline=bad)
    (found,), (mute,) = troubles.standing(conn), troubles.muted(conn)
    assert (bad, 2, bad, 2) == (found.pipeline, found.count, mute.pipeline, mute.suppressed)
    ended(conn, RunState.SUCCEEDED, pipeline=bad)
    assert 0 == len(conn.execute(select(table).where(table.c.closed_at.is_(None))).all())
