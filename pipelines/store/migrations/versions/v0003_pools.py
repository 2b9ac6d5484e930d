"""Limits that runs share: the pool that a run takes a place in, and the schedule whose runs go one at a time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
oldest = "0003"

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_LIVE = sa.text("state IN ('queued', 'running', 'waiting_retry')")
_BEFORE = ["state", "id", "pipeline", "max_instances"]


def upgrade() -> None:
    """Add the columns, to the index of live runs as well; what is there stays as it is."""
    for name in ("lane", "pool"):
        op.add_column("runs", sa.Column(name, _KEY))
    _index([*_BEFORE, "lane", "pool"])


def downgrade() -> None:
    """Take them out again."""
    _index(_BEFORE)
    for name in ("pool", "lane"):
        op.drop_column("runs", name)


def _index(columns: list[str]) -> None:
    op.drop_index("runs_live", "runs")
    op.create_index("runs_live", "runs", columns, sqlite_where=_LIVE, postgresql_where=_LIVE)
