"""The tables of what people do and are told: audit, run cards, incidents, mutes, and small notes of the faces.

They stand beside those of `schema`, in the same database and the same transactions.
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
    Table,
    Text,
    literal_column,
    text,
)

from pipelines.store.columns import ExactText, PlainText, UtcDateTime
from pipelines.store.schema import metadata

_ID = BigInteger().with_variant(Integer, "sqlite")

OPEN = "closed_at IS NULL"
"""The condition of the index of open incidents. SQLite uses that index only where a statement says the very same."""

UNDECIDED = "decided_at IS NULL"
"""The condition of the index of open questions, in the same way."""

signals = Table(
    "signals",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", PlainText),
    Column("detail", PlainText),
    Column("tx", BigInteger),
    sqlite_autoincrement=True,
)
"""What one process changed that others must take up: see `store.signals`. PostgreSQL fills in `tx` by itself, with the
number of the transaction that wrote the row; on SQLite it is null."""

Index("signals_by_time", signals.c.at)
Index("signals_by_transaction", signals.c.tx)

progress = Table(
    "progress",
    metadata,
    Column("run_id", _ID, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("done", Float),
    Column("note", PlainText, nullable=False),
    Column("stages", JSON, nullable=False),
)
"""How far the runs are that go on for more than a moment; a row is gone once its run has ended."""

processes = Table(
    "processes",
    metadata,
    Column("id", ExactText, primary_key=True),
    Column("role", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("host", PlainText, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("machine", Text, nullable=False),
    Column("program", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("beat_at", UtcDateTime, nullable=False),
    Column("leads", Boolean, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("running", Integer, nullable=False),
    Column("queues", JSON),
    Column("web", PlainText),
    Column("versions", JSON),
)
"""The schedulers and workers on this store, each as it last said of itself, `beat_at` by the database's clock."""

tokens = Table(
    "tokens",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("name", ExactText, nullable=False, unique=True),
    Column("level", Text, nullable=False),
    Column("digest", ExactText, nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", PlainText, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("used_at", UtcDateTime),
    sqlite_autoincrement=True,
)
"""Who may use the REST interface and the dashboard: `digest` is the SHA-256 of the token in hex, never the token."""

audit = Table(
    "audit",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor", PlainText, nullable=False),
    Column("door", Text, nullable=False),
    Column("place", JSON, nullable=False),
    Column("request_id", ExactText, unique=True),
    Column("verb", Text, nullable=False),
    Column("target", PlainText),
    Column("detail", JSON, nullable=False),
    Column("allowed", Boolean, nullable=False),
    Column("missing", PlainText),
    Column("run_id", _ID, index=True),
    sqlite_autoincrement=True,
)
"""One change that somebody asked for. `request_id` keeps one request from taking effect twice; `place` says where it
was asked (guild and channel), `missing` what a denied one lacked. Names are for people, ids decide."""

cards = Table(
    "cards",
    metadata,
    Column("message_id", ExactText, primary_key=True),
    Column("channel_id", Text, nullable=False),
    Column("run_id", _ID, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)
"""Messages that follow a run: `live` until the run's end is in the outbox, then `over`; `gone` if deleted."""

_open: ColumnClause[Any] = literal_column(OPEN)
_undecided: ColumnClause[Any] = literal_column(UNDECIDED)

incidents = Table(
    "incidents",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("pipeline", ExactText, nullable=False),
    Column("kind", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
    Column("first_run_id", _ID),
    Column("last_run_id", _ID),
    Column("count", Integer, nullable=False),
    Column("summary", PlainText, nullable=False),
    Column("closed_at", UtcDateTime),
    Column("closing_run_id", _ID),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("told", Integer, nullable=False, server_default=text("0")),
    Column("target", Text),
    Column("message_key", ExactText),
    Column("acknowledged_by", PlainText),
    sqlite_autoincrement=True,
)
"""A pipeline that is in trouble, from its first failure to the success that ends it. `version` counts its changes,
`told` is the one that people were told of last, by the outbox message `message_key` to `target`."""

Index("incidents_open", incidents.c.pipeline, unique=True, sqlite_where=_open, postgresql_where=_open)
Index("incidents_untold", incidents.c.version, incidents.c.told)

mutes = Table(
    "mutes",
    metadata,
    Column("pipeline", ExactText, primary_key=True),
    Column("until", UtcDateTime),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", PlainText, nullable=False),
    Column("suppressed", Integer, nullable=False, server_default=text("0")),
)
"""Pipelines whose alerts are held back `until` an instant, or, where that is null, until the next success."""

notes = Table(
    "notes",
    metadata,
    Column("name", ExactText, primary_key=True),
    Column("value", JSON, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
"""Small facts that a face must remember over a restart, such as which commands it registered."""

questions = Table(
    "questions",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("schedule_id", ExactText, nullable=False),
    Column("pipeline", ExactText, nullable=False),
    Column("target", Text, nullable=False),
    Column("instants", JSON, nullable=False),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("choice", Text),
    Column("decided_by", PlainText),
    Column("decided_at", UtcDateTime),
    sqlite_autoincrement=True,
)
"""What people are asked about the `instants` (ISO texts) that a job missed, and what they chose."""

Index("questions_open", questions.c.schedule_id, unique=True, sqlite_where=_undecided, postgresql_where=_undecided)
