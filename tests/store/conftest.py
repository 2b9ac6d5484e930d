"""Every test of the store runs on SQLite and on PostgreSQL; each starts with empty tables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text

from pipelines.store import database, face_schema

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgresql+psycopg://root@127.0.0.1:5432/test")


@contextmanager
def fresh_schema() -> Iterator[str]:
    """A PostgreSQL schema of its own, dropped at the end; yields the URL that works in it."""
    name = f"t_{uuid4().hex}"
    server = POSTGRES.replace("+psycopg", "")
    try:
        admin = psycopg.connect(server, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs PostgreSQL at {server}: {error}")
    with admin:
        admin.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{name}"
        finally:
            admin.execute(f"DROP SCHEMA {name} CASCADE")


on_sqlite = pytest.mark.parametrize("module_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("module_url", ["postgresql"], indirect=True)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def module_url(request, tmp_path_factory) -> Iterator[str]:
    """A database of the test module's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('store') / 'runs.db'}"
    else:
        with fresh_schema() as url:
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
