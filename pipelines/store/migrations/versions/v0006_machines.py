"""What many machines need: leases that are kept, queues and priorities, versions, and who takes part.

Everything is added, but a program of the version before must not go on beside this one: it takes the database to be its
own, keeps no lease on the runs that it executes, and takes up those of others as left behind.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
oldest = "0006"

_KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_AT = sa.DateTime(timezone=True)
_LIVE = sa.text("state IN ('queued', 'running', 'waiting_retry')")
_OF_LIVE = ("state", "id", "pipeline", "max_instances", "lane", "pool")
_OF_LIVE_NOW = ("state", "rank", *_OF_LIVE[1:], "queue", "version", "ticket")


def _added() -> tuple[sa.Column[Any], ...]:
    """Return the columns that runs get."""
    return (
        sa.Column("queue", _KEY, nullable=False, server_default=sa.text("'default'")),
        sa.Column("rank", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("at_most_once", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("version", sa.Text()),
        sa.Column("cancel_wish", sa.Text()),
        sa.Column("ticket", sa.BigInteger()),
        sa.Column("ticketed_at", _AT),
    )


def upgrade() -> None:
    """Add the columns and the table; the index of live runs is made anew."""
    for column in _added():
        op.add_column("runs", column)
    _index_live(_OF_LIVE_NOW)
    _add_transactions()
    op.create_table(
        "processes",
        sa.Column("id", _KEY, primary_key=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("started_at", _AT, nullable=False),
        sa.Column("beat_at", _AT, nullable=False),
        sa.Column("leads", sa.Boolean(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("queues", sa.JSON()),
        sa.Column("web", sa.Text()),
        sa.Column("versions", sa.JSON()),
    )


def downgrade() -> None:
    """Take them away again, with all they hold."""
    op.drop_table("processes")
    op.drop_index("signals_by_transaction", table_name="signals")
    op.drop_column("signals", "tx")
    op.drop_index("runs_live", table_name="runs")
    for column in reversed(_added()):
        op.drop_column("runs", column.name)
    _make_index(_OF_LIVE)


def _add_transactions() -> None:
    """Have signals know their transaction, also those of a program of the version before, which names no such column.

    The default is set after the column was added: rows that are there are not written anew.
    """
    op.add_column("signals", sa.Column("tx", sa.BigInteger()))
    op.create_index("signals_by_transaction", "signals", ["tx"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE signals ALTER COLUMN tx SET DEFAULT (pg_current_xact_id()::text::bigint)")


def _index_live(columns: tuple[str, ...]) -> None:
    op.drop_index("runs_live", table_name="runs")
    _make_index(columns)


def _make_index(columns: tuple[str, ...]) -> None:
    op.create_index("runs_live", "runs", list(columns), sqlite_where=_LIVE, postgresql_where=_LIVE)
