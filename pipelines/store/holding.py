"""Keeping others off a database, and telling who holds it.

Beside an SQLite file lies a lock that belongs to the process: it has one service at a time. On PostgreSQL it is an
advisory lock of a session, which services and workers share, and which whoever replaces the whole database has alone.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import StoreError, StoreLocked
from pipelines.model import utcnow
from pipelines.store import face_schema, processes
from pipelines.store.columns import to_json
from pipelines.store.database import cannot_open, engine_of, make_folder, parse, sqlite_file, without_password

_REMEDY = "stop that service first, or name another database in SCHEDULER_DB_URL"
ASKED_S = 0.3
"""So long, in seconds, a lock is waited for: somebody who only asks who holds it has it for a moment."""
SPOKEN = timedelta(seconds=30)
"""A scheduler that shares a server and has been silent for longer does not count."""
_SERVICE_LOCK = 7_306_003
_NAME = "pipecall"
_SAY_WHO = text("SELECT set_config('application_name', :name, false)")
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:ours, hashtext(current_schema()))")
_TRY_SHARED = text("SELECT pg_try_advisory_lock_shared(:ours, hashtext(current_schema()))")
_LOCK_HOLDER = text(
    """
    SELECT coalesce(host(activity.client_addr), 'this machine') AS client, activity.backend_start AS since,
           activity.application_name AS name
    FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND classid = :ours AND objid = hashtext(current_schema())::bit(32)::bigint AND granted
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (mode = 'ExclusiveLock' OR NOT :alone)
    ORDER BY activity.backend_start LIMIT 1
    """
)


@contextmanager
def hold(url: str, *, alone: bool = False) -> Iterator[None]:
    """Keep off a database whoever must not use it beside this process, while inside.

    That is any other service on SQLite; on PostgreSQL who wants it `alone`, or, with `alone`, everybody.
    Beside an SQLite file lies a lock (`….lock`) that belongs to the process; who holds it is told in `….holder`. On
    PostgreSQL it is an advisory lock of a session of its own. Either vanishes with the process, however that ends.

    Raises:
        StoreLocked: another process holds it; the text names it and says since when.
        StoreError: the URL cannot be read, or the lock cannot be made there.
    """
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        with _hold_server(parsed, alone=alone):
            yield
        return
    make_folder(parsed)
    path = sqlite_file(parsed).resolve()
    told = path.with_name(path.name + ".holder")
    lock = FileLock(path.with_name(path.name + ".lock"), fallback_to_soft=False, thread_local=False)
    try:
        lock.acquire(timeout=ASKED_S, poll_interval=ASKED_S / 10)
    except Timeout:
        raise StoreLocked(f"{path} is in use by {_told(_holder(told))}; {_REMEDY}") from None
    except (OSError, NotImplementedError) as error:
        raise StoreError(f"{path}: cannot be locked: {error}; put the database on a local disk") from error
    try:
        told.write_text(to_json({"pid": os.getpid(), "host": socket.gethostname(), "since": utcnow().isoformat()}))
        yield
    finally:
        with suppress(OSError):
            told.unlink(missing_ok=True)
        lock.release()


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a database, as far as it is known; `since` is when it took it, as ISO text."""

    pid: int | None = None
    host: str | None = None
    since: str | None = None


def holder(url: str, *, within: timedelta = SPOKEN) -> Holder | None:
    """Return who holds a database now; None where nobody does.

    Of several schedulers that share a server, each of which has spoken `within` so long, it is the leader, or else the
    first. Workers hold it as well, but serve nobody.

    Raises:
        StoreError: the database cannot be asked.
    """
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        engine = engine_of(parsed)
        try:
            with engine.connect() as conn:
                held = conn.execute(_LOCK_HOLDER, {"ours": _SERVICE_LOCK, "alone": True}).one_or_none()
                shared = _scheduler(conn, within) if held is None else None
        except (SQLAlchemyError, StoreError) as error:
            raise cannot_open(parsed, error) from error
        finally:
            engine.dispose()
        return _of_session(held.name, held.client, held.since.isoformat()) if held else shared
    path = sqlite_file(parsed).resolve()
    if not path.exists():
        return None
    lock = FileLock(path.with_name(path.name + ".lock"), blocking=False, fallback_to_soft=False, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return _holder(path.with_name(path.name + ".holder"))
    except (OSError, NotImplementedError):
        return None
    lock.release()
    return None


def _scheduler(conn: Connection, within: timedelta) -> Holder | None:
    """Return one of the schedulers that share a server; None where there is none, or no table of them yet."""
    if not inspect(conn).has_table(face_schema.processes.name):
        return None
    found = next(iter(processes.schedulers(conn, within)), None)
    return Holder(found.pid, found.host, found.started_at.isoformat()) if found is not None else None


def _of_session(name: str, client: str, since: str) -> Holder:
    """Return who has a session of the server: what it said of itself as its name, else what the server knows."""
    match name.split(" "):
        case [program, pid, host] if program == _NAME and pid.isdecimal():
            return Holder(int(pid), host, since)
    return Holder(host=client, since=since)


def _holder(file: Path) -> Holder:
    """Read who holds the lock, as far as the file beside it tells."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(file.read_text())
        return Holder(int(told["pid"]), str(told["host"]), str(told["since"]))
    return Holder()


@contextmanager
def _hold_server(url: URL, *, alone: bool) -> Iterator[None]:
    engine = engine_of(url)
    try:
        with _locked_session(engine, alone=alone):
            yield
    finally:
        engine.dispose()


def _locked_session(engine: Engine, *, alone: bool) -> Connection:
    """Return a session of the server that holds the lock for as long as it is open."""
    try:
        conn = engine.connect()
        key = {"ours": _SERVICE_LOCK}
        conn.execute(_SAY_WHO, {"name": f"{_NAME} {os.getpid()} {socket.gethostname()}"})
        if conn.execute(_TRY_LOCK if alone else _TRY_SHARED, key).scalar_one():
            conn.commit()
            return conn
        held = conn.execute(_LOCK_HOLDER, key | {"alone": False}).one_or_none()
        conn.close()
    except (SQLAlchemyError, StoreError) as error:
        raise cannot_open(engine.url, error) from error
    found = _of_session(held.name, held.client, f"{held.since:%Y-%m-%d %H:%M:%S}") if held else Holder()
    raise StoreLocked(f"{without_password(engine.url)} is in use by {_told(found)}; {_REMEDY}")


def _told(holder: Holder) -> str:
    """Say who holds the lock."""
    if holder.pid is not None:
        return f"another service: pid {holder.pid} on host {holder.host}, since {holder.since}"
    return f"another service on {holder.host}, since {holder.since}" if holder.host else "another service"
