"""Schedules match the file, and those that people add stand beside them."""

from __future__ import annotations

from pipelines.model import ScheduleState
from pipelines.store import schedules
from pipelines.store.schedules import SetState, SyncFile
from tests.store.samples import NOON, after, schedule


def sync(conn, *rows, at=NOON):
    """Make the schedules match the file."""
    (found,) = schedules.sync(conn, [SyncFile(rows, at)])
    return found


def test_a_new_schedule_begins_now(conn):
    """It is active and makes up for nothing before now."""
    (row,) = sync(conn, schedule(params={"shop": "a"}))
    assert (ScheduleState.ACTIVE, NOON, NOON, {"shop": "a"}) == (
        row.state,
        row.created_at,
        row.last_due_at,
        row.params,
    )
    assert [row] == schedules.list_all(conn)


def test_an_unchanged_schedule_is_left_alone(conn):
    """A second sync of the same file keeps what was handled."""
    sync(conn, schedule())
    schedules.advance(conn, [("prices", after(60))])
    (row,) = sync(conn, schedule(), at=after(90))
    assert (NOON, after(60)) == (row.created_at, row.last_due_at)
    assert row == schedules.get(conn, "prices")


def test_a_schedule_whose_time_changed_starts_afresh(conn):
    """Another spec or another zone makes up for nothing that was due before."""
    sync(conn, schedule("a"), schedule("b"))
    rows = sync(conn, schedule("a", spec={"every": 60}), schedule("b", timezone="UTC"), at=after(60))
    assert [("a", after(60), {"every": 60}), ("b", after(60), {"cron": "0 6 * * *"})] == [
        (row.id, row.last_due_at, row.spec) for row in rows
    ]
    assert rows == schedules.list_all(conn)


def test_other_changes_keep_the_place_in_time(conn):
    """New words and parameters are stored without losing what is due."""
    sync(conn, schedule())
    (row,) = sync(conn, schedule(words="every morning", params={"x": 1}), at=after(60))
    assert ("every morning", {"x": 1}, NOON) == (row.words, row.params, row.last_due_at)
    assert row == schedules.get(conn, "prices")


def test_a_paused_schedule_stays_paused(conn):
    """The file does not resume what somebody paused, even if it changed."""
    sync(conn, schedule())
    assert [True] == schedules.set_state(conn, [SetState("prices", ScheduleState.PAUSED, NOON)])
    assert [ScheduleState.PAUSED] == [row.state for row in sync(conn, schedule())]
    assert [ScheduleState.PAUSED] == [row.state for row in sync(conn, schedule(spec={"every": 5}))]


def test_an_edited_pause_ends_when_it_was_to_end(conn):
    """A paused schedule that is edited keeps until when and why; one that is taken out and put back has no pause."""
    sync(conn, schedule())
    schedules.set_state(conn, [SetState("prices", ScheduleState.PAUSED, NOON, after(60), "holidays")])
    for again in (False, True):
        (row,) = sync(conn, schedule(spec={"cron": f"{again:d} 7 * * *"}))
        assert (after(60), "holidays") == (row.paused_until, row.pause_reason)
        assert row == schedules.get(conn, "prices")
    sync(conn)
    (row,) = sync(conn, schedule())
    assert (ScheduleState.ACTIVE, None, None) == (row.state, row.paused_until, row.pause_reason)
    assert row == schedules.get(conn, "prices")


def test_a_schedule_that_vanished_is_retired_and_comes_back_afresh(conn):
    """It is kept, not returned, and active again from the moment it reappears."""
    sync(conn, schedule("a"), schedule("b"))
    assert ["a"] == [row.id for row in sync(conn, schedule("a"), at=after(60))]
    assert ["a", "b"] == [row.id for row in schedules.list_all(conn, retired=True)]
    assert ScheduleState.RETIRED == schedules.get(conn, "b").state
    back = sync(conn, schedule("a"), schedule("b"), at=after(120))[1]
    assert (ScheduleState.ACTIVE, after(120)) == (back.state, back.last_due_at)


def test_schedules_of_people_are_none_of_the_files_business(conn):
    """A sync returns them and leaves them alone."""
    schedules.add(conn, [schedule("mine", source="chat")])
    assert [("file", "prices"), ("chat", "mine")] == [
        (row.source, row.id) for row in sorted(sync(conn, schedule()), key=lambda row: row.source, reverse=True)
    ]


def test_the_file_takes_an_id_over(conn):
    """An id that the file now uses is the file's."""
    schedules.add(conn, [schedule(source="chat")])
    assert ["file"] == [row.source for row in sync(conn, schedule())]
    assert [] == sync(conn)


def test_an_id_is_taken_once(conn):
    """Adding a schedule whose id is taken is refused, also within one call."""
    first, second = schedules.add(conn, [schedule("a", source="chat"), schedule("a", source="api")])
    assert ("chat", None) == (first.source, second)
    assert [None] == schedules.add(conn, [schedule("a")])
    assert first == schedules.get(conn, "a")


def test_a_schedule_is_removed(conn):
    """Removing deletes it; one that is not there is told."""
    schedules.add(conn, [schedule("a")])
    assert [True, False] == schedules.remove(conn, ["a", "b"])
    assert schedules.get(conn, "a") is None


def test_resuming_makes_up_for_nothing(conn):
    """A resumed schedule counts as handled up to now; pausing moves nothing."""
    schedules.add(conn, [schedule(last_due_at=NOON)])
    schedules.set_state(conn, [SetState("prices", ScheduleState.PAUSED, after(60))])
    assert NOON == schedules.get(conn, "prices").last_due_at
    schedules.set_state(conn, [SetState("prices", ScheduleState.ACTIVE, after(120))])
    assert (ScheduleState.ACTIVE, after(120)) == (
        schedules.get(conn, "prices").state,
        schedules.get(conn, "prices").last_due_at,
    )
    assert [False] == schedules.set_state(conn, [SetState("nobody", ScheduleState.PAUSED, NOON)])


def test_the_newest_handled_instant_never_goes_back(conn):
    """Advancing to an older instant changes nothing."""
    schedules.add(conn, [schedule(last_due_at=NOON)])
    schedules.advance(conn, [("prices", after(60)), ("prices", after(30))])
    assert after(60) == schedules.get(conn, "prices").last_due_at


def test_an_unknown_schedule_is_none(conn):
    """Nothing is found where nothing is."""
    assert (None, []) == (schedules.get(conn, "x"), schedules.list_all(conn))
