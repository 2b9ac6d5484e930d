"""Messages that wait for delivery: stored in the transaction that ends the run which emitted them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import Message
from pipelines.store import bulk
from pipelines.store.schema import outbox

_LONGEST_KEY = 500

_INSERTS: dict[str, Any] = {
    "sqlite": sqlite.insert(outbox).on_conflict_do_nothing(index_elements=["dedupe_key"]),
    "postgresql": postgresql.insert(outbox).on_conflict_do_nothing(index_elements=["dedupe_key"]),
}


def put(conn: Connection, messages: Iterable[tuple[int, Message, datetime]]) -> None:
    """Store messages with the run each belongs to and the time of its end; one that is there already stays as it is."""
    rows = [
        {
            "run_id": run_id,
            "target": message.target,
            "kind": message.kind,
            "dedupe_key": dedupe_key(run_id, message.key),
            "body": dict(message.body),
            "created_at": at,
        }
        for run_id, message, at in messages
    ]
    bulk.execute(conn, _INSERTS[conn.dialect.name], rows)


def dedupe_key(run_id: int, key: str) -> str:
    """Return what makes a message unique; a long key is shortened to its digest, because indexes have their limits."""
    short = key if len(key) <= _LONGEST_KEY else f"{key[:100]}…{sha256(key.encode(errors='surrogatepass')).hexdigest()}"
    return f"run:{run_id}:{short}"
