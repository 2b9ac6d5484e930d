"""A store that several processes share: what each write that queues, starts or ends a run tells the others.

It stands in the connection's options, so that the telling is part of whatever transaction changes a run. A store that
one process has for itself has none, and its runs carry no version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from pipelines.model import Run
from pipelines.store import signals
from pipelines.store.signals import Signal, SignalKind

OPTION = "pipecall_sharing"
"""The execution option of an engine under which its `Sharing` stands."""


class Tickets(Protocol):
    """Hands runs to the engine that workers take work from."""

    def hand_over(self, conn: Connection, runs: Sequence[Run]) -> None:
        """Hand over runs that were queued, or wait for their next attempt, in this very transaction."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """How one process shares a store. `process` is its id, by which it knows its own signals again.

    `version` gives that of a pipeline's definition and code as it is in force here (None: not there). `tickets` is None
    where schedulers execute runs themselves.
    """

    process: str
    version: Callable[[str], str | None]
    tickets: Tickets | None = None


def of(conn: Connection) -> Sharing | None:
    """Return how the store is shared; None where it is not."""
    sharing: Sharing | None = conn.get_execution_options().get(OPTION)
    return sharing


def tell(conn: Connection, ids: Sequence[int]) -> None:
    """Tell the others that these runs were queued, started or ended."""
    sharing = of(conn)
    if sharing is not None and ids:
        signals.put(conn, [Signal(SignalKind.RUN, str(each), sharing.process) for each in ids])


def hand_over(conn: Connection, runs: Sequence[Run]) -> None:
    """Hand runs that may start, now or when their next attempt is due, to the engine that workers take work from."""
    sharing = of(conn)
    if sharing is not None and sharing.tickets is not None and runs:
        sharing.tickets.hand_over(conn, runs)


def version(conn: Connection, pipeline: str) -> str | None:
    """Return the version of a pipeline that a run which is queued now needs; None for any."""
    sharing = of(conn)
    return sharing.version(pipeline) if sharing is not None else None
