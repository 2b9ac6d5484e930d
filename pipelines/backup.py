"""A copy of the store while the service runs, and its way back: what the commands `backup` and `restore` do."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path

from pipelines.errors import StoreError
from pipelines.store import copies, database, holding, versions
from pipelines.store.copies import Copy


def back_up(url: str, target: Path | None, now: datetime) -> Copy:
    """Copy the store at `url` into a new file, packed if its name ends in .gz; None names one beside the store.

    Raises:
        StoreError: there is no store, the file is there already or cannot be written; on a server, what to run instead.
    """
    store = database.file_of(url)
    if store is None:
        raise StoreError(
            "the store is on a server, whose own tool copies it, while schedulers and workers go on: "
            f"{_pg_dump(url, target, now)}"
        )
    if not store.is_file():
        raise StoreError(f"{store}: there is no store yet; name the right one in SCHEDULER_DB_URL")
    target = target or store.parent / "backups" / f"{store.stem}-{now:%Y%m%dT%H%M%SZ}.db.gz"
    if target.exists():
        raise StoreError(f"{target} is there already; name another file")
    return copies.copy(store, target)


def restore(url: str, source: Path, now: datetime) -> tuple[Copy, Path | None]:
    """Put the store that `source` holds in the place of the one at `url`.

    Returns what was restored, and as what the store that was there before is kept, None where there was none.

    Raises:
        StoreLocked: a service holds the store.
        SchemaTooNew: a newer version of this program made the copy.
        StoreError: the copy is not sound, or the store cannot be replaced; it is as it was then.
    """
    store = database.file_of(url)
    if store is None:
        raise StoreError(
            "the store is on a server, whose own tool restores it: stop every scheduler and worker, then "
            f"{_pg_restore(url, source)}"
        )
    if source.exists() and store.exists() and source.samefile(store):
        raise StoreError(f"{source} is the store itself; name what backup made")
    with holding.hold(url):
        draft = store.with_name(store.name + ".restoring")
        try:
            copy = copies.unpack(source, draft)
            versions.refuse_unknown(copy.schema, str(source))
            aside = store.with_name(f"{store.name}.before-{now:%Y%m%dT%H%M%SZ}") if store.exists() else None
            copies.replace(store, draft, aside)
        finally:
            draft.unlink(missing_ok=True)
    return copy, aside


def _pg_dump(url: str, target: Path | None, now: datetime) -> str:
    file = target or Path(f"pipecall-{now:%Y%m%dT%H%M%SZ}.dump")
    return f"pg_dump --format=custom --file={shlex.quote(str(file))} {shlex.quote(database.shown(url))}"


def _pg_restore(url: str, source: Path) -> str:
    """Return the command that puts a dump in the place of a database, all of it or nothing."""
    given = "--clean --if-exists --single-transaction"
    return f"pg_restore {given} --dbname={shlex.quote(database.shown(url))} {shlex.quote(str(source))}"
