"""Moving a store to another database: all of its history, or nothing.

What was queued, went on or waits is moved as it is: the service that starts on the new database takes it up like one
that was killed. Left out is who took part (`processes`). Both databases are kept off from everybody else meanwhile; the
old one is only read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Select, Table, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import ConfigError, Problem, StoreError, StoreLocked
from pipelines.store import copies, database, holding, url_names, versions, whole_tables
from pipelines.store.face_schema import notes, processes
from pipelines.store.schema import metadata
from pipelines.store.url_names import Names, named
from pipelines.store.whole_tables import PIECE, Row, Tally

_LOCK_WAIT = text("SET LOCAL lock_timeout = '5s'")
_NO_HASTE = ("statement_timeout", "idle_in_transaction_session_timeout")
"""What a server sets to end transactions that take long or wait, as these two must: for each other."""
_OPTIONS = Names()
_AS_BEFORE = "nothing was moved, both databases are as they were"


@dataclass(frozen=True, slots=True)
class Share:
    """One table's part: the `rows` to move, and the `orphans` left out because their run is not there."""

    table: str
    rows: int
    orphans: int


@dataclass(frozen=True, slots=True)
class Step:
    """How far a table is: `done` of `rows` after `seconds`; `checked` once it was read again and is the same."""

    table: str
    done: int
    rows: int
    seconds: float
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved, or with `dry_run` would be, from where to where (without passwords), in how many seconds."""

    source: str
    target: str
    shares: tuple[Share, ...]
    seconds: float
    dry_run: bool

    @property
    def rows(self) -> int:
        """The rows of all tables."""
        return sum(share.rows for share in self.shares)


Tell = Callable[[Step], None]


def tables() -> list[Table]:
    """Return the tables that are moved, each after those that it refers to."""
    return [table for table in metadata.sorted_tables if table is not processes]


def move(source: str, target: str, tell: Tell, *, dry_run: bool = False, names: Names = _OPTIONS) -> Moved:
    """Move the store at the URL `source` to the empty database at the URL `target`, and make sure that it is the same.

    All of it is one transaction of the target: should this process end before it has, the target is as before.
    `names` say in errors which URL is meant.

    Raises:
        ConfigError: a URL cannot be read, both are the same, or there is no store at the source.
        StoreLocked: a service, a worker or a command uses one of them.
        SchemaTooNew: one of them was written by a newer version of this program.
        StoreError: the target is not empty, or a database refused; it is as before.
    """
    _refuse_wrong(source, target, names)
    began = monotonic()
    with ExitStack() as stack:
        with named(names.source):
            there = stack.enter_context(_source(source))
        shares = _shares(there, source)
        with named(names.target):
            if dry_run:
                _try_target(target)
            else:
                stack.enter_context(holding.hold(target, alone=True))
                _fill(there, target, shares, tell)
    return Moved(_shown(source), _shown(target), shares, monotonic() - began, dry_run)


def _refuse_wrong(source: str, target: str, names: Names) -> None:
    url_names.read(source, names.source)
    url_names.read(target, names.target)
    if _place(source) == _place(target):
        raise ConfigError([Problem(f"{_shown(target)} is the very store to move; name another database", names.target)])
    file = database.file_of(source)
    if file is not None and not file.is_file():
        raise ConfigError([Problem(f"{file}: there is no store", names.source)])


def _place(url: str) -> object:
    """Return what two URLs of one database have in common."""
    parsed = database.parse(url)
    options = parsed.query.get("options")
    return database.file_of(url) or (parsed.host, parsed.port or 5432, parsed.database, options)


def _shown(url: str) -> str:
    file = database.file_of(url)
    return f"sqlite:///{file}" if file else database.shown(url)


@contextmanager
def _source(url: str) -> Iterator[Connection]:
    """Within the block nobody writes to the store at `url`; what is read is of this program's schema."""
    with holding.hold(url, alone=True), ExitStack() as stack:
        conn = stack.enter_context(_transaction(url))
        present = versions.of(conn)
        versions.refuse_unknown(present, _shown(url))
        if present is None:
            raise StoreError(f"{_shown(url)}: there is no store; name another in SCHEDULER_DB_URL")
        if present == versions.known()[0]:
            _keep_writers_off(conn, url)
            yield conn
            return
        file = database.file_of(url)
        if file is None:
            raise StoreError(
                f"{_shown(url)}: its schema is version {present}, this program's is {versions.known()[0]}: bring it up "
                "to date first: SCHEDULER_DB_URL=… pipecall start, and stop that service again"
            )
        yield stack.enter_context(_brought_to_date(file))


@contextmanager
def _brought_to_date(file: Path) -> Iterator[Connection]:
    """Copy a file of an older schema beside it, and change the copy; the file is left as it is."""
    with TemporaryDirectory(prefix=".moving-", dir=file.parent) as folder:
        copy = Path(folder) / file.name
        copies.copy(file, copy)
        with _transaction(f"sqlite:///{copy}") as conn:
            versions.upgrade(conn)
            yield conn


