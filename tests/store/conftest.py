"""Every test of the store runs on SQLite and on PostgreSQL; each starts with empty tables."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from pipelines.store import database, face_schema
from tests.project import empty_store, fresh_store

on_sqlite = pytest.mark.parametrize("module_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("module_url", ["postgresql"], indirect=True)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_url(request, tmp_path_factory) -> Iterator[str]:
    """A database of the test module's own."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("store") / "runs.db"
        path.write_bytes(empty_store())
        yield f"sqlite:///{path}"
    else:
        with fresh_store() as url:
            yield url


@pytest.fixture(scope="module")
def module_engine(module_url) -> Iterator[Engine]:
    engine = database.connect(module_url)
    database.migrate(engine)
    yield engine
    engine.dispose()


def empty(engine: Engine) -> None:
    """Take everything out of all tables."""
    with database.writing(engine).begin() as conn:
        for table in reversed(face_schema.metadata.sorted_tables):
            conn.execute(table.delete())
        if engine.dialect.name == "sqlite":
            conn.execute(text("DELETE FROM sqlite_sequence"))


@pytest.fixture
def engine(module_engine) -> Iterator[Engine]:
    """A migrated database whose tables are empty."""
    yield module_engine
    empty(module_engine)


@pytest.fixture
def conn(engine) -> Iterator[Connection]:
    """A connection inside a write transaction."""
    with database.writing(engine).begin() as conn:
        yield conn
