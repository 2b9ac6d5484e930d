"""The first schema: runs and their story, schedules and occurrences, durable state, the outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
oldest = "0001"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT = sa.DateTime(timezone=True)
_LIVE = sa.text("state IN ('queued', 'running', 'waiting_retry')")
_OVER = sa.text("state NOT IN ('queued', 'running', 'waiting_retry')")
_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    """Make all tables."""
    _runs()
    _parts_of_runs()
    _schedules()
    _durable_state()
    _outbox()


def downgrade() -> None:
    """Drop all tables, with all they hold."""
    for table in ("outbox", "collections", "state_values", "occurrences", "schedules", "logs", "stages", "attempts"):
        op.drop_table(table)
    op.drop_table("run_counts")
    op.drop_table("runs")


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _errors() -> list[sa.Column[str]]:
    return [_text("error_type"), _text("error_message"), _text("error_stage"), _text("error_traceback")]


def _count(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text(default) if default else None)


def _small(name: str, default: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text(default))


def _run_id(*, primary: bool) -> sa.Column[int]:
    gone = "CASCADE" if primary else "SET NULL"
    return sa.Column("run_id", _ID, sa.ForeignKey("runs.id", ondelete=gone), primary_key=primary, autoincrement=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), primary_key=True, autoincrement=False)


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("pipeline", _KEY, nullable=False),
        sa.Column("schedule_id", _KEY),
        sa.Column("due_at", _AT),
        _text("started_by", nullable=False),
        _text("actor"),
        sa.Column("params", sa.JSON(), nullable=False),
        _text("state", nullable=False),
        _text("reason"),
        _small("attempt", "0"),
        _small("max_attempts", "1"),
        _small("max_instances", "1"),
        sa.Column("queued_at", _AT, nullable=False),
        sa.Column("started_at", _AT),
        sa.Column("ended_at", _AT),
        sa.Column("not_before", _AT),
        _text("definition_hash"),
        *_errors(),
        _count("items_in", "0"),
        _count("items_out", "0"),
        _text("owner"),
        sa.Column("lease_until", _AT),
        sqlite_autoincrement=True,
    )
    _index_runs()
    op.create_table(
        "run_counts",
        sa.Column("pipeline", _KEY, primary_key=True),
        sa.Column("state", sa.Text(), primary_key=True),
        _count("count"),
        sa.Column("last_ended_at", _AT, nullable=False),
        _text("last_error"),
        sqlite_with_rowid=False,
    )


def _index_runs() -> None:
    _index_some("runs_live", "runs", ["state", "id", "pipeline", "max_instances"], _LIVE)
    _index_some("runs_over", "runs", ["state", "id"], _OVER)
    _index_some("runs_over_by_pipeline", "runs", ["pipeline", "state", "id"], _OVER)
    _index_some("runs_waiting", "runs", ["state", "schedule_id", "id"], _QUEUED)
    op.create_index("runs_by_pipeline", "runs", ["pipeline", "id"])
    _index_some("runs_by_schedule", "runs", ["schedule_id", "id"], sa.text("schedule_id IS NOT NULL"))


def _index_some(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def _parts_of_runs() -> None:
    op.create_table(
        "attempts",
        _run_id(primary=True),
        _number("number"),
        _text("state", nullable=False),
        sa.Column("started_at", _AT, nullable=False),
        sa.Column("ended_at", _AT),
        *_errors(),
        _text("reason"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "stages",
        _run_id(primary=True),
        _number("attempt"),
        _number("position"),
        _text("name", nullable=False),
        _count("items_in"),
        _count("items_out"),
        sa.Column("busy_s", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "logs",
        _run_id(primary=True),
        _number("seq"),
        sa.Column("at", _AT, nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        _text("source", nullable=False),
        _text("text", nullable=False),
        sqlite_with_rowid=False,
    )


def _schedules() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("pipeline", _KEY, nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        _text("timezone", nullable=False),
        _text("words", nullable=False),
        _text("source", nullable=False),
        _text("state", nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("last_due_at", _AT),
    )
    op.create_table(
        "occurrences",
        sa.Column("schedule_id", _KEY, primary_key=True),
        sa.Column("due_at", _AT, primary_key=True),
        _text("outcome", nullable=False),
        sa.Column("run_id", _ID),
        _text("reason"),
        sqlite_with_rowid=False,
    )
    op.create_index("occurrences_by_time", "occurrences", ["due_at"])
    _index_some("occurrences_not_run", "occurrences", ["outcome", "due_at"], sa.text("outcome <> 'run'"))


def _durable_state() -> None:
    op.create_table(
        "state_values",
        sa.Column("pipeline", _KEY, primary_key=True),
        sa.Column("name", _KEY, primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_table(
        "collections",
        sa.Column("pipeline", _KEY, primary_key=True),
        sa.Column("collection", _KEY, primary_key=True),
        sa.Column("key", _KEY, primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
        sqlite_with_rowid=False,
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        _run_id(primary=False),
        _text("target", nullable=False),
        _text("kind", nullable=False),
        sa.Column("dedupe_key", _KEY, nullable=False, unique=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, server_default=sa.text("'queued'")),
        sa.Column("created_at", _AT, nullable=False),
        _small("attempts", "0"),
        sa.Column("not_before", _AT),
        sa.Column("sent_at", _AT),
        _text("message_id"),
        _text("error"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_run_id", "outbox", ["run_id"])
