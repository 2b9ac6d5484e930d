"""One write transaction after the other on one connection: how durable each is, and when it is tried again.

Tried again is what another one may cure: a database that is locked, a connection that broke, two transactions that wait
for each other. Should the connection break while PostgreSQL commits, it is asked afterwards whether it did.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from time import monotonic, sleep
from typing import TypeVar

from sqlalchemy import Connection, Engine, RootTransaction, text
from sqlalchemy.exc import DBAPIError, OperationalError

from pipelines.store.database import reason, writing

R = TypeVar("R")

GIVE_UP_S = 60.0
"""How long a database that is locked or out of reach is waited for."""
_FIRST_WAIT_S = 0.01
_LONGEST_WAIT_S = 1.0
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_PASSING = ("08", "40", "53", "55P03", "57P")
"""Beginnings of SQLSTATEs that pass: connection, rollback, resources, lock not available, server going or coming."""

_XID = text("SELECT CAST(pg_current_xact_id_if_assigned() AS text)")
_STATUS = text("SELECT pg_xact_status(CAST(:xid AS xid8))")
_NOT_DURABLE = text("SET LOCAL synchronous_commit = off")

_log = logging.getLogger(__name__)


class Unavailable(Exception):
    """The database stayed locked or out of reach; `cause` is what it said last."""

    def __init__(self, cause: Exception) -> None:
        """Keep the last error."""
        super().__init__(str(cause))
        self.cause = cause


class Transactions:
    """Runs functions of a connection, each in a transaction of its own; for one thread only."""

    def __init__(self, engine: Engine, *, give_up_s: float = GIVE_UP_S) -> None:
        """Open nothing yet; `give_up_s` is how long a database that is out of reach is waited for."""
        self._engine = writing(engine)
        self._postgresql = engine.dialect.name == "postgresql"
        self._give_up_s = give_up_s
        self._conn: Connection | None = None
        self._durable: bool | None = None

    def run(self, work: Callable[[Connection], R], *, durable: bool) -> R:
        """Return what `work` returned, once it is committed. It may be called again if the database gave way.

        Raises:
            Unavailable: the database stayed locked or out of reach.
            Exception: what `work` or the database raised; everything is rolled back then.
        """
        until = monotonic() + self._give_up_s
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return self._once(work, durable=durable, until=until)
            except DBAPIError as error:
                self.close()
                if not _passing(error):
                    raise
                if monotonic() + wait_s > until:
                    raise Unavailable(error) from error
                _log.log(
                    logging.WARNING if wait_s == _FIRST_WAIT_S else logging.DEBUG,
                    "the database gave way, trying again: %s",
                    reason(error),
                )
            sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def close(self) -> None:
        """Give the connection back; the next transaction opens another."""
        conn, self._conn, self._durable = self._conn, None, None
        if conn is not None:
            conn.close()

    def _once(self, work: Callable[[Connection], R], *, durable: bool, until: float) -> R:
        conn = self._ready(durable=durable)
        transaction = conn.begin()
        try:
            if self._postgresql and not durable:
                conn.execute(_NOT_DURABLE)
            result = work(conn)
            xid = conn.execute(_XID).scalar_one() if self._postgresql else None
        except BaseException:
            transaction.rollback()
            raise
        self._commit(transaction, xid, until)
        return result

    def _ready(self, *, durable: bool) -> Connection:
        """Return the connection; SQLite can be told how durable it shall be only outside a transaction."""
        if self._conn is None:
            self._conn = self._engine.connect()
        if not self._postgresql and durable != self._durable:
            _set_synchronous(self._conn, "FULL" if durable else "NORMAL")
            self._durable = durable
        return self._conn

    def _commit(self, transaction: RootTransaction, xid: str | None, until: float) -> None:
        try:
            transaction.commit()
        except DBAPIError as error:
            self.close()
            if xid is None or not error.connection_invalidated or not self._did_commit(xid, error, until):
                raise

    def _did_commit(self, xid: str, error: DBAPIError, until: float) -> bool:
        """Ask PostgreSQL what became of a transaction whose commit it did not answer."""
        while monotonic() < until:
            try:
                with self._engine.connect() as conn:
                    status = conn.execute(_STATUS, {"xid": xid}).scalar_one()
            except OperationalError:
                status = "unknown"
            if status in ("committed", "aborted"):
                return bool(status == "committed")
            sleep(_LONGEST_WAIT_S / 4)
        raise Unavailable(error) from error


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
    return isinstance(error, OperationalError) and (sqlstate is None or sqlstate.startswith(_PASSING))
