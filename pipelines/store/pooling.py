"""Tells a pooler that gives one session of PostgreSQL to several clients in turns, as pgbouncer does by transaction.

Behind one, limits and locks land on sessions of strangers, prepared statements are missing or there twice, and nobody
hears of notifications. All of that shows late and in other words, so it is looked for before a session is used.
"""

from __future__ import annotations

from typing import Any

ROUNDS = 4
"""So often it is asked. Once is enough where nobody else uses the pooler; others may just then have what we had."""
_WHICH = "SELECT pg_backend_pid()"


def is_shared(session: Any) -> bool:
    """Say whether a `silence.Session`, in which nothing was done yet, changes hands between transactions.

    It and another are asked in turns which process of the server they are: one that a client has for itself stays the
    same, and is not another's. The first is asked twice in a row, as a pooler may deal two out in turns.
    """
    before, session.autocommit = session.autocommit, True
    other = session.another()
    try:
        other.autocommit = True
        asked = [(_process(session), _process(session), _process(other)) for _ in range(ROUNDS)]
    finally:
        other.close()
    session.autocommit = before
    first, _, second = asked[0]
    return first == second or set(asked) != {(first, first, second)}


def _process(session: Any) -> int:
    (pid,) = session.execute(_WHICH, prepare=False).fetchone()
    return int(pid)
