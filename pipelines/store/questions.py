"""Questions about missed runs: asked once for each job, answered once by somebody or by time.

The question, its message in the outbox, and what is decided about the occurrences go in the same transaction each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnClause, Connection, bindparam, insert, literal_column, null, select, update

from pipelines.model import MakeUp, NewRun, OccurrenceOutcome, Question, Run
from pipelines.store import bulk, outbox, runs
from pipelines.store.face_schema import UNDECIDED, questions
from pipelines.store.outbox import Post
from pipelines.store.rows import AnyRow
from pipelines.store.schema import occurrences

WAIT = timedelta(hours=24)
"""So long a question waits for an answer, from its first instant on."""

_OPEN: ColumnClause[Any] = literal_column(f"questions.{UNDECIDED}")
_ONE = select(questions).where(questions.c.id == bindparam("of"))
_OPEN_OF = select(questions).where(questions.c.schedule_id == bindparam("of"), _OPEN)
_NEWEST_OPEN = select(questions).where(_OPEN).order_by(questions.c.id.desc()).limit(bindparam("at_most"))
_OVERDUE = select(questions.c.id).where(_OPEN, questions.c.expires_at <= bindparam("now"))
_ADD = insert(questions).returning(questions.c.id)
_MORE = update(questions).where(questions.c.id == bindparam("of")).values(instants=bindparam("every"))
_DECIDE = (
    update(questions)
    .where(questions.c.id == bindparam("of"), _OPEN)
    .values(choice=bindparam("chosen"), decided_by=bindparam("who"), decided_at=bindparam("now"))
)
_MISSED = select(occurrences.c.due_at).where(
    occurrences.c.schedule_id == bindparam("of"),
    occurrences.c.outcome == OccurrenceOutcome.MISSED.value,
    occurrences.c.due_at >= bindparam("first"),
    occurrences.c.due_at <= bindparam("last"),
)
_OF = (occurrences.c.schedule_id == bindparam("of"), occurrences.c.due_at == bindparam("instant"))
_RUN = (
    update(occurrences).where(*_OF).values(outcome=OccurrenceOutcome.RUN.value, run_id=bindparam("made"), reason=null())
)
_REASON = update(occurrences).where(*_OF).values(reason=bindparam("why"))


@dataclass(frozen=True, slots=True)
class Ask:
    """A wish to ask in `target` about instants that a job of a pipeline has missed."""

    schedule_id: str
    pipeline: str
    target: str
    instants: Sequence[datetime]
    at: datetime


@dataclass(frozen=True, slots=True)
class Decide:
    """What somebody decided; `new` is what a run that is made up looks like, without its instant (None: none is)."""

    question_id: int
    choice: MakeUp
    at: datetime
    by: str | None = None
    new: NewRun | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """The question as it now stands, and the runs made up. `first` is False where it was decided before."""

    question: Question
    runs: Sequence[Run] = ()
    first: bool = True


def ask(conn: Connection, asks: Sequence[Ask]) -> list[int]:
    """Ask, each in one message for a job: a question that is still open is asked about the new instants as well."""
    return [_ask(conn, each) for each in asks]


def decide(conn: Connection, wishes: Sequence[Decide]) -> list[Decided | None]:
    """Decide questions, each once: the first wins. None where there is no such question."""
    return [_decide(conn, wish) for wish in wishes]


def expire(conn: Connection, instants: Sequence[datetime]) -> list[int]:
    """Close what nobody has answered in time, at each of `instants`; return how many those were."""
    closed = []
    for now in instants:
        overdue = list(conn.execute(_OVERDUE, {"now": now}).scalars())
        closed.append(len(decide(conn, [Decide(each, MakeUp.EXPIRED, now) for each in overdue])))
    return closed


def overdue(conn: Connection, now: datetime) -> bool:
    """Tell whether a question has waited too long."""
    return conn.execute(_OVERDUE.limit(1), {"now": now}).first() is not None


def get(conn: Connection, question_id: int) -> Question | None:
    """Return a question, or None."""
    row = conn.execute(_ONE, {"of": question_id}).one_or_none()
    return None if row is None else _question(row)


def open_now(conn: Connection, limit: int) -> list[Question]:
    """Return the questions that nobody has decided, newest first."""
    return [_question(row) for row in conn.execute(_NEWEST_OPEN, {"at_most": limit})]


def _ask(conn: Connection, wish: Ask) -> int:
    row = conn.execute(_OPEN_OF, {"of": wish.schedule_id}).one_or_none()
    before = _question(row) if row is not None else None
    instants = tuple(sorted({*wish.instants, *(before.instants if before is not None else ())}))
    every = [each.isoformat() for each in instants]
    if before is not None:
        conn.execute(_MORE, {"of": before.id, "every": every})
        _tell(conn, replace(before, instants=instants), wish.at)
        return before.id
    values = {
        "schedule_id": wish.schedule_id,
        "pipeline": wish.pipeline,
        "target": wish.target,
        "instants": every,
        "asked_at": wish.at,
        "expires_at": wish.at + WAIT,
    }
    question_id: int = conn.execute(_ADD, values).scalar_one()
    _tell(
        conn,
        Question(question_id, wish.schedule_id, wish.pipeline, wish.target, instants, wish.at, wish.at + WAIT),
        wish.at,
    )
    return question_id


def _decide(conn: Connection, wish: Decide) -> Decided | None:
    values = {"of": wish.question_id, "chosen": wish.choice.value, "who": wish.by, "now": wish.at}
    first = bool(conn.execute(_DECIDE, values).rowcount)
    question = get(conn, wish.question_id)
    if question is None or not first:
        return None if question is None else Decided(question, first=False)
    bounds = {"of": question.schedule_id, "first": question.instants[0], "last": question.instants[-1]}
    missed = sorted(set(conn.execute(_MISSED, bounds).scalars()) & set(question.instants))
    chosen = {MakeUp.ALL: missed, MakeUp.LATEST: missed[-1:]}.get(wish.choice, [])
    made = _make_up(conn, question, chosen, wish.new)
    why = _why(question)
    left = [each for each in missed if each not in set(chosen)]
    bulk.execute(conn, _REASON, [{"of": question.schedule_id, "instant": each, "why": why} for each in left])
    _tell(conn, question, wish.at, made)
    return Decided(question, made)


def _make_up(conn: Connection, question: Question, instants: Sequence[datetime], new: NewRun | None) -> list[Run]:
    """Queue a run of each instant and put it in the place of what was missed."""
    if new is None:
        return []
    made = runs.insert_runs(conn, [replace(new, due_at=instant) for instant in instants])
    rows = [{"of": question.schedule_id, "instant": run.due_at, "made": run.id} for run in made]
    bulk.execute(conn, _RUN, rows)
    return made


def _why(question: Question) -> str:
    who = question.decided_by or "somebody"
    return {
        MakeUp.LATEST: f"{who} had only the latest one run",
        MakeUp.SKIP: f"skipped by {who}",
    }.get(question.choice or MakeUp.EXPIRED, "nobody answered within 24 hours whether it should run")


def _tell(conn: Connection, question: Question, at: datetime, made: Sequence[Run] = ()) -> None:
    """Store the message, or the change of the one that was sent."""
    body = {
        "question": question.id,
        "schedule": question.schedule_id,
        "pipeline": question.pipeline,
        "count": len(question.instants),
        "first": question.instants[0].isoformat(),
        "last": question.instants[-1].isoformat(),
        "expires": question.expires_at.isoformat(),
        "choice": question.choice.value if question.choice is not None else None,
        "by": question.decided_by,
        "runs": len(made),
        "first_run": made[0].id if made else None,
        "last_run": made[-1].id if made else None,
    }
    outbox.post(conn, [Post(question.target, "question", f"question:{question.id}", body, at, replace=True)])


def _question(row: AnyRow) -> Question:
    return Question(
        id=row.id,
        schedule_id=row.schedule_id,
        pipeline=row.pipeline,
        target=row.target,
        instants=tuple(datetime.fromisoformat(each) for each in row.instants),
        asked_at=row.asked_at,
        expires_at=row.expires_at,
        choice=MakeUp(row.choice) if row.choice is not None else None,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )
