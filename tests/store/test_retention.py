"""What is too old goes in small slices; what is still in use stays, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import event, func, insert, select, text

from pipelines.model import RunState
from pipelines.store import leavings, retention
from pipelines.store.face_schema import audit, cards, incidents, questions
from pipelines.store.retention import ROWS, Age, Old
from pipelines.store.schema import attempts, logs, occurrences, outbox, runs, stages
from tests.store.conftest import on_sqlite
from tests.store.samples import NOON, after

DAY = timedelta(days=1)
AGE = Age(NOON - 30 * DAY, NOON)


def a_run(conn, number: int, *, days: float = 90, state: RunState = RunState.SUCCEEDED, **more) -> int:
    """A run that was asked for and over so many days before noon, with an attempt and a stage."""
    at = NOON - days * DAY
    row = {"id": number, "pipeline": "prices", "started_by": "manual", "params": {}, "state": state.value}
    row |= {"queued_at": at, "ended_at": at if state.final else None}
    conn.execute(insert(runs), row | more)
    conn.execute(insert(attempts), {"run_id": number, "number": 1, "state": state.value, "started_at": at})
    stage = {"run_id": number, "attempt": 1, "position": 0, "name": "s", "items_in": 0, "items_out": 0, "busy_s": 0}
    conn.execute(insert(stages), stage)
    return number


def lines(conn, run_id: int, count: int) -> None:
    """Lines of a run."""
    line = {"run_id": run_id, "at": NOON, "level": 20, "source": "s", "text": "t"}
    conn.execute(insert(logs), [line | {"seq": seq} for seq in range(1, count + 1)])


def a_message(conn, key: str, *, state: str = "sent", **more) -> None:
    """A message of 90 days ago."""
    row = {"target": "discord:1", "kind": "message", "dedupe_key": key, "body": {}, "state": state}
    conn.execute(insert(outbox), row | {"created_at": NOON - 90 * DAY} | more)


def an_incident(conn, pipeline: str = "prices", *, told: int = 1, **more) -> None:
    """An incident of 90 days ago, of which people know."""
    at = NOON - 90 * DAY
    row = {"pipeline": pipeline, "kind": "failure", "opened_at": at, "last_at": at, "count": 1, "summary": "no"}
    conn.execute(insert(incidents), row | {"version": 1, "told": told} | more)


def a_card(conn, run_id: int, state: str, message_id: str = "1") -> None:
    """A card of 90 days ago."""
    row = {"message_id": message_id, "channel_id": "1", "run_id": run_id, "state": state}
    conn.execute(insert(cards), row | {"created_at": NOON - 90 * DAY})


def a_question(conn, schedule: str, **more) -> None:
    """A question of 90 days ago about instants of a schedule."""
    at = NOON - 90 * DAY
    row = {"schedule_id": schedule, "pipeline": "prices", "target": "discord:1", "instants": []}
    conn.execute(insert(questions), row | {"asked_at": at, "expires_at": at} | more)


def count(conn, table) -> int:
    return conn.execute(select(func.count()).select_from(table)).scalar_one()


def swept(conn, find, erase, age: Age = AGE) -> list[int]:
    """Find and erase all that is old; return how many rows went in each slice."""
    then, sizes = (), []
    while True:
        page = find(conn, age, *then)
        done = not page.keys
        while not done:
            (erased,) = erase(conn, [Old(page.keys, age.before)])
            sizes.append(erased.rows)
            done = erased.done
        if page.then is None:
            return sizes
        then = (page.then,)


def runs_left(conn, age: Age = AGE) -> list[int]:
    """Sweep runs and return the ids of those that stay."""
    swept(conn, retention.old_runs, retention.erase_runs, age)
    return list(conn.execute(select(runs.c.id).order_by(runs.c.id)).scalars())


def test_old_runs_go_with_their_parts(conn):
    """Runs that were over before the instant go with attempts, stages and lines; the younger stay."""
    for number in (1, 2, 3):
        a_run(conn, number)
        lines(conn, number, 3)
    a_run(conn, 4, days=29)
    lines(conn, 4, 3)
    assert [4] == runs_left(conn)
    assert [1, 1, 3] == [count(conn, table) for table in (attempts, stages, logs)]


@pytest.mark.parametrize("state", [state for state in RunState if not state.final])
def test_live_runs_stay(conn, state):
    """A run that waits or goes on stays, however old."""
    a_run(conn, 1, state=state)
    a_run(conn, 2, days=1)
    assert [1, 2] == runs_left(conn)


def test_a_run_that_waited_long_counts_from_its_end(conn):
    """Asked for long ago, over yesterday: it stays."""
    a_run(conn, 1, ended_at=NOON - DAY)
    a_run(conn, 2, days=1)
    assert [1, 2] == runs_left(conn)


def test_the_newest_executed_run_of_a_pipeline_stays(conn):
    """However old, a pipeline keeps the run that was executed last, behind ones that were only skipped as well."""
    a_run(conn, 1)
    a_run(conn, 2, state=RunState.FAILED)
    a_run(conn, 3, state=RunState.SKIPPED)
    a_run(conn, 4, pipeline="other")
    assert [2, 4] == runs_left(conn)


def test_runs_that_are_named_stay(conn):
    """Runs stay that an open or untold incident, a card, or a message that waits names."""
    for number in range(1, 9):
        a_run(conn, number)
    a_run(conn, 9, days=1)
    an_incident(conn, first_run_id=1, last_run_id=2)
    an_incident(conn, "untold", first_run_id=3, closed_at=NOON - 80 * DAY, told=0)
    an_incident(conn, "over", first_run_id=4, last_run_id=5, closed_at=NOON - 80 * DAY)
    a_card(conn, 6, "live")
    a_message(conn, "a", run_id=7, state="queued")
    a_message(conn, "b", run_id=8)
    assert [1, 2, 3, 6, 7, 9] == runs_left(conn)
    assert 2 == count(conn, outbox)


def test_what_a_question_is_about_stays(conn):
    """While a question is open, runs and instants of its schedule stay; decided ones go, and hold nothing."""
    for number, name in enumerate(("open", "decided", None), start=1):
        a_run(conn, number, schedule_id=name, state=RunState.MISSED)
    rows = [
        {"schedule_id": name, "due_at": NOON - days * DAY, "outcome": "missed"}
        for name in ("open", "decided")
        for days in (90, 80)
    ]
    conn.execute(insert(occurrences), rows)
    a_question(conn, "open")
    a_question(conn, "decided", decided_at=NOON - 89 * DAY)
    assert [1] == runs_left(conn)
    retention.erase_occurrences(conn, [NOON])
    assert 3 == count(conn, occurrences)
    assert [1] == swept(conn, leavings.old_questions, leavings.erase_questions)
    assert ["open"] == list(conn.execute(select(questions.c.schedule_id)).scalars())


def test_no_slice_is_large(conn):
    """Thousands of lines and many runs go in slices of at most 500 rows."""
    for number in range(1, 301):
        a_run(conn, number)
    lines(conn, 1, 1_700)
    lines(conn, 2, 700)
    a_run(conn, 301, days=1)
    sizes = swept(conn, retention.old_runs, retention.erase_runs)
    assert (2_400 + 900, True) == (sum(sizes), max(sizes) <= ROWS)
    assert [1, 1, 0] == [count(conn, table) for table in (runs, attempts, logs)]


def test_the_walk_ends_where_runs_are_young(conn):
    """A first page without anything old is the last; times in the future, of a wrong clock, are walked over."""
    row = {"pipeline": "p", "started_by": "manual", "params": {}, "state": "succeeded"}
    conn.execute(
        insert(runs), [row | {"id": n, "queued_at": NOON - DAY, "ended_at": NOON - DAY} for n in range(1, 1_101)]
    )
    assert ((), None) == (retention.old_runs(conn, AGE).keys, retention.old_runs(conn, AGE).then)
    conn.execute(runs.update().where(runs.c.id <= 600).values(queued_at=NOON + 9 * DAY))
    assert ROWS == retention.old_runs(conn, AGE).then


def test_runs_beyond_the_number_go(conn):
    """Of each pipeline the newest so many stay, those at work not counted out."""
    a_run(conn, 1, state=RunState.RUNNING)
    for number in range(2, 8):
        a_run(conn, number, days=1)
    a_run(conn, 8, days=1, pipeline="other")
    page = retention.surplus_runs(conn, "prices", 3)
    assert ((1, 2, 3, 4), None) == (page.keys, page.then)
    retention.erase_runs(conn, [Old(page.keys, NOON)])
    assert [1, 5, 6, 7, 8] == list(conn.execute(select(runs.c.id).order_by(runs.c.id)).scalars())
    assert () == retention.surplus_runs(conn, "other", 3).keys
    assert ["other", "prices", None] == [retention.next_pipeline(conn, name) for name in ("", "other", "prices")]


def test_lines_go_before_their_runs(conn):
    """Lines of old runs go, the runs stay; those of younger ones, of live ones and of trouble that is open stay."""
    for number in (1, 2):
        a_run(conn, number)
    a_run(conn, 3, state=RunState.RUNNING)
    a_run(conn, 4, days=1)
    for number in (1, 2, 3, 4):
        lines(conn, number, 600)
    an_incident(conn, last_run_id=2)
    sizes = swept(conn, retention.old_logs, retention.erase_logs)
    assert (600, True) == (sum(sizes), max(sizes) <= ROWS)
    assert [2, 3, 4] == list(conn.execute(select(logs.c.run_id).distinct().order_by(logs.c.run_id)).scalars())
    assert 4 == count(conn, runs)


def test_due_instants_follow_their_runs(conn):
    """An old instant goes once its run is gone; of each schedule the newest stays."""
    a_run(conn, 1)
    instants = [("a", 90, 7), ("a", 80, 1), ("a", 70, 8), ("a", 1, 9), ("b", 90, 5), ("b", 80, 6)]
    rows = [
        {"schedule_id": name, "due_at": NOON - days * DAY, "outcome": "run", "run_id": run_id}
        for name, days, run_id in instants
    ]
    conn.execute(insert(occurrences), rows)
    (erased,) = retention.erase_occurrences(conn, [AGE.before])
    assert (3, True) == (erased.rows, erased.done)
    assert [1, 6, 9] == sorted(conn.execute(select(occurrences.c.run_id)).scalars())


def test_old_messages_go(conn):
    """Delivered, dead and expired ones go; one that waits, or may still be edited, stays."""
    for state in ("sent", "dead", "expired", "queued", "sending"):
        a_message(conn, state, state=state)
    a_message(conn, "shown", sent_at=NOON - 90 * DAY)
    a_message(conn, "edited")
    a_message(conn, "late", sent_at=NOON - DAY)
    a_message(conn, "edit", state="queued", body={"edits": "edited"})
    an_incident(conn, message_key="shown")
    a_message(conn, "young", created_at=NOON - DAY)
    assert [3] == swept(conn, leavings.old_messages, leavings.erase_messages)
    left = sorted(conn.execute(select(outbox.c.dedupe_key)).scalars())
    assert ["edit", "edited", "late", "queued", "sending", "shown", "young"] == left


def test_old_cards_audit_and_incidents_go(conn):
    """Cards that follow nothing any more, what was asked for long ago, and trouble that is over and told."""
    a_card(conn, 1, "live")
    a_card(conn, 1, "over", "2")
    a_card(conn, 1, "gone", "3")
    assert [2] == swept(conn, leavings.old_cards, leavings.erase_cards)
    asked = {"actor_id": "discord:1", "actor": "ann", "door": "discord", "place": {}, "verb": "run", "detail": {}}
    conn.execute(insert(audit), [asked | {"allowed": True, "at": at} for at in (NOON - 90 * DAY, after(0))])
    assert ([1], 1) == (swept(conn, leavings.old_audit, leavings.erase_audit), count(conn, audit))
    an_incident(conn, "open")
    an_incident(conn, "over", closed_at=NOON - 80 * DAY)
    an_incident(conn, "lately", closed_at=NOON - DAY)
    an_incident(conn, "untold", closed_at=NOON - 80 * DAY, told=0)
    assert [1] == swept(conn, leavings.old_incidents, leavings.erase_incidents)
    assert {"open", "lately", "untold"} == set(conn.execute(select(incidents.c.pipeline)).scalars())


@on_sqlite
def test_no_slice_reads_a_whole_table(conn):
    """On SQLite what runs inside a write is served by indexes: nothing walks over all runs, lines or instants."""
    said = []
    event.listen(conn, "before_cursor_execute", lambda *told: said.append(told[2:4]))
    a_run(conn, 1)
    a_run(conn, 2, days=1)
    said.clear()
    retention.erase_runs(conn, [Old([1], NOON)])
    retention.erase_logs(conn, [Old([1], NOON)])
    retention.erase_occurrences(conn, [NOON])
    plans = [row[3] for one, values in tuple(said) for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", values)]
    assert len(plans) > 10
    assert [] == [step for step in plans if step.startswith(("SCAN runs", "SCAN logs", "SCAN occurrences"))]


def test_settling_is_harmless(engine):
    """The write-ahead log is moved into the file without a transaction of its own; elsewhere nothing happens."""
    with engine.connect() as conn:
        retention.settle(conn)
        assert 0 == conn.execute(text("SELECT count(*) FROM runs")).scalar_one()
