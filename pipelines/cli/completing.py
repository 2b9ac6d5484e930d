"""What the shell completes: names of pipelines, jobs and runs. Quick, and silent whatever is wrong.

The names are read straight from the pipelines file and the store, without the engine; nothing is validated for that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import yaml

from pipelines.errors import PipecallError, UnknownName
from pipelines.settings import Settings, read_settings

_SQLITE = "sqlite:///"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LIVE_RUNS = "SELECT id FROM runs WHERE state IN ('queued', 'running', 'waiting_retry') ORDER BY id DESC LIMIT 100"
RUNS = "SELECT id FROM runs ORDER BY id DESC LIMIT 100"
JOBS = "SELECT id FROM schedules WHERE state <> 'retired' AND removed_at IS NULL ORDER BY id"
EVER = "SELECT id FROM schedules"


def pipelines(incomplete: str) -> list[str]:
    """Return the pipelines of the file whose names begin so."""
    with suppress(OSError, ValueError, yaml.YAMLError, PipecallError, AttributeError, TypeError):
        settings = read_settings()
        named = yaml.load(settings.pipelines_config.read_bytes(), Loader=_LOADER)["pipelines"]  # noqa: S506 - a safe one
        return _begun(named, incomplete)
    return []


def jobs(incomplete: str) -> list[str]:
    """Return the jobs in the store whose ids begin so; none where the store is on a server."""
    return _begun(_asked(JOBS), incomplete)


def check_job(name: str) -> None:
    """Let the name of a job pass that is or was there; where the store is on a server, any does.

    Raises:
        UnknownName: there is no such job.
    """
    ever = {str(each) for each in _asked(EVER)}
    if ever and name not in ever.union(pipelines("")):  # the file's jobs are in the store once a service has run
        raise UnknownName("job", name, targets(""))


def runs(incomplete: str) -> list[str]:
    """Return the newest runs whose numbers begin so."""
    return _begun(_asked(RUNS), incomplete)


def live_runs(incomplete: str) -> list[str]:
    """Return the runs that are not over whose numbers begin so."""
    return _begun(_asked(LIVE_RUNS), incomplete)


def targets(incomplete: str) -> list[str]:
    """Return pipelines and jobs."""
    return list(dict.fromkeys([*pipelines(incomplete), *jobs(incomplete)]))


def _begun(names: Iterable[object], incomplete: str) -> list[str]:
    return [str(name) for name in names if str(name).startswith(incomplete)]


def _asked(statement: str) -> list[object]:
    """Return the first column of what an SQLite store answers."""
    with suppress(OSError, sqlite3.Error, PipecallError):
        file = _store(read_settings())
        if file is not None and file.is_file():
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as conn:
                return [row[0] for row in conn.execute(statement)]
    return []


def _store(settings: Settings) -> Path | None:
    url = settings.scheduler_db_url
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
