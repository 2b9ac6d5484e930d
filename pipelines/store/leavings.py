"""Taking out messages, cards, audit rows and incidents that are older than they need be; the like of `retention`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Delete, Select, bindparam, delete, literal_column, not_, or_, select

from pipelines.store.cards import CardState
from pipelines.store.columns import any_of
from pipelines.store.face_schema import UNDECIDED, audit, cards, incidents, questions
from pipelines.store.retention import ROWS, STANDING, Age, Erased, Old, Page
from pipelines.store.schema import UNDELIVERED, outbox

# ---------------------------------------------------------------- in the order in which they came


@dataclass(frozen=True, slots=True)
class _Walk:
    """Rows with ascending ids, and when each came."""

    found: Select[Any]

    def page(self, conn: Connection, age: Age, after: int) -> Page:
        """Return the next page of the ids of old ones."""
        rows = conn.execute(self.found, {"after": after}).all()
        last = len(rows) < ROWS or age.young(row.came_at for row in rows)
        return Page(tuple(row.id for row in rows if row.came_at < age.before), None if last else rows[-1].id)


def _walk(key: Column[Any], came_at: Column[Any]) -> _Walk:
    found = select(key.label("id"), came_at.label("came_at")).where(key > bindparam("after")).order_by(key)
    return _Walk(found.limit(ROWS))


_MESSAGES = _walk(outbox.c.id, outbox.c.created_at)
_AUDIT = _walk(audit.c.id, audit.c.at)
_QUESTIONS = _walk(questions.c.id, questions.c.asked_at)
_INCIDENTS = _walk(incidents.c.id, incidents.c.opened_at)
_CARDS = (
    select(cards.c.message_id)
    .where(
        cards.c.message_id > bindparam("after"),
        cards.c.state != CardState.LIVE.value,
        cards.c.created_at < bindparam("before"),
    )
    .order_by(cards.c.message_id)
    .limit(ROWS)
)


def old_messages(conn: Connection, age: Age, after: int = 0) -> Page:
    """Return a page of messages, by id, that were written before an instant."""
    return _MESSAGES.page(conn, age, after)


def old_audit(conn: Connection, age: Age, after: int = 0) -> Page:
    """Return a page of audit rows, by id, from before an instant."""
    return _AUDIT.page(conn, age, after)


def old_incidents(conn: Connection, age: Age, after: int = 0) -> Page:
    """Return a page of incidents, by id, that were opened before an instant."""
    return _INCIDENTS.page(conn, age, after)


def old_questions(conn: Connection, age: Age, after: int = 0) -> Page:
    """Return a page of questions, by id, that were asked before an instant."""
    return _QUESTIONS.page(conn, age, after)


def old_cards(conn: Connection, age: Age, after: str = "") -> Page:
    """Return a page of cards, by message, from before an instant, that follow no run any more; it looks at all."""
    keys = tuple(conn.execute(_CARDS, {"before": age.before, "after": after}).scalars())
    return Page(keys, keys[-1] if len(keys) == ROWS else None)


# ---------------------------------------------------------------- erasing

_waiting = outbox.alias("waiting")
_edits: Any = _waiting.c.body["edits"].as_string()
_edited = select(_edits).where(literal_column(f"waiting.{UNDELIVERED}"), _edits.is_not(None))
_shown = select(incidents.c.message_key).where(STANDING, incidents.c.message_key.is_not(None))
_DELETE_MESSAGES = delete(outbox).where(
    any_of(outbox.c.id, "ids"),
    not_(literal_column(f"outbox.{UNDELIVERED}")),
    or_(outbox.c.sent_at.is_(None), outbox.c.sent_at < bindparam("before")),
    outbox.c.dedupe_key.not_in(_edited),
    outbox.c.dedupe_key.not_in(_shown),
)
_DELETE_CARDS = delete(cards).where(
    any_of(cards.c.message_id, "ids"), cards.c.created_at < bindparam("before"), cards.c.state != CardState.LIVE.value
)
_DELETE_AUDIT = delete(audit).where(any_of(audit.c.id, "ids"), audit.c.at < bindparam("before"))
_DELETE_QUESTIONS = delete(questions).where(
    any_of(questions.c.id, "ids"),
    questions.c.asked_at < bindparam("before"),
    not_(literal_column(f"questions.{UNDECIDED}")),
)
_DELETE_INCIDENTS = delete(incidents).where(
    any_of(incidents.c.id, "ids"), incidents.c.closed_at < bindparam("before"), not_(STANDING)
)


def erase_messages(conn: Connection, wishes: Sequence[Old]) -> list[Erased]:
    """Erase messages that were delivered or given up; one that may still be changed stays."""
    return _erase(conn, _DELETE_MESSAGES, wishes)


def erase_cards(conn: Connection, wishes: Sequence[Old]) -> list[Erased]:
    """Erase cards that follow no run any more; the messages themselves stay where they are."""
    return _erase(conn, _DELETE_CARDS, wishes)


def erase_audit(conn: Connection, wishes: Sequence[Old]) -> list[Erased]:
    """Erase rows of what was asked for."""
    return _erase(conn, _DELETE_AUDIT, wishes)


def erase_questions(conn: Connection, wishes: Sequence[Old]) -> list[Erased]:
    """Erase questions that were decided."""
    return _erase(conn, _DELETE_QUESTIONS, wishes)


def erase_incidents(conn: Connection, wishes: Sequence[Old]) -> list[Erased]:
    """Erase incidents that were closed before the instant, once people know of it."""
    return _erase(conn, _DELETE_INCIDENTS, wishes)


def _erase(conn: Connection, statement: Delete, wishes: Sequence[Old]) -> list[Erased]:
    rows = [conn.execute(statement, {"ids": list(wish.keys), "before": wish.before}).rowcount for wish in wishes]
    return [Erased(each, each, done=True) for each in rows]
