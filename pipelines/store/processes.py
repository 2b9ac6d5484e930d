"""Who takes part in a store: the row that each scheduler and each worker keeps of itself.

Whether one is alive is judged by the database's clock alone, as those of several machines differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, delete, null, select, text
from sqlalchemy.dialects import postgresql, sqlite

from pipelines.model import Process, ProcessRole, ProcessState
from pipelines.store import clock
from pipelines.store.columns import any_of
from pipelines.store.face_schema import processes
from pipelines.store.rows import AnyRow

KEPT = timedelta(hours=1)
"""So long after its last word a process that did not leave is remembered."""
LATE_S = 7.0
"""A leader that has been silent for so long, in seconds, is none any more where another leads: it died."""

_TOLD = [each for each in processes.c if each.name not in {"versions", "health"}]
_KNOWN = (processes.c.role.in_(list(ProcessRole)), processes.c.state.in_(list(ProcessState)))
"""Of what a later version may say of itself, this one knows nothing."""
_ALL = (
    select(*_TOLD)
    .where(*_KNOWN)
    .order_by(processes.c.leads.desc(), processes.c.role, processes.c.started_at, processes.c.id)
)
_VERSIONS = select(processes.c.versions, *_TOLD)
_ONE_BY_ONE = text(f"LOCK TABLE {processes.name} IN SHARE ROW EXCLUSIVE MODE")
_LEAVE = delete(processes).where(any_of(processes.c.id, "ids"))


@dataclass(frozen=True, slots=True)
class Beat:
    """A process's word that it is there; the time of it is the database's.

    `versions` are those of its pipelines, as `code_versions` makes them; None where they are what it said before.
    """

    process: Process
    versions: Mapping[str, str] | None = None


def beat(conn: Connection, beats: Sequence[Beat]) -> list[None]:
    """Write down what processes say of themselves; of those of one process the last stays."""
    make = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[conn.dialect.name]
    now = clock.now(conn)
    for each in _last(beats):
        told = {**_columns(each), "beat_at": now}
        statement: Any = make(processes).values(told)
        new = {name: statement.excluded[name] for name in told if name != "id"}
        conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=new))
    return [None] * len(beats)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The first word of a scheduler. Others count that have spoken `within` so long and are not known to be `gone`."""

    beat: Beat
    within: timedelta
    gone: frozenset[str] = frozenset()


def arrive(conn: Connection, arrivals: Sequence[Arrival]) -> list[bool]:
    """Write down that schedulers are there, one after the other; True for each that found no other.

    However many come at one time, one of them is the first: on PostgreSQL they wait for each other.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(_ONE_BY_ONE)
    return [_arrived(conn, each) for each in arrivals]


def _arrived(conn: Connection, arrival: Arrival) -> bool:
    known = {arrival.beat.process.id, *arrival.gone}
    others = [each for each in schedulers(conn, arrival.within) if each.id not in known]
    beat(conn, [arrival.beat])
    return not others


def leave(conn: Connection, ids: Sequence[str]) -> list[None]:
    """Forget processes that have stopped."""
    conn.execute(_LEAVE, {"ids": list(ids)})
    return [None] * len(ids)


def prune(conn: Connection, given: Sequence[timedelta]) -> list[int]:
    """Forget processes that have said nothing for so long; returns how many those were."""
    now = clock.now(conn)
    return [conn.execute(delete(processes).where(processes.c.beat_at < now - long)).rowcount for long in given]


def all_of(conn: Connection) -> list[Process]:
    """Return every process that has not left: the leader first, then schedulers and workers, those by start."""
    now = clock.now(conn)
    found = [_process(row, (now - row.beat_at).total_seconds()) for row in conn.execute(_ALL)]
    led = any(each.leads and each.silent_s <= LATE_S for each in found)
    told = [replace(each, leads=False) if led and each.silent_s > LATE_S else each for each in found]
    return sorted(told, key=lambda each: not each.leads)


def alive(conn: Connection, within: timedelta) -> list[Process]:
    """Return the processes that have spoken `within` so long, in the same order."""
    return [each for each in all_of(conn) if each.silent_s <= within.total_seconds()]


def schedulers(conn: Connection, within: timedelta) -> list[Process]:
    """Return the schedulers that have spoken `within` so long, the leader first."""
    return [each for each in alive(conn, within) if each.role is ProcessRole.SCHEDULER]


def versions(conn: Connection, within: timedelta) -> dict[str, frozenset[str]]:
    """Return the versions of each pipeline that those have who execute runs and have spoken `within` so long."""
    since = clock.now(conn) - within
    found: dict[str, set[str]] = {}
    rows = conn.execute(_VERSIONS.where(processes.c.beat_at >= since, processes.c.slots > 0))
    for row in rows:
        for pipeline, each in (row.versions or {}).items():
            found.setdefault(pipeline, set()).add(each)
    return {pipeline: frozenset(each) for pipeline, each in found.items()}


def _last(beats: Sequence[Beat]) -> list[Beat]:
    """Return one beat of each process: the last, with the last versions that were told."""
    last: dict[str, Beat] = {}
    for each in beats:
        before = last.get(each.process.id)
        told = each.versions if each.versions is not None or before is None else before.versions
        last[each.process.id] = Beat(each.process, told)
    return [last[process_id] for process_id in sorted(last)]


def _columns(given: Beat) -> dict[str, Any]:
    process = given.process
    told = {each.name: getattr(process, each.name) for each in _TOLD}
    queues = sorted(process.queues) if process.queues is not None else null()
    versions = {} if given.versions is None else {"versions": dict(given.versions)}
    return {**told, **versions, "role": process.role.value, "state": process.state.value, "queues": queues}


def _process(row: AnyRow, silent_s: float) -> Process:
    told = dict(zip(row._fields, row, strict=True))
    queues = frozenset(row.queues) if row.queues is not None else None
    kinds = {"role": ProcessRole(row.role), "state": ProcessState(row.state)}
    return Process(**{**told, **kinds, "queues": queues, "silent_s": max(silent_s, 0.0)})
