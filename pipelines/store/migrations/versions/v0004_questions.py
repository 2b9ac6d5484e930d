"""What people are asked: which of the runs that a job missed are to be made up for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
oldest = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT = sa.DateTime(timezone=True)
_OPEN = sa.text("decided_at IS NULL")


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "questions",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("schedule_id", _KEY, nullable=False),
        sa.Column("pipeline", _KEY, nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("instants", sa.JSON(), nullable=False),
        sa.Column("asked_at", _AT, nullable=False),
        sa.Column("expires_at", _AT, nullable=False),
        sa.Column("choice", sa.Text()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", _AT),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "questions_open", "questions", ["schedule_id"], unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN
    )


def downgrade() -> None:
    """Drop it again, with all it holds."""
    op.drop_table("questions")
