"""One database connection in a thread of its own, for the SQL stages: nothing a database does holds the event loop.

What is asked of the database lives in `sql` and `table`. The errors made here:

    PipecallError
    └── SqlError           the database could not be used or said no; another attempt may succeed
        └── SqlRefused     the same would be refused again (`retryable` is False)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

import sqlalchemy
from sqlalchemy import Connection, Engine, event, exc, make_url
from sqlalchemy.pool import NullPool

from pipelines.errors import PipecallError

T = TypeVar("T")

WAITS: dict[str, dict[str, Any]] = {
    "pysqlite": {"timeout": 30},
    "psycopg": {"connect_timeout": 10},
    "psycopg2": {"connect_timeout": 10},
}
"""By driver, the seconds to wait for another writer of the file, or for the server to answer at all."""
AGAIN_S = 0.1
"""Seconds from one interrupt to the next."""
INTERRUPT_S = 5.0
"""Seconds that a server gets to take note of a cancel."""


class SqlError(PipecallError):
    """A database that could not be used, or that said no; the text names the stage and the URL without password."""

    retryable = True


class SqlRefused(SqlError):
    """Something the database, or a check before it, would refuse however often it is tried."""

    retryable = False


class Database:
    """A connection to `url`, opened with the first `call`, used by one thread, rolled back and closed at the end.

    `stage` is named in errors. With `writes` a SQLite transaction takes the write lock at its start, and a SQLite
    file's folder is made; without it, a SQLite file that does not exist is refused.

    Raises:
        ValueError: `url` is no database URL.
    """

    def __init__(self, url: str, *, stage: str, writes: bool) -> None:
        """Check the URL; nothing is opened."""
        self.url = parsed_url(url, stage)
        self._name = f"{stage} {self.url.set(query={}).render_as_string(hide_password=True)}"
        self._writes = writes
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=stage)
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._driver: Any = None

    async def __aenter__(self) -> Self:
        """Give the database."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Roll back what was not committed, close the connection, end the thread."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._close)
        finally:
            self._pool.shutdown(wait=False)

    async def call(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the database's thread. A cancel stops the statement that is running, and waits for the thread.

        Raises:
            SqlError, SqlRefused: for what SQLAlchemy raises.
        """
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await self._stop(future)
            raise

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._opened()
                self._driver = self._connection.connection.driver_connection
            return work(self._connection)
        except exc.SQLAlchemyError as error:
            raise self._told(error) from error
        except ModuleNotFoundError as error:
            raise SqlRefused(
                f"{self._name}: its driver {error.name!r} is not installed; install it and start again"
            ) from None

    def _opened(self) -> Connection:
        lite = self.url.get_backend_name() == "sqlite"
        if lite:
            self._prepare_file()
        known = WAITS.get(self.url.get_driver_name(), {})
        waits = {name: value for name, value in known.items() if name not in self.url.query}
        engine = sqlalchemy.create_engine(self.url, poolclass=NullPool, hide_parameters=True, connect_args=waits)
        if lite:
            begin_explicitly(engine, "BEGIN IMMEDIATE" if self._writes else "BEGIN")
        self._engine = engine
        return engine.connect()

    def _prepare_file(self) -> None:
        name = self.url.database or ":memory:"
        if name == ":memory:" or name.startswith("file:"):
            return
        if self._writes:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
        elif not Path(name).exists():
            raise SqlRefused(f"{self._name}: there is no such file; a path is relative to {Path.cwd()}")

    async def _stop(self, future: asyncio.Future[Any]) -> None:
        """Interrupt until the thread is done: a statement that begins a moment after an interrupt is not hit by it."""
        while not future.done():
            stopping = asyncio.get_running_loop().run_in_executor(None, self._interrupt)
            await asyncio.wait([stopping])
            # Looked at, so that asyncio does not complain; the cancel is what counts, not why it took long.
            stopping.exception()
            await asyncio.wait([future], timeout=AGAIN_S)
        future.exception()

    def _interrupt(self) -> None:
        if hasattr(self._driver, "interrupt"):
            self._driver.interrupt()
        elif hasattr(self._driver, "cancel_safe"):
            self._driver.cancel_safe(timeout=INTERRUPT_S)

    def _close(self) -> None:
        try:
            if self._connection is not None:
                self._connection.close()
        finally:
            if self._engine is not None:
                self._engine.dispose()

    def _told(self, error: exc.SQLAlchemyError) -> SqlError:
        cause = error.orig if isinstance(error, exc.StatementError) and error.orig is not None else error
        text = f"{self._name}: {' '.join(str(cause).split())}"
        if "database is locked" in text:
            text += "; another connection is writing to this file, perhaps another stage of the same chain"
        lasting = isinstance(error, exc.ProgrammingError | exc.IntegrityError | exc.DataError | exc.ArgumentError)
        return SqlRefused(text) if lasting else SqlError(text)


def parsed_url(url: str, stage: str) -> sqlalchemy.URL:
    """Return the URL's parts.

    Raises:
        ValueError: it is no database URL; the text does not repeat it, because it may hold a password.
    """
    try:
        return make_url(url)
    except (exc.ArgumentError, ValueError):
        raise ValueError(
            f"{stage}: the url is not a database URL; expected one like sqlite:///data/prices.db or "
            "postgresql+psycopg://user@host/database"
        ) from None


def begin_explicitly(engine: Engine, statement: str) -> None:
    """Have every transaction of a SQLite engine begin with `statement`.

    Python's driver begins one of its own before INSERT, but not before CREATE TABLE, which could then not be rolled
    back (SQLAlchemy's documentation, "Serializable isolation / Savepoints / Transactional DDL").
    """

    @event.listens_for(engine, "connect")
    def _leave_it_to_us(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)
