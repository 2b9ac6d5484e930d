"""What `EXECUTOR=procrastinate` needs, checked before anything is opened."""

from __future__ import annotations

from importlib.util import find_spec

from pipelines.errors import ConfigError, Problem
from pipelines.settings import Settings
from pipelines.store import database, tickets

_LIBRARIES = ("procrastinate", "psycopg", "psycopg_pool")


def check(settings: Settings) -> None:
    """Let settings pass with which runs can be executed as `EXECUTOR` says.

    Raises:
        ConfigError: `procrastinate` is asked for, and the store is on one machine, or a library is missing.
        StoreError: SCHEDULER_DB_URL cannot be read.
    """
    if settings.executor != "procrastinate":
        return
    if database.file_of(settings.scheduler_db_url) is not None:
        raise _wrong(
            "EXECUTOR=procrastinate needs PostgreSQL: an SQLite file is on one machine, and workers are on many; "
            "set SCHEDULER_DB_URL=postgresql://user:password@host:5432/name, or EXECUTOR=local"
        )
    absent = [name for name in _LIBRARIES if find_spec(name) is None]
    if absent:
        raise tickets.missing(absent[0])


def check_worker(settings: Settings) -> None:
    """Let settings pass with which a worker has something to do.

    Raises:
        ConfigError: schedulers execute runs themselves, or see `check`.
        StoreError: SCHEDULER_DB_URL cannot be read.
    """
    if settings.executor != "procrastinate":
        raise _wrong(
            f"EXECUTOR={settings.executor}: schedulers execute runs themselves, so a worker would have nothing to do; "
            "set EXECUTOR=procrastinate for schedulers and workers, or start a scheduler with 'pipecall start'"
        )
    check(settings)


def _wrong(message: str) -> ConfigError:
    return ConfigError([Problem(message, file="environment or .env")])
