"""What doors in other processes need: signals between processes, progress of runs, and tokens for the web."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
oldest = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "signals",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("at", _AT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("detail", sa.Text()),
        sqlite_autoincrement=True,
    )
    op.create_index("signals_by_time", "signals", ["at"])
    op.create_table(
        "progress",
        sa.Column("run_id", _ID, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", _AT, nullable=False),
        sa.Column("done", sa.Float()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
    )
    op.create_table(
        "tokens",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("name", _KEY, nullable=False, unique=True),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("digest", _KEY, nullable=False, unique=True),
        sa.Column("created_at", _AT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", _AT),
        sa.Column("used_at", _AT),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Drop them again, with all they hold."""
    op.drop_table("tokens")
    op.drop_table("progress")
    op.drop_index("signals_by_time", table_name="signals")
    op.drop_table("signals")
