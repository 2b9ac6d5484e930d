"""Tickets: jobs of procrastinate by which workers learn, soon and in order, that a run may start.

A ticket says no more than "look at this run": whether it starts is decided by its claim. So a ticket too many is
dropped, and one that was lost is given again. They are given in the transaction that queues a run, and only for as many
runs as have room, so that a long queue costs the workers nothing. procrastinate's tables are in `ticket_tables`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2s
from itertools import groupby
from operator import attrgetter
from pkgutil import resolve_name
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal, select, text, update
from sqlalchemy.exc import DBAPIError

from pipelines.errors import ConfigError, Problem
from pipelines.model import Run, RunState, utcnow
from pipelines.store import bulk, clock, sharing, unticketed
from pipelines.store.columns import any_of
from pipelines.store.places import Room
from pipelines.store.rows import to_run
from pipelines.store.schema import in_states, runs
from pipelines.store.ticket_tables import TASK
from pipelines.wording import installing

AT_ONCE = 500
"""So many tickets are written in one statement."""
_PAGE = 200
_LONGEST_QUEUE = 40
"""So many characters a queue's name may have: PostgreSQL's channels, named after queues, have 63 at most."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_FORGOTTEN_S = 120
"""After so long without a sign of life, in seconds, a worker of procrastinate's is gone."""

_WAITING = in_states(RunState.QUEUED, RunState.WAITING_RETRY)
_OF_TICKETS = (runs.c.pipeline, runs.c.lane, runs.c.pool)
_SPOKEN_FOR = (
    select(
        runs.c.pipeline,
        literal(RunState.RUNNING.value).label("state"),
        runs.c.lane,
        runs.c.pool,
        func.count().label("held"),
        func.max(runs.c.max_instances).label("limit"),
    )
    .where(
        in_states(RunState.QUEUED),
        runs.c.ticket.is_not(None),
        runs.c.queue == bindparam("in_queue"),
        runs.c.rank <= bindparam("in_rank"),
    )
    .group_by(*_OF_TICKETS)
)
_CHOSEN = (
    select(runs)
    .where(any_of(runs.c.id, "ids"), _WAITING, runs.c.ticket.is_(None))
    .order_by(runs.c.id)
    .with_for_update(skip_locked=True)
)
_GIVE = (
    update(runs)
    .where(runs.c.id == bindparam("of"))
    .values(ticket=bindparam("job"), ticketed_at=bindparam("given_at", type_=runs.c.ticketed_at.type))
)
_TAKE_BACK = update(runs).where(any_of(runs.c.id, "ids"), runs.c.ticket.is_not(None)).values(ticket=None)
_DROP = (
    update(runs)
    .where(runs.c.id == bindparam("of"), runs.c.ticket == bindparam("job"), _WAITING)
    .values(ticket=None, ticketed_at=None)
)
_NO_JOB_WAITS = text("NOT EXISTS (SELECT FROM procrastinate_jobs WHERE id = runs.ticket AND status = 'todo')")
_LOST = (
    update(runs)
    .where(
        _WAITING,
        runs.c.ticket.is_not(None),
        runs.c.ticketed_at < bindparam("before", type_=runs.c.ticketed_at.type),
        _NO_JOB_WAITS,
    )
    .values(ticket=None)
    .returning(runs.c.id)
)
_WANTED_VERSION = select(runs.c.pipeline, runs.c.version).where(
    runs.c.id == bindparam("of"), runs.c.version.is_not(None), _WAITING
)
_WORKERS_GONE = text(
    "DELETE FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => :forgotten_s)"
)
_JOBS_LEFT = text("DELETE FROM procrastinate_jobs WHERE task_name = :task AND worker_id IS NULL AND status <> 'todo'")


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A look for runs that may start and have no ticket. With `lost_after`, also for tickets that were lost.

    Lost is one that was given longer ago than that, while its run still waits and its job does not: whoever took it
    ended before it could claim the run.
    """

    lost_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """A ticket, the job `ticket`, whose run may not start now."""

    run_id: int
    ticket: int


class ProcrastinateTickets:
    """Gives tickets, in the transaction of whoever calls. It is used by the writer's thread alone."""

    def __init__(self, pools: Callable[[], Mapping[str, int]], in_all: Callable[[], int | None]) -> None:
        """`pools` gives the limits of pools by name, `in_all` how many runs may be at work everywhere (None: no limit).

        Raises:
            ConfigError: procrastinate, or the driver's pool, is not installed.
        """
        self._pools, self._in_all = pools, in_all
        logging.getLogger("procrastinate").setLevel(logging.WARNING)  # it has a line for each ticket
        try:
            connector = resolve_name("procrastinate:SyncPsycopgConnector")()  # never opened: connections are given
        except ImportError as error:
            raise missing(error.name or "procrastinate") from error
        self._app: Any = resolve_name("procrastinate:App")(connector=connector)

    def hand_over(self, conn: Connection, given: Sequence[Run]) -> None:
        """Give tickets to runs that were queued and have room, and to those that wait for their next attempt."""
        fresh = [run for run in given if run.state is RunState.QUEUED]
        if again := [run.id for run in fresh if run.attempt]:
            conn.execute(_TAKE_BACK, {"ids": again})
        by_kind = attrgetter("priority", "queue")
        for (priority, queue), group in groupby(sorted(fresh, key=by_kind, reverse=True), by_kind):
            those = {run.id: run for run in group}
            asked = {"only": frozenset(those)}
            self._give(conn, [those[each] for each in self._with_room(conn, queue, -priority, asked)])
        self._give(conn, [run for run in given if run.state is RunState.WAITING_RETRY])

    def dispatch(self, conn: Connection, looks: Sequence[Dispatch]) -> list[int]:
        """Give tickets to waiting runs that have none and have room; returns, for each look, how many were given.

        Runs that need a version which this process does not have are left to those that have it.
        """
        patience = [look.lost_after for look in looks if look.lost_after is not None]
        if patience:
            _clear(conn, min(patience))
        found = 0
        for rank, queue in unticketed.groups(conn):
            ids = list(self._with_room(conn, queue, rank, {"in_queue": queue, "in_rank": rank}))
            chosen = [to_run(row) for row in conn.execute(_CHOSEN, {"ids": ids})] if ids else []
            self._give(conn, chosen)
            found += len(chosen)
        return [found] + [0] * (len(looks) - 1)

    def _with_room(self, conn: Connection, queue: str, rank: int, which: Mapping[str, Any]) -> Iterable[int]:
        """Return runs of one queue and rank that may start, once all that have tickets and go first have started."""
        spoken_for = conn.execute(_SPOKEN_FOR, {"in_queue": queue, "in_rank": rank}).all()
        room = Room(conn, self._pools(), self._in_all(), besides=spoken_for)
        versions: dict[str, str | None] = {}

        def have(pipeline: str) -> str | None:
            if pipeline not in versions:
                versions[pipeline] = sharing.version(conn, pipeline)
            return versions[pipeline]

        mine = "only" not in which
        return room.first_to_start(
            {"now": utcnow(), "page": _PAGE, **which},
            lambda row: not mine or row.version is None or row.version == have(row.pipeline),
        )

    def _give(self, conn: Connection, chosen: Sequence[Run]) -> None:
        if not chosen:
            return
        now = clock.now(conn)
        rows = []
        for (queue, priority, due), group in groupby(sorted(chosen, key=_kind), _kind):
            those = list(group)
            at = due if due > now else None
            for first in range(0, len(those), AT_ONCE):
                part = those[first : first + AT_ONCE]
                jobs = self._defer(conn, part, queue=queue_of(queue), priority=priority, schedule_at=at)
                given = zip(part, jobs, strict=True)
                rows += [{"of": run.id, "job": job, "given_at": at or now} for run, job in given]
        bulk.execute(conn, _GIVE, rows)

    def _defer(self, conn: Connection, those: Sequence[Run], **options: Any) -> list[int]:
        """Write jobs on the connection itself, so that they are there if, and only if, its transaction commits."""
        raw: Any = conn.connection.driver_connection
        task = self._app.configure_task(TASK, connection=raw, **options)
        try:
            jobs: list[int] = task.batch_defer(*({"run_id": run.id} for run in those))
        except resolve_name("procrastinate.exceptions:ConnectorException") as error:
            raise _of_database(conn, error) from error
        return jobs

    def drop(self, conn: Connection, drops: Sequence[Drop]) -> list[None]:
        """Take note that tickets are used up while their runs still wait: they get others once there is room."""
        bulk.execute(conn, _DROP, [{"of": each.run_id, "job": each.ticket} for each in drops])
        return [None] * len(drops)


