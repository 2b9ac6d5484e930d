"""The tables. How a database gets them, and from which older form, lives in `migrations`; a test keeps both the same.

Times are UTC. `JSON` stands where the structure varies; everything else is a column that a person can read with the
database's own shell. Two indexes hold runs by state: one small, of those that are live, which is all that claiming ever
reads, and one of those that are over, so that a million of them slow nothing down.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnClause,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
    literal_column,
    text,
)

from pipelines.model import OccurrenceOutcome, RunState
from pipelines.store.columns import ExactText, PlainText, UtcDateTime

LIVE = "state IN ('queued', 'running', 'waiting_retry')"
"""The condition of the index of live runs. SQLite uses that index only where a statement says the very same."""
OVER = "state NOT IN ('queued', 'running', 'waiting_retry')"
"""The condition of the indexes of runs that are over; as above."""
QUEUED = "state = 'queued'"
"""The condition of the index of waiting runs by schedule; as above."""

NOT_RUN = "outcome <> 'run'"
"""The condition of the index of occurrences that did not become a run that started; as above."""

UNDELIVERED = "state IN ('queued', 'sending')"
"""The condition of the index of messages that wait for delivery; as above."""
DEAD = "state = 'dead'"
"""The condition of the index of dead messages; as above."""

metadata = MetaData()

_ID = BigInteger().with_variant(Integer, "sqlite")


runs = Table(
    "runs",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("pipeline", ExactText, nullable=False),
    Column("schedule_id", ExactText),
    Column("due_at", UtcDateTime),
    Column("started_by", Text, nullable=False),
    Column("actor", PlainText),
    Column("params", JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", PlainText),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("max_attempts", Integer, nullable=False, server_default=text("1")),
    Column("max_instances", Integer, nullable=False, server_default=text("1")),
    Column("queued_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("not_before", UtcDateTime),
    Column("definition_hash", Text),
    Column("error_type", PlainText),
    Column("error_message", PlainText),
    Column("error_stage", PlainText),
    Column("error_traceback", PlainText),
    Column("items_in", BigInteger, nullable=False, server_default=text("0")),
    Column("items_out", BigInteger, nullable=False, server_default=text("0")),
    Column("owner", PlainText),
    Column("lease_until", UtcDateTime),
    Column("lane", ExactText),
    Column("pool", ExactText),
    Column("queue", ExactText, nullable=False, server_default=text("'default'")),
    Column("rank", Integer, nullable=False, server_default=text("0")),
    Column("at_most_once", Boolean, nullable=False, server_default=false()),
    Column("version", Text),
    Column("cancel_wish", PlainText),
    Column("ticket", BigInteger),
    Column("ticketed_at", UtcDateTime),
    sqlite_autoincrement=True,
)
"""One execution of a pipeline. `attempt` is the newest attempt's number, 0 before the first; only its holder, the
`owner`, may end it, and its lease ends at `lease_until` by the database's clock. Of the runs in one `lane` one goes on
at a time. Runs start by `rank`, the negative of their priority, then by id. `version` is that of the pipeline and its
code which the run needs (None: any), `ticket` its job in the engine that workers take work from, handed over at
`ticketed_at`. Schedules and occurrences are named without a foreign key: history outlives them."""


def in_states(*states: RunState) -> ColumnClause[Any]:
    """Return the condition that a run is in one of `states`, all of them live or all of them over.

    It is spelled so that a partial index serves it: with literals, and with the index's own condition beside them.
    """
    kind = OVER if states[0].final else LIVE
    names = ", ".join(f"'{state.value}'" for state in states)
    own = f"runs.state = {names}" if len(states) == 1 else f"runs.state IN ({names})"
    return literal_column(f"({own} AND runs.{kind})")


_live: ColumnClause[Any] = literal_column(LIVE)
_over: ColumnClause[Any] = literal_column(OVER)
_queued: ColumnClause[Any] = literal_column(QUEUED)
_scheduled: ColumnClause[Any] = literal_column("schedule_id IS NOT NULL")
Index(
    "runs_live",
    runs.c.state,
    runs.c.rank,
    runs.c.id,
    runs.c.pipeline,
    runs.c.max_instances,
    runs.c.lane,
    runs.c.pool,
    runs.c.queue,
    runs.c.version,
    runs.c.ticket,
    sqlite_where=_live,
    postgresql_where=_live,
)
Index("runs_over", runs.c.state, runs.c.id, sqlite_where=_over, postgresql_where=_over)
Index("runs_over_by_pipeline", runs.c.pipeline, runs.c.state, runs.c.id, sqlite_where=_over, postgresql_where=_over)
Index("runs_by_pipeline", runs.c.pipeline, runs.c.id)
Index(
    "runs_by_schedule",
    runs.c.schedule_id,
    runs.c.id,
    sqlite_where=_scheduled,
    postgresql_where=_scheduled,
)
Index(
    "runs_waiting",
    runs.c.state,
    runs.c.schedule_id,
    runs.c.id,
    sqlite_where=_queued,
    postgresql_where=_queued,
)

run_counts = Table(
    "run_counts",
    metadata,
    Column("pipeline", ExactText, primary_key=True),
    Column("state", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_ended_at", UtcDateTime, nullable=False),
    Column("last_error", PlainText),
    sqlite_with_rowid=False,
)
"""How many runs of a pipeline ended in which state, kept up to date in the transaction that ends a run."""

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", _ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("error_type", PlainText),
    Column("error_message", PlainText),
    Column("error_stage", PlainText),
    Column("error_traceback", PlainText),
    Column("reason", PlainText),
    sqlite_with_rowid=False,
)

stages = Table(
    "stages",
    metadata,
    Column("run_id", _ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", PlainText, nullable=False),
    Column("items_in", BigInteger, nullable=False),
    Column("items_out", BigInteger, nullable=False),
    Column("busy_s", Float, nullable=False),
    sqlite_with_rowid=False,
)

logs = Table(
    "logs",
    metadata,
    Column("run_id", _ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("level", Integer, nullable=False),
    Column("source", PlainText, nullable=False),
    Column("text", PlainText, nullable=False),
    sqlite_with_rowid=False,
)
"""Lines count from 1; number 0 is the note that says how many older ones were dropped."""

schedules = Table(
    "schedules",
    metadata,
    Column("id", ExactText, primary_key=True),
    Column("pipeline", ExactText, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("words", PlainText, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("params", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_due_at", UtcDateTime),
    Column("actor_id", Text),
    Column("actor", PlainText),
    Column("paused_until", UtcDateTime),
    Column("pause_reason", PlainText),
    Column("removed_at", UtcDateTime),
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("schedule_id", ExactText, primary_key=True),
    Column("due_at", UtcDateTime, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("run_id", _ID),
    Column("reason", PlainText),
    sqlite_with_rowid=False,
)
"""The primary key is what keeps an instant from running twice, whoever fires it. A row outlives its run."""

Index("occurrences_by_time", occurrences.c.due_at)
Index(
    "occurrences_not_run",
    occurrences.c.outcome,
    occurrences.c.due_at,
    sqlite_where=literal_column(NOT_RUN),
    postgresql_where=literal_column(NOT_RUN),
)


def with_outcome(outcome: OccurrenceOutcome) -> ColumnClause[Any]:
    """Return the condition that this became of an occurrence; spelled like `in_states`."""
    own = f"occurrences.outcome = '{outcome.value}'"
    return literal_column(own if outcome is OccurrenceOutcome.RUN else f"({own} AND occurrences.{NOT_RUN})")


state_values = Table(
    "state_values",
    metadata,
    Column("pipeline", ExactText, primary_key=True),
    Column("name", ExactText, primary_key=True),
    Column("value", JSON, nullable=False),
)

collections = Table(
    "collections",
    metadata,
    Column("pipeline", ExactText, primary_key=True),
    Column("collection", ExactText, primary_key=True),
    Column("key", ExactText, primary_key=True),
    Column("value", JSON, nullable=False),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("run_id", _ID, ForeignKey("runs.id", ondelete="SET NULL"), index=True),
    Column("target", PlainText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("dedupe_key", ExactText, nullable=False, unique=True),
    Column("body", JSON, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'queued'")),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("not_before", UtcDateTime),
    Column("sent_at", UtcDateTime),
    Column("message_id", Text),
    Column("error", PlainText),
    Column("first_tried_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    sqlite_autoincrement=True,
)
"""Messages to deliver. `dedupe_key` keeps a retried run from saying something twice."""
_undelivered: ColumnClause[Any] = literal_column(UNDELIVERED)
_dead: ColumnClause[Any] = literal_column(DEAD)
Index("outbox_dead", outbox.c.state, outbox.c.id, sqlite_where=_dead, postgresql_where=_dead)
Index(
    "outbox_waiting",
    outbox.c.state,
    outbox.c.target,
    outbox.c.id,
    sqlite_where=_undelivered,
    postgresql_where=_undelivered,
)