@contextmanager
def _transaction(url: str) -> Iterator[Connection]:
    """Open a transaction that nobody else writes beside on SQLite; it is rolled back at the end.

    Raises:
        StoreError: the database cannot be used.
    """
    engine = database.connect(url)
    try:
        with database.writing(engine).connect() as conn, conn.begin() as transaction:
            _without_haste(conn)
            yield conn
            transaction.rollback()
    except SQLAlchemyError as error:
        raise StoreError(f"{_shown(url)}: {database.reason(error)}; {_AS_BEFORE}") from error
    finally:
        engine.dispose()


def _without_haste(conn: Connection) -> None:
    """Let the transaction take its time."""
    if conn.dialect.name == "postgresql":
        for limit in _NO_HASTE:
            conn.execute(text(f"SET LOCAL {limit} = 0"))


def _all_names() -> str:
    return ", ".join(table.name for table in tables())


def _keep_writers_off(conn: Connection, url: str) -> None:
    """Take, on a server, a lock that lets others read only: commands work without holding the database."""
    if conn.dialect.name != "postgresql":
        return
    try:
        conn.execute(_LOCK_WAIT)
        conn.execute(text(f"LOCK TABLE {_all_names()} IN SHARE MODE"))
    except SQLAlchemyError as error:
        raise StoreLocked(
            f"{_shown(url)}: somebody writes to it: {database.reason(error)}; end that command or program first"
        ) from error


def _shares(conn: Connection, url: str) -> tuple[Share, ...]:
    try:
        return tuple(
            Share(table.name, whole_tables.count(conn, table), whole_tables.orphans(conn, table)) for table in tables()
        )
    except SQLAlchemyError as error:
        raise StoreError(f"{_shown(url)} cannot be read: {database.reason(error)}; {_AS_BEFORE}") from error


def _try_target(url: str) -> None:
    """See that the target can be reached and is empty; a file that is not there is not made."""
    file = database.file_of(url)
    if file is None or file.exists():
        with _transaction(url) as conn:
            versions.refuse_unknown(versions.of(conn), _shown(url))
            _refuse_filled(conn, url)


def _refuse_filled(conn: Connection, url: str) -> None:
    there = set(inspect(conn).get_table_names())
    for table in tables():
        if table.name in there and conn.execute(_first(table)).first() is not None:
            raise StoreError(
                f"{_shown(url)} is not empty: there is something in its table {table.name}; name an empty database "
                f"with --to, or empty that one; {_AS_BEFORE}"
            )


def _first(table: Table) -> Select[Any]:
    own = [notes.c.name != versions.OLDEST_NOTE] if table is notes else []
    return select(text("1")).select_from(table).where(*own).limit(1)


def _fill(there: Connection, target: str, shares: tuple[Share, ...], tell: Tell) -> None:
    """Move everything in one transaction of the target.

    Raises:
        SchemaTooNew: a newer version of this program wrote it, and more than additions.
        StoreError: it is not empty, or one of the databases refused.
    """
    engine = database.connect(target)
    try:
        with database.writing(engine).begin() as here:
            _without_haste(here)
            database.bring_to_date(here)
            if here.dialect.name == "postgresql":
                here.execute(text(f"LOCK TABLE {_all_names()} IN ACCESS EXCLUSIVE MODE"))
            _refuse_filled(here, target)
            here.execute(notes.delete())  # the source has that of its schema as well, which is the same
            _move_rows(there, here, shares, tell)
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        raise StoreError(f"{_shown(target)}: {database.reason(error)}; {_AS_BEFORE}") from error
    finally:
        engine.dispose()


def _move_rows(there: Connection, here: Connection, shares: tuple[Share, ...], tell: Tell) -> None:
    sent: list[Tally] = []
    with whole_tables.unindexed(here, tables()):
        for table, share in zip(tables(), shares, strict=True):
            tally = Tally()
            whole_tables.write(here, table, _told(whole_tables.rows(there, table), tally, share, tell))
            sent.append(tally)
            if (last := whole_tables.last_id(there, table)) is not None:
                whole_tables.set_last_id(here, table, last)
    for table, share, tally in zip(tables(), shares, sent, strict=True):
        _check(here, table, tally)
        tell(Step(share.table, tally.rows, share.rows, 0.0, checked=True))


def _told(rows: Iterator[Row], tally: Tally, share: Share, tell: Tell) -> Iterator[Row]:
    """Hand on rows, count them in, and tell every now and then how far it is; at the end in any case."""
    began = monotonic()
    for row in tally.over(rows):
        if tally.rows % PIECE == 0:
            tell(Step(share.table, tally.rows, share.rows, monotonic() - began))
        yield row
    if tally.rows % PIECE or not tally.rows:
        tell(Step(share.table, tally.rows, share.rows, monotonic() - began))


def _check(here: Connection, table: Table, sent: Tally) -> None:
    """Read a table of the target again, all of it.

    Raises:
        StoreError: it does not hold what was sent.
    """
    found = Tally()
    for _ in found.over(whole_tables.rows(here, table)):
        pass
    if found != sent:
        raise StoreError(
            f"table {table.name}: {sent.rows:,} rows were sent, and the {found.rows:,} that arrived are not the same; "
            f"{_AS_BEFORE}. Please report this with what 'pipecall doctor' says"
        )
