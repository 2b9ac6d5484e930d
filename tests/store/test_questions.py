"""Questions about missed runs: one for each job, decided once, and the ledger that follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from pipelines.misfire import ASKED
from pipelines.model import MakeUp, OccurrenceOutcome, RunState
from pipelines.store import face_schema, history, outbox, questions, troubles
from pipelines.store.occurrences import record_due
from pipelines.store.questions import Decide
from tests.store.samples import NOON, after, due

TARGET = "discord:5"


def ask(conn, *seconds, schedule="prices"):
    """Record instants as missed about which people are asked; return the open question."""
    record_due(conn, [due(schedule, after(at), state=RunState.MISSED, reason=ASKED, ask=TARGET) for at in seconds])
    table = face_schema.questions
    found = select(table.c.id).where(table.c.schedule_id == schedule, table.c.choice.is_(None))
    return questions.get(conn, conn.execute(found).scalar_one())


def decide(conn, question, choice, by="ann"):
    """Decide a question, making up runs of the job."""
    (decided,) = questions.decide(conn, [Decide(question.id, choice, after(60), by, replace(due().run, actor=by))])
    return decided


def outcomes(conn):
    """What became of each instant, oldest first: outcome, run, reason."""
    return [(each.outcome.value, each.run_id, each.reason) for each in reversed(history.occurrences(conn))]


def test_one_question_for_each_job(conn):
    """However many instants a job has missed, in however many goes: one question, one message, that has them all."""
    first = ask(conn, 1, 2)
    again = ask(conn, 3)
    other = ask(conn, 1, schedule="sales")
    assert (first.id, 3) == (again.id, len(again.instants))
    assert other.id != first.id
    letter = outbox.find(conn, f"question:{first.id}")
    assert (TARGET, "question") == (letter.target, letter.kind)
    assert {TARGET: 2} == outbox.waiting(conn)


def test_what_is_asked_about_is_no_incident(conn):
    """The question is what people are told: a missed run that is asked about opens no incident."""
    ask(conn, 1)
    assert [] == troubles.standing(conn)
    record_due(conn, [due(at=after(9), state=RunState.MISSED, reason="down")])
    assert 1 == len(troubles.standing(conn))


@pytest.mark.parametrize(("choice", "expected"), [(MakeUp.ALL, [1, 2, 3]), (MakeUp.LATEST, [3]), (MakeUp.SKIP, [])])
def test_a_choice_makes_runs(conn, choice, expected):
    """`all` queues a run of each instant, `latest` of the newest, `skip` none; each has its instant."""
    decided = decide(conn, ask(conn, 1, 2, 3), choice)
    assert [after(at) for at in expected] == [run.due_at for run in decided.runs]
    assert {("prices", RunState.QUEUED, "ann")} >= {(run.schedule_id, run.state, run.actor) for run in decided.runs}
    ran = [each.due_at for each in history.occurrences(conn, outcome=OccurrenceOutcome.RUN)]
    assert [after(at) for at in expected] == sorted(ran)
    assert 3 == len(history.occurrences(conn))


def test_what_is_left_says_why(conn):
    """The occurrence of a run that is made up names it; the others say who left them out."""
    decided = decide(conn, ask(conn, 1, 2), MakeUp.LATEST)
    (run,) = decided.runs
    missed, made = outcomes(conn)
    assert ("missed", "ann had only the latest one run") == (missed[0], missed[2])
    assert ("run", run.id, None) == made


def test_the_first_answer_counts(conn):
    """A later answer changes nothing, and sees who decided what."""
    question = ask(conn, 1, 2)
    assert decide(conn, question, MakeUp.ALL).first
    before = outcomes(conn)
    late = decide(conn, question, MakeUp.SKIP, by="bo")
    assert (False, MakeUp.ALL, "ann", ()) == (late.first, late.question.choice, late.question.decided_by, late.runs)
    assert before == outcomes(conn)
    assert [None] == questions.decide(conn, [Decide(99, MakeUp.SKIP, NOON)])


def test_silence_is_no(conn):
    """After 24 hours without an answer a question is closed, and what it was about says so."""
    question = ask(conn, 1)
    assert not questions.overdue(conn, question.expires_at - timedelta(seconds=1))
    assert [0] == questions.expire(conn, [question.expires_at - timedelta(seconds=1)])
    assert questions.overdue(conn, question.expires_at)
    assert [1, 0] == questions.expire(conn, [question.expires_at] * 2)
    assert MakeUp.EXPIRED is questions.get(conn, question.id).choice
    assert "nobody answered within 24 hours whether it should run" == outcomes(conn)[0][2]
    assert question.asked_at + timedelta(hours=24) == question.expires_at
    assert ask(conn, 2).id != question.id


def test_the_ledger_has_what_did_not_run(conn):
    """Missed and skipped instants, the latest first; one that was made up for is in it no more."""
    record_due(conn, [due("sales", after(5), state=RunState.SKIPPED, reason="busy"), due(at=after(6))])
    question = ask(conn, 1, 2)
    assert [after(5), after(2), after(1)] == [each.due_at for each, _ in history.ledger(conn)]
    assert [after(2)] == [each.due_at for each, _ in history.ledger(conn, "prices", 1)]
    decide(conn, question, MakeUp.LATEST)
    assert [after(5), after(1)] == [each.due_at for each, _ in history.ledger(conn)]
