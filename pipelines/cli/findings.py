"""What `doctor` looks at on this machine: each fault comes with how to mend it, and nothing is changed."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pkgutil import resolve_name
from urllib.parse import urlsplit

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from pipelines.cli.problems import look
from pipelines.distributed import requirements
from pipelines.errors import BadSchedule, ConfigError, PipecallError
from pipelines.finding import Finding, Level, good, wrong
from pipelines.locks import DEFAULT_REDIS, make_lock
from pipelines.settings import Settings, env_file_faults, misspelt_settings
from pipelines.store import database, holding, versions
from pipelines.store.peek import peek
from pipelines.triggers import check_zone, tzdata_version

OLDEST_PYTHON = (3, 11)
LITTLE_BYTES = 500 * 1024 * 1024
"""With less room than this on the store's disk something will soon go wrong."""
CLOCK_OFF = timedelta(minutes=10)
"""A file cannot be so much younger than now."""
ASK_S = 2.0
"""So long, in seconds, whoever holds the web port may take to say who it is."""


def python() -> Finding:
    """Look at the Python that runs this."""
    shown = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return wrong(f"Python {shown} is too old", f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer")
    return good(f"Python {shown}")


def of_settings(env: Mapping[str, str]) -> Iterator[Finding]:
    """Look for settings that there are not, in the environment and `.env`."""
    faults = [*misspelt_settings(env), *env_file_faults()]
    yield from (wrong(fault, "correct its name, or take it out") for fault in faults)
    if not faults:
        yield good("the settings can be read, and none is misspelt")
    file = Path(".env")
    if file.is_file() and file.stat().st_mode & 0o077:
        yield Finding(Level.DOUBTFUL, "others on this machine can read .env, where tokens stand", "chmod 600 .env")


def pipelines(settings: Settings, env: Mapping[str, str], now: datetime) -> Iterator[Finding]:
    """Look at the pipelines file and the plugins."""
    found = look(settings, env, now)
    missing = not settings.pipelines_config.exists()
    remedy = "'pipecall config create' makes one" if missing else "'pipecall check' says when it is mended"
    yield from (wrong(str(problem), remedy) for problem in found.problems)
    yield from (Finding(Level.DOUBTFUL, str(problem)) for problem in found.warnings)
    if found.catalog is not None and not found.problems:
        yield good(f"{settings.pipelines_config} and the plugins are good; pipelines: {len(found.catalog.pipelines)}")


def clock(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Look at the time, and at the data about time zones."""
    zone = settings.scheduler_timezone or "Europe/Stockholm"
    try:
        check_zone(zone)
    except BadSchedule as error:
        yield wrong(f"time zones cannot be used: {error}", "pip install --upgrade tzdata")
    else:
        yield good(f"time zones are known (tzdata {tzdata_version()})")
    ahead = [path for path in (settings.pipelines_config, Path(".env")) if _younger(path, now)]
    if ahead:
        yield wrong(f"the clock is wrong: it is {now:%Y-%m-%d %H:%M}Z, before {ahead[0]} was written", "set the clock")
    else:
        yield good(f"the clock says {now:%Y-%m-%d %H:%M}Z")


def _younger(path: Path, now: datetime) -> bool:
    return path.exists() and datetime.fromtimestamp(path.stat().st_mtime, UTC) - now > CLOCK_OFF


def store(settings: Settings) -> Iterator[Finding]:
    """Look at the store: whether it can be read, written, and has room."""
    url = settings.scheduler_db_url
    try:
        file = database.file_of(url)
        if file is not None:
            yield from _place(file)
        with peek(url) as engine:
            if engine is None:
                yield good(f"there is no store yet; the first start makes {file or 'its tables'}")
                return
            yield _schema(engine, url)
        if file is not None:
            yield _journal(file)
        yield _holder(url)
    except (PipecallError, SQLAlchemyError, sqlite3.Error) as error:
        yield wrong(f"the store cannot be used: {str(error).splitlines()[0]}", "correct SCHEDULER_DB_URL or the file")


def machines(settings: Settings) -> Iterator[Finding]:
    """Look at what several machines need, where the settings ask for it: the database, libraries, the leader's lock."""
    try:
        requirements.check(settings)
        make_lock(settings, "doctor")
    except ConfigError as error:
        remedy = "correct it; docs/many-machines.md goes through it step by step"
        yield from (wrong(str(problem), remedy) for problem in error.problems)
        return
    except PipecallError:
        return  # the store's own finding
    if settings.scheduler_lock == "redis":
        yield _redis(settings.scheduler_lock_url or DEFAULT_REDIS)
    if settings.executor != "local":
        yield good(f"EXECUTOR={settings.executor}: workers execute the runs, and all that they need is installed")


def _redis(url: str) -> Finding:
    """Ask the Redis of the leader's lock for an answer; its own words may quote the address, and so a password."""
    where = urlsplit(url)
    shown = f"Redis at {where.netloc.rpartition('@')[2] or where.path}"
    patience = {"socket_timeout": ASK_S, "socket_connect_timeout": ASK_S}
    try:
        with closing(resolve_name("redis:Redis").from_url(url, **patience)) as client:
            client.ping()
    except Exception as error:  # noqa: BLE001 -- the client is imported only here, and with it its errors
        remedy = "start it, or correct SCHEDULER_LOCK_URL; until it is there nobody leads"
        return wrong(f"{shown} cannot be used ({type(error).__name__})", remedy)
    return good(f"{shown} answers: the leader's lock")


def _place(file: Path) -> Iterator[Finding]:
    folder = file.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        yield wrong(f"{folder} is no folder, so the store cannot be made there", "name another in SCHEDULER_DB_URL")
        return
    locked = [path for path in (folder, file) if path.exists() and not os.access(path, os.W_OK)]
    if locked:
        yield wrong(f"{locked[0]} cannot be written", f"chmod u+w {locked[0]}, or name another in SCHEDULER_DB_URL")
    room = shutil.disk_usage(folder).free
    shown = f"{room / 1024**3:,.1f} GiB free for the store"
    if room < LITTLE_BYTES:
        yield wrong(f"only {shown}", "make room, or keep less: 'keep:' in the pipelines file")
    else:
        yield good(shown)


def _schema(engine: Engine, url: str) -> Finding:
    with engine.connect() as conn:
        present = versions.may_use(conn, str(database.file_of(url) or database.shown(url)))
    newest = versions.known()[0]
    if present is not None and present > newest:
        return good(f"the store has schema {present}, which this program's ({newest}) can work with")
    if present == newest:
        return good(f"the store has this program's schema ({newest})")
    return Finding(Level.DOUBTFUL, f"the store has schema {present or 'none'}", f"the next start makes it {newest}")


def _journal(file: Path) -> Finding:
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as conn:
        (mode,) = conn.execute("PRAGMA journal_mode").fetchone()
    if mode == "wal":
        return good("the store writes ahead (WAL)")
    return Finding(
        Level.DOUBTFUL, f"the store's journal is {mode!r}, not 'wal'", "the next start of the service sets it"
    )


def _holder(url: str) -> Finding:
    holder = holding.holder(url)
    if holder is None:
        return good("no service runs on the store")
    who = f"pid {holder.pid} on {holder.host}" if holder.pid else f"on {holder.host or 'this machine'}"
    since = f", since {datetime.fromisoformat(holder.since):%Y-%m-%d %H:%M}Z" if holder.since else ""
    return good(f"a service runs on the store: {who}{since}")


def web(settings: Settings) -> Finding:
    """Look whether the web's port is free, or held by our own service."""
    if settings.web == "off":
        return good("the web is off")
    host, port = settings.web_host.strip("[]"), settings.web_port
    if not port:
        return good("the web takes any free port")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        if _is_ours(host, port):
            return good(f"port {port} on {host} is that of the service")
        return wrong(f"port {port} on {host} cannot be used: {error.strerror}", "end what uses it, or set WEB_PORT")
    return good(f"port {port} on {host} is free for the web")


def _is_ours(host: str, port: int) -> bool:
    """Ask who is there as a client of the REST would; another program's answer is not that of ours."""
    near = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    connection = http.client.HTTPConnection(near, port, timeout=ASK_S)
    try:
        connection.request("GET", "/api/scheduler/health")
        told = json.loads(connection.getresponse().read(100_000))
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
    return isinstance(told, dict) and any(each in told for each in ("state", "status"))
