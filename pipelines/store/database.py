"""Opening a database, bringing it to the current schema, and keeping a second service off the same SQLite file.

What the tables are is in `schema`, how older databases become that in `migrations`; who writes is in `writer`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from pipelines.errors import StoreError, StoreLocked
from pipelines.model import utcnow
from pipelines.store import copies, versions
from pipelines.store.columns import to_json

BUSY_S = 30
"""How long SQLite itself waits for another process's transaction."""
_WAL_KEPT_BYTES = 64 * 1024 * 1024
_MIGRATION_LOCK = 7_306_001
_SERVICE_LOCK = 7_306_003
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:ours, hashtext(current_schema()))")
_LOCK_HOLDER = text(
    """
    SELECT coalesce(host(activity.client_addr), 'this machine') AS client, activity.backend_start AS since
    FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND classid = :ours AND objid = hashtext(current_schema())::bit(32)::bigint AND granted
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)
_WRITES = "pipecall_writes"

_log = logging.getLogger(__name__)


def connect(url: str) -> Engine:
    """Open the database at `url`, creating an SQLite file and its folder where they are missing; no tables yet.

    Raises:
        StoreError: the URL cannot be read, its driver is missing, or the database cannot be reached or is not one.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        _make_folder(parsed)
    engine = _engine(parsed)
    try:
        with engine.connect():
            pass
    except (SQLAlchemyError, StoreError) as error:
        engine.dispose()
        raise _cannot_open(parsed, error) from error
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
    config = versions.config()
    try:
        with writing(engine).begin() as conn:
            if conn.dialect.name == "postgresql":
                conn.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
            present = versions.of(conn)
            versions.refuse_unknown(present, _shown(engine.url))
            if present == versions.known()[0]:
                return
            if present is not None:
                _keep_older(conn, present)
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StoreError(
            f"{_shown(engine.url)}: the tables could not be brought up to date: {reason(error)}"
        ) from error


def file_of(url: str) -> Path | None:
    """Return the SQLite file at a URL; None for a server.

    Raises:
        StoreError: the URL cannot be read.
    """
    parsed = _parse(url)
    return _file(parsed).resolve() if parsed.get_backend_name() == "sqlite" else None


def shown(url: str) -> str:
    """Return a URL for people and for PostgreSQL's own tools: without the driver and the password."""
    return _parse(url)._replace(drivername="postgresql", password=None).render_as_string()


@contextmanager
def hold(url: str) -> Iterator[None]:
    """Keep other services off a database while inside.

    Beside an SQLite file lies a lock (`….lock`) that belongs to the process; who holds it is told in `….holder`. On
    PostgreSQL it is an advisory lock of a session of its own. Either vanishes with the process, however that ends.

    Raises:
        StoreLocked: another process holds it; the text names it and says since when.
        StoreError: the URL cannot be read, or the lock cannot be made there.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        with _hold_server(parsed):
            yield
        return
    _make_folder(parsed)
    path = _file(parsed).resolve()
    holder = path.with_name(path.name + ".holder")
    lock = FileLock(path.with_name(path.name + ".lock"), blocking=False, fallback_to_soft=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise StoreLocked(
            f"{path} is in use by {_told(holder)}; stop that service first, or give this one its own SCHEDULER_DB_URL"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise StoreError(f"{path}: cannot be locked: {error}; put the database on a local disk") from error
    try:
        holder.write_text(to_json({"pid": os.getpid(), "host": socket.gethostname(), "since": utcnow().isoformat()}))
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def _hold_server(url: URL) -> Iterator[None]:
    engine = _engine(url)
    try:
        with _locked_session(engine):
            yield
    finally:
        engine.dispose()


def _locked_session(engine: Engine) -> Connection:
    """Return a session of the server that holds the lock for as long as it is open."""
    try:
        conn = engine.connect()
        key = {"ours": _SERVICE_LOCK}
        if conn.execute(_TRY_LOCK, key).scalar_one():
            conn.commit()
            return conn
        held = conn.execute(_LOCK_HOLDER, key).one_or_none()
        conn.close()
    except SQLAlchemyError as error:
        raise _cannot_open(engine.url, error) from error
    since = f", since {held.since:%Y-%m-%d %H:%M:%S}" if held else ""
    who = f"another service on {held.client}{since}" if held else "another service"
    raise StoreLocked(
        f"{_shown(engine.url)} is in use by {who}; stop that service first, or give this one its own SCHEDULER_DB_URL"
    )


def reason(error: BaseException) -> str:
    """Return what a database said, in one line and without the statement around it."""
    inner = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = str(inner).strip().splitlines()
    return lines[0] if lines else type(inner).__name__


def _parse(url: str) -> URL:
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
            f"SCHEDULER_DB_URL: {_shown(parsed)} names no file; runs must outlive the program; {_EXPECTED}"
        )
    return parsed


_EXPECTED = "expected sqlite:///data/pipecall.db or postgresql://user:password@host:5432/name"


def _file(url: URL) -> Path:
    return Path(str(url.database))


def _make_folder(url: URL) -> None:
    folder = _file(url).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{_file(url)}: its folder cannot be made: {error}; choose another SCHEDULER_DB_URL or correct the rights"
        ) from error


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _engine(url: URL) -> Engine:
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
            f"{_shown(url)}: the driver for PostgreSQL is missing ({error.name}); pip install pipecall[postgres]"
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


def _cannot_open(url: URL, error: Exception) -> StoreError:
    said = reason(error)
    if url.get_backend_name() == "postgresql":
        return StoreError(f"{_shown(url)}: cannot be reached: {said}; check SCHEDULER_DB_URL and that the server runs")
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(f"{_file(url)}: is not an SQLite database; move it away, or name another file")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return StoreError(f"{_file(url)}: cannot be written ({said}); correct the rights of the file and its folder")
    return StoreError(f"{_file(url)}: cannot be opened: {said}")


def _keep_older(conn: Connection, present: str) -> None:
    """Copy an SQLite file that has an older schema, as it is before it gets the new one."""
    if conn.dialect.name == "sqlite":
        path = _file(conn.engine.url).resolve()
        kept = copies.copy(path, path.with_name(f"{path.name}.schema-{present}"))
        _log.warning("%s: schema %s becomes %s; kept as before: %s", path, present, versions.known()[0], kept)


def _told(holder: Path) -> str:
    """Say who holds the lock, as far as the file beside it tells."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(holder.read_text())
        return f"another service: pid {int(told['pid'])} on host {told['host']}, since {told['since']}"
    return "another service"
