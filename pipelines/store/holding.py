"""Keeping a second service off a database, and telling who holds it.

Beside an SQLite file lies a lock that belongs to the process; on PostgreSQL it is an advisory lock of a session.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import StoreError, StoreLocked
from pipelines.model import utcnow
from pipelines.store.columns import to_json
from pipelines.store.database import cannot_open, engine_of, make_folder, parse, sqlite_file, without_password

_REMEDY = "stop that service first, or give this one its own SCHEDULER_DB_URL"
ASKED_S = 0.3
"""So long, in seconds, a lock is waited for: somebody who only asks who holds it has it for a moment."""
_SERVICE_LOCK = 7_306_003
_NAME = "pipecall"
_SAY_WHO = text("SELECT set_config('application_name', :name, false)")
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:ours, hashtext(current_schema()))")
_LOCK_HOLDER = text(
    """
    SELECT coalesce(host(activity.client_addr), 'this machine') AS client, activity.backend_start AS since,
           activity.application_name AS name
    FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locktype = 'advisory' AND classid = :ours AND objid = hashtext(current_schema())::bit(32)::bigint AND granted
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


@contextmanager
def hold(url: str) -> Iterator[None]:
    """Keep other services off a database while inside.

    Beside an SQLite file lies a lock (`….lock`) that belongs to the process; who holds it is told in `….holder`. On
    PostgreSQL it is an advisory lock of a session of its own. Either vanishes with the process, however that ends.

    Raises:
        StoreLocked: another process holds it; the text names it and says since when.
        StoreError: the URL cannot be read, or the lock cannot be made there.
    """
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        with _hold_server(parsed):
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


def holder(url: str) -> Holder | None:
    """Return who holds a database now; None where nobody does.

    Raises:
        StoreError: the database cannot be asked.
    """
    parsed = parse(url)
    if parsed.get_backend_name() != "sqlite":
        engine = engine_of(parsed)
        try:
            with engine.connect() as conn:
                held = conn.execute(_LOCK_HOLDER, {"ours": _SERVICE_LOCK}).one_or_none()
        except SQLAlchemyError as error:
            raise cannot_open(parsed, error) from error
        finally:
            engine.dispose()
        return _of_session(held.name, held.client, held.since.isoformat()) if held else None
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
def _hold_server(url: URL) -> Iterator[None]:
    engine = engine_of(url)
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
        conn.execute(_SAY_WHO, {"name": f"{_NAME} {os.getpid()} {socket.gethostname()}"})
        if conn.execute(_TRY_LOCK, key).scalar_one():
            conn.commit()
            return conn
        held = conn.execute(_LOCK_HOLDER, key).one_or_none()
        conn.close()
    except SQLAlchemyError as error:
        raise cannot_open(engine.url, error) from error
    since = f", since {held.since:%Y-%m-%d %H:%M:%S}" if held else ""
    who = f"another service on {held.client}{since}" if held else "another service"
    raise StoreLocked(f"{without_password(engine.url)} is in use by {who}; {_REMEDY}")


def _told(holder: Holder) -> str:
    """Say who holds the lock."""
    known = f": pid {holder.pid} on host {holder.host}, since {holder.since}" if holder.pid else ""
    return f"another service{known}"
