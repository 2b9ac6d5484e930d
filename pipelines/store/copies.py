"""Copies of an SQLite file: made while others write to it, checked, packed, and put in its place.

A copy is made beside its name and moved there once it is whole and on the disk, so that none is ever half.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import StoreError

TABLES = ("runs", "schedules", "occurrences", "outbox", "audit")
"""The tables whose rows are counted for people."""
_WAIT_S = 5.0
_PIECE = 1024 * 1024
_SIDES = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that holds a store: its schema's version, the rows of some tables, and its size in bytes."""

    path: Path
    schema: str
    rows: Mapping[str, int]
    size: int

    def __str__(self) -> str:
        """What is in it, for people."""
        counted = ", ".join(f"{number:,} {name}" for name, number in self.rows.items())
        return f"{self.path} ({self.size / 1e6:,.1f} MB): {counted}; schema {self.schema}"


def copy(source: Path, target: Path) -> Copy:
    """Copy the SQLite file `source` as it is at one instant, whoever writes to it; pack it if `target` ends in .gz.

    Raises:
        StoreError: the source cannot be read or is not sound, or the target cannot be written.
    """
    draft = target.with_name(target.name + ".part")
    raw = draft.with_name(draft.name + ".raw")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_as_one(source, raw)
        schema, rows = facts(raw)
        if target.suffix == ".gz":
            _pack(raw, draft)
        else:
            raw.replace(draft)
        _move(draft, target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{source} cannot be copied to {target}: {error}") from error
    finally:
        for path in (raw, draft):
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return Copy(target, schema, rows, target.stat().st_size)


def unpack(source: Path, target: Path) -> Copy:
    """Write the store that a copy holds to `target`, and see that it is sound.

    Raises:
        StoreError: it cannot be read, is not sound, or holds no store.
    """
    try:
        if source.suffix == ".gz":
            with gzip.open(source, "rb") as packed, target.open("wb") as plain:
                shutil.copyfileobj(packed, plain, _PIECE)
        else:
            _copy_as_one(source, target)
        schema, rows = facts(target)
    except (OSError, EOFError, sqlite3.Error) as error:
        raise StoreError(f"{source} cannot be restored: {error}; nothing was changed") from error
    return Copy(source, schema, rows, source.stat().st_size)


def facts(path: Path) -> tuple[str, dict[str, int]]:
    """Return the schema's version of a store and its rows by table, after a check of the whole file.

    Raises:
        sqlite3.Error: it is no SQLite file, is damaged, or holds no store.
    """
    with closing(_open(path)) as conn:
        (found,) = conn.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"the file is damaged: {found}")
        there = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "alembic_version" not in there:
            raise sqlite3.DatabaseError("it is no store of this program")
        (schema,) = conn.execute("SELECT max(version_num) FROM alembic_version").fetchone()
        counts = {name: f"SELECT count(*) FROM {name}" for name in TABLES if name in there}  # noqa: S608 -- our names
        return str(schema), {name: conn.execute(count).fetchone()[0] for name, count in counts.items()}


def replace(store: Path, draft: Path, aside: Path | None) -> None:
    """Put `draft` in the place of `store`, which is kept as `aside`; at every instant a whole store is in place.

    Raises:
        StoreError: somebody else has the store open, or a file cannot be written.
    """
    try:
        if aside is not None:
            _gather(store)
            for side in ("", *_SIDES):
                if (path := Path(f"{store}{side}")).exists():
                    _also_as(path, Path(f"{aside}{side}"))
        for side in _SIDES:  # what was written ahead belongs to the old file: it must never meet the new one
            Path(f"{store}{side}").unlink(missing_ok=True)
        _move(draft, store)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{store} cannot be replaced: {error}; nothing was restored") from error


def _gather(store: Path) -> None:
    """Move what was written ahead into the file; one that is no database any more is left as it is."""
    with closing(sqlite3.connect(store, timeout=_WAIT_S)) as conn:
        try:
            conn.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            return


def _also_as(path: Path, name: Path) -> None:
    """Give a file a second name, or, where the file system knows no such thing, copy it."""
    try:
        os.link(path, name)
    except FileExistsError:
        raise
    except OSError:
        shutil.copy2(path, name)


def _pack(raw: Path, packed: Path) -> None:
    with raw.open("rb") as plain, gzip.open(packed, "wb", compresslevel=6) as target:
        shutil.copyfileobj(plain, target, _PIECE)


def _copy_as_one(source: Path, target: Path) -> None:
    """Copy a database with what was written ahead of its file into one file."""
    target.unlink(missing_ok=True)
    with closing(_open(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)  # in one step: one of some pages begins anew whenever somebody writes
        here.execute("PRAGMA journal_mode=DELETE")


def _move(draft: Path, target: Path) -> None:
    """Put a file that is whole in its place, for good."""
    _sync(draft)
    draft.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise sqlite3.OperationalError(f"there is no file {path}")
    conn = sqlite3.connect(path, timeout=_WAIT_S)
    conn.execute("PRAGMA query_only=ON")
    return conn
