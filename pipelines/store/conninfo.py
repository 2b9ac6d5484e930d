"""How psycopg itself is told where a store's PostgreSQL is: for sessions that are nobody's transaction."""

from __future__ import annotations

from typing import Any

from pipelines.store.database import parse


def arguments(url: str) -> dict[str, Any]:
    """Return what `psycopg.connect` takes to reach the PostgreSQL at `url`, the options in the URL included.

    Raises:
        StoreError: the URL cannot be read.
    """
    parsed = parse(url)
    dialect = parsed.get_dialect()()
    _, given = dialect.create_connect_args(parsed)
    return dict(given)
