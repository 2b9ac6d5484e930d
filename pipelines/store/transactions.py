"""One write transaction after the other on one connection: how durable each is, and when it is tried again.

Tried again is what another one may cure: a database that is locked, a connection that broke, two transactions that wait
for each other. Should the connection break while PostgreSQL commits, it is asked afterwards whether it did. A crash may
lose a transaction together with its number, which another one gets then: what that number says is not believed after a
crash, and the caller learns that the database was out of reach.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from time import monotonic, sleep
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RootTransaction, Row, text
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError

from pipelines.errors import StoreError
from pipelines.store import postgresql
from pipelines.store.database import reason, writing

R = TypeVar("R")

GIVE_UP_S = 60.0
"""How long a database that is locked or out of reach is waited for."""
_FIRST_WAIT_S = 0.01
_LONGEST_WAIT_S = 1.0
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_PASSING = ("08", "25006", "40", "532", "533", "55P03", "57P")
"""Beginnings of SQLSTATEs that pass: connection, a primary that became a standby, rollback, too little memory, too many
sessions, lock not available, server going or coming. A full disk is told at once: it takes people."""

_XID = text("SELECT CAST(pg_current_xact_id_if_assigned() AS text) AS xid, clock_timestamp() AS at")
_STATUS = text(
    """
    SELECT pg_xact_status(CAST(:xid AS xid8)) AS status,
           coalesce((SELECT stats_reset > :at FROM pg_stat_bgwriter), false) AS crashed
    """
)
_NOT_DURABLE = text("SET LOCAL synchronous_commit = off")

_log = logging.getLogger(__name__)


class Unavailable(Exception):
    """The database stayed locked or out of reach; `cause` is what it said last.

    `in_doubt` says that the transaction may have been committed all the same.
    """

    def __init__(self, cause: Exception, *, in_doubt: bool = False) -> None:
        """Keep the last error."""
        super().__init__(str(cause))
        self.cause = cause
        self.in_doubt = in_doubt


class Transactions:
    """Runs functions of a connection, each in a transaction of its own; for one thread only."""

    def __init__(self, engine: Engine, *, give_up_s: float = GIVE_UP_S) -> None:
        """Open nothing yet; `give_up_s` is how long a database that is out of reach is waited for."""
        self._engine = writing(engine)
        self._postgresql = engine.dialect.name == "postgresql"
        self._give_up_s = give_up_s
        self._conn: Connection | None = None
        self._durable: bool | None = None

    def hurry(self, give_up_s: float) -> None:
        """Wait for no more than so many seconds from now on, also in a transaction under way; from any thread."""
        self._give_up_s = min(self._give_up_s, give_up_s)

    def run(self, work: Callable[[Connection], R], *, durable: bool) -> R:
        """Return what `work` returned, once it is committed. It may be called again if the database gave way.

        Raises:
            Unavailable: the database stayed locked or out of reach.
            Exception: what `work` or the database raised; everything is rolled back then.
        """
        began_s = monotonic()
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return self._once(work, durable=durable, began_s=began_s)
            except DBAPIError as error:
                if not _passing(error):
                    raise
                self.close()
                if monotonic() + wait_s > began_s + self._give_up_s:
                    raise Unavailable(error) from error
                _log.log(
                    logging.WARNING if wait_s == _FIRST_WAIT_S else logging.DEBUG,
                    "the database gave way, trying again: %s",
                    reason(error),
                )
            sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def close(self) -> None:
        """Give the connection back; the next transaction opens another. A reader cannot use one of PostgreSQL's."""
        conn, self._conn, self._durable = self._conn, None, None
        if conn is not None:
            if self._postgresql:
                conn.invalidate()
            conn.close()

    def _once(self, work: Callable[[Connection], R], *, durable: bool, began_s: float) -> R:
        conn = self._ready(durable=durable)
        transaction = conn.begin()
        try:
            if self._postgresql and not durable:
                conn.execute(_NOT_DURABLE)
            result = work(conn)
            mark = conn.execute(_XID).one() if self._postgresql else None
        except BaseException:
            transaction.rollback()
            raise
        self._commit(transaction, mark, began_s)
        return result

    def _ready(self, *, durable: bool) -> Connection:
        """Return the connection; SQLite can be told how durable it shall be only outside a transaction."""
        if self._conn is None:
            self._conn = self._engine.connect()
            if self._postgresql:
                postgresql.for_writing(self._conn)
        if not self._postgresql and durable != self._durable:
            _set_synchronous(self._conn, "FULL" if durable else "NORMAL")
            self._durable = durable
        return self._conn

    def _commit(self, transaction: RootTransaction, mark: Row[Any] | None, began_s: float) -> None:
        try:
            transaction.commit()
        except DBAPIError as error:
            transaction.connection.invalidate()  # refused by SQLite, it is still open, and SQLAlchemy thinks it is not
            self.close()
            if not error.connection_invalidated:
                raise
            _log.warning("the connection broke amid a commit, asking what became of it: %s", reason(error))
            if mark is None or mark.xid is None or not self._did_commit(mark, error, began_s):
                raise

    def _did_commit(self, mark: Row[Any], error: DBAPIError, began_s: float) -> bool:
        """Ask PostgreSQL what became of a transaction whose commit it did not answer."""
        while monotonic() < began_s + self._give_up_s:
            match self._became(mark):
                case "committed", crashed:
                    if crashed:
                        break
                    return True
                case ("aborted", _) | ("lost", _):
                    return False
            sleep(_LONGEST_WAIT_S / 4)
        raise Unavailable(error, in_doubt=True) from error

    def _became(self, mark: Row[Any]) -> tuple[str | None, bool]:
        """Return what the server knows of a transaction, and whether it crashed since."""
        try:
            with self._engine.connect() as conn:
                status, crashed = conn.execute(_STATUS, {"xid": mark.xid, "at": mark.at}).one()
                return status, crashed
        except OperationalError:
            return None, False
        except DataError:  # a number that no transaction has had yet: a crash took it with all that was written
            return "lost", True


def _set_synchronous(conn: Connection, level: str) -> None:
    statement = f"PRAGMA synchronous={level}"
    try:
        conn.connection.cursor().execute(statement)
    except sqlite3.OperationalError as error:
        raise OperationalError(statement, None, error) from error


def _passing(error: DBAPIError) -> bool:
    """Say whether trying again may help."""
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return (getattr(error.orig, "sqlite_errorcode", 0) & 0xFF) in _BUSY
    sqlstate = getattr(error.orig, "sqlstate", None)
    return sqlstate.startswith(_PASSING) if sqlstate else isinstance(error, OperationalError)


def as_told(error: BaseException) -> Exception:
    """Return an error as callers shall see it: what a database said becomes a StoreError, the rest stays."""
    if isinstance(error, Unavailable):
        if not error.in_doubt:
            return as_told(error.cause)
        what = "the database went away amid a commit, which may have been done or not"
        told: Exception = StoreError(f"{what}: {reason(error.cause)}")
        error = error.cause
    elif isinstance(error, SQLAlchemyError):
        told = StoreError(f"the database refused: {reason(error)}")
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    else:
        told = RuntimeError(f"a write ended with {error!r}")  # neither can be raised in who waits
    told.__cause__ = error
    return told
