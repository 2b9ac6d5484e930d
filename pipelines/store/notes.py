"""Notes: small facts that a face must remember over a restart, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import JSON, utcnow
from pipelines.store.face_schema import notes
from pipelines.store.writer import Reader, Writer

_ONE = select(notes.c.value).where(notes.c.name == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Note:
    """A fact to remember under a name, from `at` (UTC) on."""

    name: str
    value: JSON
    at: datetime = field(default_factory=utcnow)


def put(conn: Connection, given: Sequence[Note]) -> list[None]:
    """Store notes; of those under one name the last stays."""
    make = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[conn.dialect.name]
    for note in given:
        statement: Any = make(notes).values(name=note.name, value=note.value, at=note.at)
        new = statement.excluded
        conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": new.value, "at": new.at}))
    return [None] * len(given)


def get(conn: Connection, name: str) -> JSON:
    """Return what is stored under a name; None where nothing is."""
    return conn.execute(_ONE, {"of": name}).scalar_one_or_none()


class Notes:
    """The notes of one store. Both methods raise StoreError where the database refuses."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        """Write and read through these."""
        self._writer = writer
        self._reader = reader

    async def get(self, name: str) -> JSON:
        """Return what is stored under a name; None where nothing is."""
        return await self._reader.read(get, name)

    async def put(self, name: str, value: JSON) -> None:
        """Remember a value, JSON, in place of any earlier one."""
        await self._writer.call(put, Note(name, value))
