"""A session of PostgreSQL that does not wait for ever for a server that has fallen silent, nor the server for it.

The system notices by itself that nobody confirms what it sends (`keepalives`, `tcp_user_timeout`). It does not notice a
server that is frozen, or a proxy before it that hangs. Nor can a limit for statements tell those from one that takes
its time. So whoever has waited `SILENCE_S` for an answer asks the server for another session: gets it one, or a refusal
in words, it waits on; else the connection counts as broken.

The other way round the server ends a transaction in which nothing is asked for a while
(`idle_in_transaction_session_timeout`). It counts that time from the `Sync` at the end of what it was sent: who was
frozen between two of many rows (`executemany`), or after them with a request to flush, as psycopg sends them, would
keep its locks until it wakes. `_Rows` sends them all at once, with their `Sync`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.generators import send
from psycopg.waiting import Ready, Wait

R = TypeVar("R")

SILENCE_S = 10.0
"""So long, in seconds, a server may say nothing before it is asked whether it is there."""
ANSWER_S = 5
"""So long, in seconds, it may take to answer that; psycopg waits at least two."""


class _Rows(psycopg.Pipeline):
    """A pipeline that sends nothing before its `Sync`: the server answers that, and then knows that it has to wait.

    Only beyond libpq's 64 KiB of output do rows go ahead.
    """

    def _communicate_gen(self) -> PQGen[None]:
        if not self.result_queue or self.result_queue[-1] is not None:  # no `Sync` yet
            return
        while self.command_queue:
            self.command_queue.popleft()()
        yield from send(self.pgconn)

    def _exit_gen(self) -> PQGen[None]:
        return self._sync_gen()


class Session(psycopg.Connection[Any]):
    """A connection of psycopg whose statements end with an error when the server has fallen silent."""

    _again: tuple[str, dict[str, Any]] = ("", {})

    @classmethod
    def connect(cls, conninfo: str = "", **given: Any) -> Session:
        """Connect as psycopg does, and remember how, for asking again.

        Raises:
            psycopg.Error: the server cannot be reached or refuses.
        """
        session = super().connect(conninfo, **given)
        session.remember(conninfo, given)
        return session

    def remember(self, conninfo: str, given: dict[str, Any]) -> None:
        """Keep how the server is reached."""
        self._again = (conninfo, given)

    def another(self) -> Session:
        """Open another session in the same way.

        Raises:
            psycopg.Error: the server cannot be reached or refuses.
        """
        conninfo, given = self._again
        return type(self).connect(conninfo, **given)

    @contextmanager
    def _pipeline_nolock(self) -> Iterator[psycopg.Pipeline]:
        """Do what psycopg does for many rows at once (`executemany`), with `_Rows`."""
        self._pipeline = rows = _Rows(self, _no_lock=True)
        try:
            with rows:
                yield rows
        finally:
            self._pipeline = None

    def wait(self, gen: PQGen[R], *args: Any, **given: Any) -> R:
        """Wait for the server as psycopg does, but not for one that has fallen silent.

        Raises:
            psycopg.OperationalError: it has; the session is closed then.
        """
        return super().wait(self._watched(gen), *args, **given)

    def _watched(self, gen: PQGen[R]) -> Generator[Wait, Ready | int, R]:
        """Pass on what is waited for and what is ready, and look at the clock in between."""
        heard = monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard = monotonic()
                elif monotonic() - heard > SILENCE_S:
                    self._ask()
                    heard = monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            result: R = end.value
            return result

    def _ask(self) -> None:
        conninfo, given = self._again
        try:
            psycopg.connect(conninfo, **given | {"connect_timeout": ANSWER_S}).close()
        except psycopg.OperationalError as error:
            if "FATAL" not in str(error):
                self.pgconn.finish()
                raise psycopg.OperationalError(f"the server has fallen silent: {error}") from error
