"""Opening a database and bringing it to the current schema.

What the tables are is in `schema`, how older databases become that in `migrations`; who writes is in `writer`, how a
second service is kept off in `holding`.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from pipelines.errors import StoreError
from pipelines.store import copies, versions
from pipelines.store.columns import to_json

BUSY_S = 30
"""How long SQLite itself waits for another process's transaction."""
_WAL_KEPT_BYTES = 64 * 1024 * 1024
_MIGRATION_LOCK = 7_306_001
_WRITES = "pipecall_writes"

_log = logging.getLogger(__name__)


def connect(url: str) -> Engine:
    """Open the database at `url`, creating an SQLite file and its folder where they are missing; no tables yet.

    Raises:
        StoreError: the URL cannot be read, its driver is missing, or the database cannot be reached or is not one.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        make_folder(parsed)
    engine = engine_of(parsed)
    try:
        with engine.connect():
            pass
    except (SQLAlchemyError, StoreError) as error:
        engine.dispose()
        raise cannot_open(parsed, error) from error
    return engine


def writing(engine: Engine) -> Engine:
    """Return the same engine, whose SQLite transactions take the file's write lock at once instead of half-way."""
    return engine.execution_options(**{_WRITES: True})


def migrate(engine: Engine) -> None:
    """Bring the database to the schema of this program; a current one is left alone.

    An SQLite file of an older schema is first copied beside itself, as `….schema-0001`.

    Raises:
        SchemaTooNew: it was written by a newer version of the program; nothing was changed.
        StoreError: the database refused, or its file could not be copied first.
    """
    try:
        with writing(engine).begin() as conn:
            if conn.dialect.name == "postgresql":
                conn.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            present = versions.of(conn)
            versions.refuse_unknown(present, without_password(engine.url))
            if present == versions.known()[0]:
                return
            if present is not None:
                _keep_older(conn, present)
            versions.upgrade(conn)
    except SQLAlchemyError as error:
        raise StoreError(
            f"{without_password(engine.url)}: the tables could not be brought up to date: {reason(error)}"
        ) from error


def file_of(url: str) -> Path | None:
    """Return the SQLite file at a URL; None for a server.

    Raises:
        StoreError: the URL cannot be read.
    """
    parsed = parse(url)
    return sqlite_file(parsed).resolve() if parsed.get_backend_name() == "sqlite" else None


def shown(url: str) -> str:
    """Return a URL for people and for PostgreSQL's own tools: without the driver and the password."""
    return parse(url)._replace(drivername="postgresql", password=None).render_as_string()


def reason(error: BaseException) -> str:
    """Return what a database said, in one line and without the statement around it."""
    inner = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(inner).strip().splitlines()
    return lines[0] if lines else type(inner).__name__


def parse(url: str) -> URL:
    """Read a database's URL.

    Raises:
        StoreError: it cannot be read, or names no database that is supported.
    """
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"SCHEDULER_DB_URL: not a database URL: {error}; {_EXPECTED}") from None
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise StoreError(f"SCHEDULER_DB_URL: '{parsed.drivername}' is not supported; {_EXPECTED}")
    if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
        raise StoreError(
            f"SCHEDULER_DB_URL: {without_password(parsed)} names no file; runs must outlive the program; {_EXPECTED}"
        )
    return parsed


_EXPECTED = "expected sqlite:///data/pipecall.db or postgresql://user:password@host:5432/name"


def sqlite_file(url: URL) -> Path:
    """Return the file of an SQLite URL."""
    return Path(str(url.database))


def make_folder(url: URL) -> None:
    """Make the folder of an SQLite file.

    Raises:
        StoreError: the system refuses.
    """
    folder = sqlite_file(url).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        remedy = "choose another SCHEDULER_DB_URL or correct the rights"
        raise StoreError(f"{sqlite_file(url)}: its folder cannot be made: {error}; {remedy}") from error


def without_password(url: URL) -> str:
    """Return a URL for people."""
    return url.render_as_string(hide_password=True)


def engine_of(url: URL) -> Engine:
    """Return the engine for a URL; nothing is opened yet.

    Raises:
        StoreError: the driver for PostgreSQL is missing.
    """
    if url.get_backend_name() == "sqlite":
        patience = {} if "timeout" in url.query else {"timeout": BUSY_S}
        engine = create_engine(url, json_serializer=to_json, connect_args=patience)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    wanted: dict[str, Any] = {"connect_timeout": 10, "application_name": "pipecall"}
    given = {name: value for name, value in wanted.items() if name not in url.query}
    try:
        return create_engine(url, json_serializer=to_json, connect_args=given, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{without_password(url)}: the driver for PostgreSQL is missing ({error.name}); "
            "pip install pipecall[postgres]"
        ) from error


def _prepare_sqlite(dbapi: sqlite3.Connection, _record: object) -> None:
    dbapi.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    (mode,) = dbapi.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreError(f"write-ahead logging does not work there (it said '{mode}'); put the file on a local disk")
    dbapi.execute("PRAGMA synchronous=FULL")
    dbapi.execute("PRAGMA foreign_keys=ON")
    dbapi.execute("PRAGMA cache_size=-16000")
    dbapi.execute(f"PRAGMA journal_size_limit={_WAL_KEPT_BYTES}")


def _begin_sqlite(conn: Connection) -> None:
    conn.exec_driver_sql("BEGIN IMMEDIATE" if conn.get_execution_options().get(_WRITES) else "BEGIN")


def cannot_open(url: URL, error: Exception) -> StoreError:
    """Return what to tell of a database that refuses to be opened."""
    said = reason(error)
    if url.get_backend_name() == "postgresql":
        return StoreError(
            f"{without_password(url)}: cannot be reached: {said}; check SCHEDULER_DB_URL and that the server runs"
        )
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{sqlite_file(url)}: is not an SQLite database; move it away, or name another file")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreError(
            f"{sqlite_file(url)}: cannot be written ({said}); correct the rights of the file and its folder"
        )
    return StoreError(f"{sqlite_file(url)}: cannot be opened: {said}")


def _keep_older(conn: Connection, present: str) -> None:
    """Copy an SQLite file that has an older schema, as it is before it gets the new one."""
    if conn.dialect.name == "sqlite":
        path = sqlite_file(conn.engine.url).resolve()
        kept = copies.copy(path, path.with_name(f"{path.name}.schema-{present}"))
        _log.warning("%s: schema %s becomes %s; kept as before: %s", path, present, versions.known()[0], kept)
