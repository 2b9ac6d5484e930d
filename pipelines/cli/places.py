"""Where the terminal's own files lie: the log of a detached service and of unexpected errors, beside the store."""

from __future__ import annotations

from pathlib import Path

from pipelines.settings import DEFAULT_DB_URL, Settings
from pipelines.store.database import file_of

LOG_NAME = "pipecall.log"


def log_file(settings: Settings) -> Path:
    """Return the path of the log: beside an SQLite store; with a server, where the default store would lie.

    Raises:
        StoreError: the store's URL cannot be read.
    """
    store = file_of(settings.scheduler_db_url) or file_of(DEFAULT_DB_URL)
    return (store or Path.cwd() / "data" / "none").parent / LOG_NAME
