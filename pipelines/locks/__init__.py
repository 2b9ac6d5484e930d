"""Locks that let one of several processes lead: on a file, in Redis, or as a session of PostgreSQL.

A lock saves work that others would do as well; it fences nothing off. What must not happen twice is refused by the
store: an occurrence has one run, a run one owner, a message one row.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Protocol

from pipelines.errors import ConfigError, Problem
from pipelines.locks.file_lock import FileLock
from pipelines.settings import Settings
from pipelines.store.database import parse
from pipelines.wording import installing

DEFAULT_FILE = Path("data/pipecall.lock")
DEFAULT_REDIS = "redis://127.0.0.1:6379/0"
REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class Lock(Protocol):
    """What at most one process has. It can be acquired again after it was lost or released."""

    @property
    def kind(self) -> str:
        """What it is, for people: `file`, `redis` or `postgres`."""

    @property
    def notice_s(self) -> float:
        """So long, in seconds, one who lost it may take to learn of that; whoever has it next begins no sooner."""

    @property
    def sure_until(self) -> float:
        """Until when, in seconds of `elapsed.now_s`, it is ours without asking anybody; `-inf` while it is not."""

    async def acquire(self) -> None:
        """Wait until it is ours; a server that is away meanwhile is waited for.

        Raises:
            StoreError: it can never be acquired here.
        """

    async def hold(self) -> str:
        """Keep it; return why as soon as it is no longer ours, or no longer for certain."""

    async def release(self) -> None:
        """Give it up, or stop waiting for it; nothing happens where it is not ours."""

    async def holder(self) -> str | None:
        """Return the process that has it, as far as it is known."""


def make_lock(settings: Settings, process: str) -> Lock | None:
    """Return the lock for which the schedulers of a store compete; None where its file lets in only one anyway.

    `process` is this process, for people and for the others. With `none` the schedulers need no lock for the timetable,
    but chat and delivery still have one leader: it is the session of PostgreSQL then.

    Raises:
        ConfigError: the settings do not go together, or a package is missing.
        StoreError: SCHEDULER_DB_URL cannot be read.
    """
    on_sqlite = parse(settings.scheduler_db_url).get_backend_name() == "sqlite"
    match settings.scheduler_lock:
        case "redis":
            return _redis(settings, process)
        case "postgres" if on_sqlite:
            raise _wrong("SCHEDULER_LOCK", "found postgres, but the store is an SQLite file; expected file, or redis")
        case _ if on_sqlite:
            return None
        case "file":
            return FileLock(_path(settings.scheduler_lock_url), process)
        case _:
            _need("psycopg", "postgres")
            lock: Lock = resolve_name("pipelines.locks.postgres_lock:PostgresLock")(settings.scheduler_db_url, process)
            return lock


def _redis(settings: Settings, process: str) -> Lock:
    _need("redis", "redis")
    url = settings.scheduler_lock_url or DEFAULT_REDIS
    expected = "expected an address such as redis://host:6379/0"
    if not url.startswith(REDIS_SCHEMES):
        raise _wrong("SCHEDULER_LOCK_URL", f"found no address of Redis; {expected}")
    try:
        lock: Lock = resolve_name("pipelines.locks.redis_lock:RedisLock")(url, _name(settings), process)
    except ValueError:  # its text may quote the address, and so a password
        raise _wrong("SCHEDULER_LOCK_URL", f"found an address that cannot be read; {expected}") from None
    return lock


def _name(settings: Settings) -> str:
    """Return a name for the store's lock: all who name its server in whichever way must come to the same."""
    url = parse(settings.scheduler_db_url)
    options = url.query.get("options", "")
    return ":".join(filter(None, ("pipecall", "lock", url.database, options if isinstance(options, str) else "")))


def _path(given: str | None) -> Path:
    if given is not None and "://" in given:
        raise _wrong("SCHEDULER_LOCK_URL", f"found an address; expected the path of a file, such as {DEFAULT_FILE}")
    return Path(given) if given is not None else DEFAULT_FILE


def _need(package: str, extra: str) -> None:
    if find_spec(package) is None:
        raise _wrong("SCHEDULER_LOCK", f"needs the package {package}, which is missing; {installing(extra)}")


def _wrong(setting: str, what: str) -> ConfigError:
    return ConfigError([Problem(what, path=setting, file="environment or .env")])
