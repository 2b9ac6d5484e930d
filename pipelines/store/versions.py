"""Which versions of the schema there are: those that this program knows, and the one that a database has."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

from sqlalchemy import Connection, inspect, text

from pipelines.errors import SchemaTooNew

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(conn: Connection, version: str = "head") -> None:
    """Bring a database to a version, this program's own. Alembic, which takes 0.15 s, is imported only for that."""
    config = resolve_name("alembic.config:Config")()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = conn
    resolve_name("alembic.command:upgrade")(config, version)


def known() -> list[str]:
    """Return the versions that this program can bring up to date, its own first: a file for each begins with it."""
    return sorted((path.name[1:5] for path in (MIGRATIONS / "versions").glob("v[0-9]*_*.py")), reverse=True)


def of(conn: Connection) -> str | None:
    """Return the version that a database has; None for a new one."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    version: str | None = conn.execute(text("SELECT max(version_num) FROM alembic_version")).scalar_one()
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