def missing(library: str) -> ConfigError:
    """Return what to tell where a library is not installed."""
    told = f"EXECUTOR=procrastinate needs {library}, which is not installed: {installing('distributed')}"
    return ConfigError([Problem(f"{told}, or set EXECUTOR=local", path="EXECUTOR", file="environment or .env")])


def wanted_version(conn: Connection, run_id: int) -> tuple[str, str] | None:
    """Return the pipeline of a run that waits, and the version of it that it needs; None where it needs none."""
    row = conn.execute(_WANTED_VERSION, {"of": run_id}).one_or_none()
    return None if row is None else (row.pipeline, row.version)


def queue_of(name: str) -> str:
    """Return procrastinate's name of a queue: the same, but for a long one, of which it is made."""
    if len(name) <= _LONGEST_QUEUE:
        return name
    return f"{name[:23]}#{blake2s(name.encode(), digest_size=8).hexdigest()}"


def _kind(run: Run) -> tuple[str, int, datetime]:
    """Return what one batch of jobs has in common: queue, priority, and from when on the runs may start."""
    return run.queue, run.priority, run.not_before or _LONG_AGO


def _clear(conn: Connection, patience: timedelta) -> None:
    """Remove tickets that were lost, and what workers that are gone have left in procrastinate's tables."""
    conn.execute(_LOST, {"before": clock.now(conn) - patience})
    conn.execute(_WORKERS_GONE, {"forgotten_s": max(_FORGOTTEN_S, 4 * patience.total_seconds())})
    conn.execute(_JOBS_LEFT, {"task": TASK})


def _of_database(conn: Connection, error: Exception) -> Exception:
    """Return what the driver said under procrastinate's error, as SQLAlchemy tells it: what may pass is tried again."""
    said = error.__cause__
    driver: Any = conn.dialect.dbapi
    if not isinstance(said, driver.Error):
        return error
    broken = conn.dialect.is_disconnect(said, conn.connection, None)
    told: Exception = DBAPIError.instance(
        f"defer {TASK}", None, said, driver.Error, connection_invalidated=broken, dialect=conn.dialect
    )
    return told
