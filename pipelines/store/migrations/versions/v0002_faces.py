"""What people do and are told: audit, run cards, incidents, mutes, notes; who made a job; the life of a message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
oldest = "0002"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT = sa.DateTime(timezone=True)
_OPEN = sa.text("closed_at IS NULL")
_DEAD = sa.text("state = 'dead'")
_WAITING = sa.text("state IN ('queued', 'sending')")

_NEW_COLUMNS = {
    "schedules": (
        ("actor_id", sa.Text),
        ("actor", sa.Text),
        ("paused_until", _AT),
        ("pause_reason", sa.Text),
        ("removed_at", _AT),
    ),
    "outbox": (("first_tried_at", _AT), ("expires_at", _AT)),
}


def upgrade() -> None:
    """Add columns and tables; what is there stays as it is."""
    for table, columns in _NEW_COLUMNS.items():
        for name, kind in columns:
            op.add_column(table, sa.Column(name, kind))
    op.create_index(
        "outbox_waiting", "outbox", ["state", "target", "id"], sqlite_where=_WAITING, postgresql_where=_WAITING
    )
    op.create_index("outbox_dead", "outbox", ["state", "id"], sqlite_where=_DEAD, postgresql_where=_DEAD)
    _audit()
    _cards()
    _incidents()
    op.create_table(
        "notes",
        sa.Column("name", _KEY, primary_key=True),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.Column("at", _AT, nullable=False),
    )


def downgrade() -> None:
    """Drop them again, with all they hold."""
    for table in ("notes", "mutes", "incidents", "cards", "audit"):
        op.drop_table(table)
    op.drop_index("outbox_dead", "outbox")
    op.drop_index("outbox_waiting", "outbox")
    for table, columns in _NEW_COLUMNS.items():
        for name, _ in columns:
            op.drop_column(table, name)


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _count(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text(default) if default else None)


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("at", _AT, nullable=False),
        _text("actor_id", nullable=False),
        _text("actor", nullable=False),
        _text("door", nullable=False),
        sa.Column("place", sa.JSON(), nullable=False),
        sa.Column("request_id", _KEY, unique=True),
        _text("verb", nullable=False),
        _text("target"),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        _text("missing"),
        sa.Column("run_id", _ID),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_run_id", "audit", ["run_id"])


def _cards() -> None:
    op.create_table(
        "cards",
        sa.Column("message_id", _KEY, primary_key=True),
        _text("channel_id", nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        _text("state", nullable=False),
        sa.Column("created_at", _AT, nullable=False),
    )
    op.create_index("ix_cards_run_id", "cards", ["run_id"])


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("pipeline", _KEY, nullable=False),
        _text("kind", nullable=False),
        sa.Column("opened_at", _AT, nullable=False),
        sa.Column("last_at", _AT, nullable=False),
        sa.Column("first_run_id", _ID),
        sa.Column("last_run_id", _ID),
        _count("count"),
        _text("summary", nullable=False),
        sa.Column("closed_at", _AT),
        sa.Column("closing_run_id", _ID),
        _count("version", "1"),
        _count("told", "0"),
        _text("target"),
        sa.Column("message_key", _KEY),
        _text("acknowledged_by"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "incidents_open", "incidents", ["pipeline"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )
    op.create_index("incidents_untold", "incidents", ["version", "told"])
    op.create_table(
        "mutes",
        sa.Column("pipeline", _KEY, primary_key=True),
        sa.Column("until", _AT),
        sa.Column("at", _AT, nullable=False),
        _text("actor", nullable=False),
        _count("suppressed", "0"),
    )
