"""The tokens that let people and programs use the web: names, levels and digests, never a token itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import Role
from pipelines.store.face_schema import tokens
from pipelines.store.rows import AnyRow

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_ALL = select(tokens).order_by(tokens.c.name)
_ONE = select(tokens).where(tokens.c.digest == bindparam("of"))
_ANY = select(tokens.c.id).limit(1)
_USED = update(tokens).where(tokens.c.id == bindparam("of")).values(used_at=bindparam("at"))
_REMOVE = delete(tokens).where(tokens.c.name == bindparam("of"))


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to store: `digest` is its SHA-256 in hex, `expires_at` (UTC) when it ends (None: never)."""

    name: str
    level: Role
    digest: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the store knows it. `used_at` is when it was used last, to the minute (None: never)."""

    id: int
    name: str
    level: Role
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    used_at: datetime | None = None

    def expired(self, now: datetime) -> bool:
        """Say whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is: whether there are any tokens at all, and the one that was looked for."""

    any: bool
    token: Token | None


def add(conn: Connection, new: Sequence[NewToken]) -> list[bool]:
    """Store tokens; False where the name is taken."""
    return [_add(conn, each) for each in new]


def remove(conn: Connection, names: Sequence[str]) -> list[bool]:
    """Remove tokens by name; False where there was none."""
    return [conn.execute(_REMOVE, {"of": name}).rowcount > 0 for name in names]


def used(conn: Connection, uses: Sequence[tuple[int, datetime]]) -> list[None]:
    """Remember when tokens (id, UTC) were used."""
    for token_id, at in uses:
        conn.execute(_USED, {"of": token_id, "at": at})
    return [None] * len(uses)


def every(conn: Connection) -> list[Token]:
    """Return all tokens, by name."""
    return [_token(row) for row in conn.execute(_ALL)]


def look(conn: Connection, digest: str | None) -> Looked:
    """Look for the token with a digest (None: for none), and for whether there are any."""
    row = conn.execute(_ONE, {"of": digest}).one_or_none() if digest is not None else None
    if row is not None:
        return Looked(True, _token(row))
    return Looked(conn.execute(_ANY).first() is not None, None)


def _add(conn: Connection, new: NewToken) -> bool:
    values = {
        "name": new.name,
        "level": new.level.name.lower(),
        "digest": new.digest,
        "created_at": new.created_at,
        "created_by": new.created_by,
        "expires_at": new.expires_at,
    }
    statement = _INSERT[conn.dialect.name](tokens).values(**values).on_conflict_do_nothing(index_elements=["name"])
    # The id is asked for, not the count of rows, which PostgreSQL's driver does not tell where a key is generated.
    return conn.execute(statement.returning(tokens.c.id)).scalar() is not None


def _token(row: AnyRow) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        level=Role[row.level.upper()],
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        used_at=row.used_at,
    )
