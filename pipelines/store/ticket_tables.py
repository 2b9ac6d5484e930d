"""procrastinate's own tables in the store's schema: made where they are missing, and brought up to date.

Which of its migrations they have is kept in a note. A store that a later version of procrastinate has brought up to
date is left as it is: its migrations keep to what the version before them asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple

from sqlalchemy import Connection, text

from pipelines.errors import StoreError
from pipelines.store import notes
from pipelines.store.notes import Note

NOTE = "procrastinate: newest migration"
TASK = "pipecall.run"
"""The name of procrastinate's task; its one argument is `run_id`."""
_STRANGER = text("SELECT task_name FROM procrastinate_jobs WHERE task_name <> :ours LIMIT 1")
_LOCK = text("SELECT pg_advisory_xact_lock(7306005, hashtext(current_schema()))")
_PRESENT = text("SELECT to_regclass(format('%I.procrastinate_jobs', current_schema())) IS NOT NULL")
_FITS = text("SELECT to_regproc(format('%I.procrastinate_fetch_job_v2', current_schema())) IS NOT NULL")


class Migration(NamedTuple):
    """One of procrastinate's migrations; their names are in their order."""

    name: str
    sql: str


def install(conn: Connection, given: Sequence[None]) -> list[None]:
    """Make the tables, or bring them up to date. Several processes may do so at once; `given` are those who ask.

    Raises:
        StoreError: there are tables of procrastinate's that another program uses, or that are too old to be brought up
            to date from here.
        ImportError: procrastinate is not installed.
    """
    conn.execute(_LOCK)
    known = migrations()
    have = notes.get(conn, NOTE)
    if not conn.execute(_PRESENT).scalar_one():
        _execute(conn, (resources.files("procrastinate.sql") / "schema.sql").read_text(encoding="utf-8"))
    elif have is None and not conn.execute(_FITS).scalar_one():
        raise StoreError(
            "SCHEDULER_DB_URL: the schema has tables of procrastinate's from before its version 3; "
            "apply its migrations, or give this service a schema of its own"
        )
    elif have is not None:
        for each in known:
            if each.name > str(have):
                _execute(conn, each.sql)
    if stranger := conn.execute(_STRANGER, {"ours": TASK}).scalar():
        raise StoreError(
            f"SCHEDULER_DB_URL: procrastinate's tables have jobs of another program's, such as '{stranger}'; "
            "workers would take them, so give this service a schema of its own"
        )
    if have is None or str(have) < known[-1].name:
        notes.put(conn, [Note(NOTE, known[-1].name)])
    return [None] * len(given)


def migrations() -> list[Migration]:
    """Return procrastinate's migrations in their order."""
    folder = Path(resolve_name("procrastinate.schema:migrations_path"))
    return [Migration(each.name, each.read_text(encoding="utf-8")) for each in sorted(folder.glob("*.sql"))]


def _execute(conn: Connection, sql: str) -> None:
    """Execute several statements as they are written: `%` is no parameter in them."""
    conn.exec_driver_sql(sql, execution_options={"no_parameters": True})
