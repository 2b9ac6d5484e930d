"""Which versions of the schema there are: those that this program knows, and the one that a database has."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from pipelines.errors import SchemaTooNew


def config() -> Config:
    """Return what Alembic needs to know."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return made


def known() -> list[str]:
    """Return the versions that this program can bring up to date, its own first."""
    return [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]


def of(conn: Connection) -> str | None:
    """Return the version that a database has; None for a new one."""
    return max(MigrationContext.configure(conn).get_current_heads(), default=None)


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
