"""Opening a database and bringing it to the current schema.

What is set for sessions of PostgreSQL is in `postgresql`, what the tables are in `schema`, how older databases become
that in `migrations`; who writes is in `writer`, how a second service is kept off in `holding`.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from random import random
from time import monotonic, sleep

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from pipelines.errors import StoreError
from pipelines.store import copies, postgresql, versions
from pipelines.store.columns import to_json
from pipelines.wording import installing

BUSY_S = 30
"""How long SQLite itself waits for another process's transaction."""
_WAL_KEPT_BYTES = 64 * 1024 * 1024
LOCK_WAIT_S = 2.0
"""So long a change of the schema waits for a table on a server, and everybody who writes to it behind that."""
LOCK_PATIENCE_S = 300.0
"""So long it is tried again."""
_BETWEEN_S = 1.0
_LOCK_REFUSED = ("55P03", "40P01")
"""The SQLSTATEs of a lock that did not come in time, and of a deadlock."""
_MIGRATION_LOCK = 7_306_001
_WRITES = "pipecall_writes"

_log = logging.getLogger(__name__)


def connect(url: str, *, role: str = "") -> Engine:
    """Open the database at `url`, creating an SQLite file and its folder where they are missing; no tables yet.

    `role` is what this process is, for those who look at the server's sessions: scheduler, worker, visitor.

    Raises:
        StoreError: the URL cannot be read, its driver is missing, the database cannot be reached or is not one, the
            server is too old, or a pooler gives its sessions to several clients in turns.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        make_folder(parsed)
    engine = engine_of(parsed, role=role)
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
    """Bring the database to the schema of this program; a current one is left alone, as is a newer one that it can use.

    An SQLite file of an older schema is first copied beside itself, as `….schema-0001`. On a server no lock on a table
    is waited for longer than `LOCK_WAIT_S`, as everybody else would wait behind it; all is tried again then.

    Raises:
        SchemaTooNew: it was written by a newer version of the program; nothing was changed.
        StoreError: the database refused, somebody kept a table locked for `LOCK_PATIENCE_S`, or its file could not be
            copied first.
    """
    until = monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            with writing(engine).begin() as conn:
                bring_to_date(conn)
        except SQLAlchemyError as error:
            if not _lock_refused(error) or monotonic() > until:
                raise StoreError(
                    f"{without_password(engine.url)}: the tables could not be brought up to date: {reason(error)}"
                ) from error
            _log.warning("a table is in use, the new schema waits for it: %s", reason(error))
        else:
            return
        sleep(_BETWEEN_S * (1 + random()))  # noqa: S311 -- so that two that wait do not meet again


def bring_to_date(conn: Connection) -> None:
    """Do what `migrate` does, once, in the transaction that is open on `conn`.

    Raises:
        SchemaTooNew: it was written by a newer version of the program.
        StoreError: an SQLite file could not be copied first.
    """
    if conn.dialect.name == "postgresql":
        postgresql.wait_for_migrations(conn, _MIGRATION_LOCK)
    present = versions.may_use(conn, without_password(conn.engine.url))
    if present is not None and present >= versions.known()[0]:
        return
    if present is not None:
        _keep_older(conn, present)
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S:g}s'"))
    versions.upgrade(conn)


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
    """Return a URL for people: as they may have written it, but for the password."""
    return url._replace(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def engine_of(url: URL, *, role: str = "") -> Engine:
    """Return the engine for a URL, ; nothing is opened yet.

    Raises:
        StoreError: the driver for PostgreSQL is missing.
    """
    if url.get_backend_name() == "sqlite":
        patience = {} if "timeout" in url.query else {"timeout": BUSY_S}
        engine = create_engine(url, json_serializer=to_json, connect_args=patience)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        return postgresql.engine(url, role=role, json_serializer=to_json)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{without_password(url)}: the driver for PostgreSQL is missing ({error.name}); {installing('postgres')}"
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
    if isinstance(error, StoreError) and url.get_backend_name() == "postgresql":
        return StoreError(f"{without_password(url)}: {error}")
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


def _lock_refused(error: SQLAlchemyError) -> bool:
    """Say whether a migration failed only because others used its tables."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _LOCK_REFUSED


def _keep_older(conn: Connection, present: str) -> None:
    """Copy an SQLite file that has an older schema, as it is before it gets the new one."""
    if conn.dialect.name == "sqlite":
        path = sqlite_file(conn.engine.url).resolve()
        kept = copies.copy(path, path.with_name(f"{path.name}.schema-{present}"))
        _log.warning("%s: schema %s becomes %s; kept as before: %s", path, present, versions.known()[0], kept)
