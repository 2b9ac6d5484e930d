"""Looking into a store without making, changing or locking it; who looks may find that there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from pipelines.errors import StoreError
from pipelines.store import database, versions


@contextmanager
def peek(url: str) -> Iterator[Engine | None]:
    """Give an engine that can only read, or None where there is no store yet; nothing is created or migrated.

    Raises:
        StoreError: the URL cannot be read, or the database cannot be opened.
    """
    engine = _engine(url)
    if engine is None:
        yield None
        return
    try:
        try:
            with engine.connect() as conn:
                empty = conn.dialect.name == "postgresql" and versions.of(conn) is None
        except SQLAlchemyError as error:
            raise StoreError(f"the store cannot be opened for reading: {database.reason(error)}") from error
        yield None if empty else engine
    finally:
        engine.dispose()


def _engine(url: str) -> Engine | None:
    file = database.file_of(url)
    if file is None:
        return database.connect(url).execution_options(postgresql_readonly=True)
    if not file.is_file():
        return None
    read_only = f"{file.as_uri()}?mode=ro"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(read_only, uri=True), poolclass=NullPool)
