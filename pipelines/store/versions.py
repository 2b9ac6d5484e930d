"""Which versions of the schema there are: those that this program knows, and the one that a database has.

A database also says, in a note, the `oldest` version whose programs can work with it: a program of that version or a
later one goes on, and may start, where a newer program has only added to the schema.
"""

from __future__ import annotations

import logging
from pathlib import Path
from pkgutil import resolve_name

from sqlalchemy import Connection, delete, insert, inspect, select, text

from pipelines.errors import SchemaTooNew
from pipelines.model import utcnow
from pipelines.store.face_schema import notes

MIGRATIONS = Path(__file__).parent / "migrations"
OLDEST_NOTE = "schema.oldest"
"""The note with the oldest version whose programs can work with the database, and the version that this is said of."""

_log = logging.getLogger(__name__)


def upgrade(conn: Connection, version: str = "head") -> None:
    """Bring a database to a version, this program's own, and note which programs can work with it then.

    Alembic, which takes 0.15 s, is imported only for that.
    """
    config = resolve_name("alembic.config:Config")()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = conn
    resolve_name("alembic.command:upgrade")(config, version)
    if inspect(conn).has_table(notes.name):
        _note_oldest(conn, resolve_name("alembic.script:ScriptDirectory").from_config(config))


def known() -> list[str]:
    """Return the versions that this program can bring up to date, its own first: a file for each begins with it."""
    return sorted((path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*_*.py")), reverse=True)


def of(conn: Connection) -> str | None:
    """Return the version that a database has; None for a new one."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    version: str | None = conn.execute(text("SELECT max(version_num) FROM alembic_version")).scalar_one()
    return version


def oldest(conn: Connection) -> str | None:
    """Return the oldest version whose programs can work with a database; None where it does not say of this schema."""
    if not inspect(conn).has_table(notes.name):
        return None
    match conn.execute(select(notes.c.value).where(notes.c.name == OLDEST_NOTE)).scalar_one_or_none():
        case {"schema": schema, "oldest": str(stated)} if schema == of(conn):
            return stated
    return None


def may_use(conn: Connection, where: str) -> str | None:
    """Return the version that a database has, None for a new one, if this program can work with it.

    Raises:
        SchemaTooNew: a newer version of this program wrote it, and more than additions; `where` names it.
    """
    version = of(conn)
    if version is None or version in (there := known()):
        return version
    since = oldest(conn)
    if since is None or there[0] < since:
        refuse_unknown(version, where)
    _log.info(
        "%s: its schema is version %s, newer than this program's %s, which can still work with it (%s or later can)",
        where,
        version,
        there[0],
        since,
    )
    return version


def refuse_unknown(version: str | None, where: str) -> None:
    """Let a known version pass, and a database without one.

    Raises:
        SchemaTooNew: a newer version of this program wrote it; `where` names it.
    """
    if version is not None and version not in (there := known()):
        raise SchemaTooNew(
            f"{where}: its schema is version {version}, this program knows up to {there[0]}: a newer Pipecall wrote "
            "it. Nothing was changed. Update this program, or name another database in SCHEDULER_DB_URL"
        )


def _note_oldest(conn: Connection, scripts: object) -> None:
    """Keep the highest `oldest` that the migrations so far state."""
    present = of(conn) or ""
    steps = [each for each in scripts.walk_revisions() if each.revision <= present]  # type: ignore[attr-defined] # Alembic's
    stated = max(str(each.module.oldest) for each in steps)
    conn.execute(delete(notes).where(notes.c.name == OLDEST_NOTE))
    noted = {"schema": present, "oldest": stated}
    conn.execute(insert(notes), {"name": OLDEST_NOTE, "value": noted, "at": utcnow()})
