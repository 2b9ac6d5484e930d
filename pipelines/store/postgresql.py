"""What is set for sessions of PostgreSQL, so that neither a broken network nor a frozen process holds all others up.

Where the URL's query (or its `options`) does not say otherwise:

- `connect_timeout` 10 s, for each host that the URL names.
- `keepalives_*` and `tcp_user_timeout`: a peer that nothing is heard of for 15 s is gone; a server that is frozen, or
  hangs behind a proxy, is noticed in as long by `silence`.
- `statement_timeout` 60 s for reads, none for the writer and for migrations. What the writer does comes in small
  pieces; a lock that it cannot get is its `lock_timeout`, 20 s, after which it tries again.
- `idle_in_transaction_session_timeout` 60 s for reads and 10 s for the writer: whoever is frozen amid a transaction
  loses it, and with it the locks for which all others wait.
- `application_name`: `pipecall`, the role of the process, and its pid.

The pool has a session for the writer, one for renewals, and one for each reader, and no more: a server's sessions are
few. Each is tried before it is used, and replaced after an hour. The limits of a session are set by statements, which
reach the server through a pgbouncer with session pooling, too. The other kinds of pooling will not do, and are refused:
a session's limits and its locks would be those of strangers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from pipelines.errors import StoreError
from pipelines.store import pooling

READERS = 4
"""So many reads go on at once."""
OLDEST = 13
"""The oldest PostgreSQL that is supported."""
_RECYCLE_S = 3600
_MIGRATION_WAIT = "10min"
_READING = {"statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s"}
_WRITING = {"statement_timeout": "0", "lock_timeout": "20s", "idle_in_transaction_session_timeout": "10s"}
_MIGRATING = {"statement_timeout": "0", "lock_timeout": "30s", "idle_in_transaction_session_timeout": "120s"}
_TO_CONNECT: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


def engine(url: URL, *, role: str, json_serializer: Callable[[Any], str]) -> Engine:
    """Return an engine for PostgreSQL whose sessions begin with the limits of reads; nothing is opened yet.

    `role` is what this process is, for those who look at the server's sessions; it may be empty. Opening the first
    session raises a StoreError where the server is too old, or a pooler gives its sessions to several clients in turns.

    Raises:
        ModuleNotFoundError: the driver is missing.
    """
    name = " ".join(word for word in ("pipecall", role, str(os.getpid())) if word)
    wanted = _TO_CONNECT | {"application_name": name}
    made = create_engine(
        url,
        json_serializer=json_serializer,
        connect_args={name: value for name, value in wanted.items() if name not in url.query},
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_S,
        pool_size=READERS + 2,
        max_overflow=0,
    )
    session = resolve_name("pipelines.store.silence:Session")
    event.listen(made, "do_connect", lambda _dialect, _record, args, named: session.connect(*args, **named))
    event.listen(made, "first_connect", lambda connection, _record: _refuse(connection))
    event.listen(made, "connect", lambda connection, _record: _prepare(connection, url))
    return made


def for_writing(conn: Connection) -> None:
    """Give a session the limits of the writer for as long as it is open; call it outside of a transaction."""
    with conn.begin():
        conn.exec_driver_sql(_limits(conn.engine.url, _WRITING))


def wait_for_migrations(conn: Connection, key: int) -> None:
    """Let others who hold the schema's advisory lock `key` bring the tables up to date first; it is this transaction's.

    Afterwards the transaction waits for no lock so long that everybody else would queue behind it.
    """
    for name, value in (_MIGRATING | {"lock_timeout": _MIGRATION_WAIT}).items():
        conn.execute(text(f"SET LOCAL {name} = '{value}'"))
    conn.execute(text("SELECT pg_advisory_xact_lock(:key, hashtext(current_schema()))"), {"key": key})
    conn.execute(text(f"SET LOCAL lock_timeout = '{_MIGRATING['lock_timeout']}'"))


def _refuse(connection: Any) -> None:
    """Look at a server before anything is done there.

    Raises:
        StoreError: it cannot be used.
    """
    if connection.info.server_version < OLDEST * 10_000:
        version = connection.info.parameter_status("server_version")
        remedy = "upgrade the server, or name another in SCHEDULER_DB_URL"
        raise StoreError(f"PostgreSQL {version} is too old; expected {OLDEST} or newer; {remedy}")
    if pooling.is_shared(connection):
        raise StoreError(
            "a pooler in between gives each session of PostgreSQL to several clients in turns; expected one for each "
            "client, which locks and notifications need; set pool_mode = session in pgbouncer, or name PostgreSQL "
            "itself in SCHEDULER_DB_URL"
        )


def _prepare(connection: Any, url: URL) -> None:
    before = connection.autocommit
    connection.autocommit = True
    connection.execute(_limits(url, _READING), prepare=False)
    connection.autocommit = before


def _limits(url: URL, settings: Mapping[str, str]) -> str:
    """Return the statement that sets for a session what the URL does not set."""
    chosen = str(url.query.get("options", ""))
    calls = [f"set_config('{name}', '{value}', false)" for name, value in settings.items() if name not in chosen]
    return f"SELECT {', '.join(calls) or '1'}"
