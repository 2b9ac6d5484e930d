"""Runs that wait for a version of their pipeline that nobody has any more: they get the one that is in force."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, bindparam, select, update

from pipelines.model import RunState
from pipelines.store import ends, processes
from pipelines.store.schema import in_states, runs

_WAITING = in_states(RunState.QUEUED, RunState.WAITING_RETRY)
_WANTED = select(runs.c.pipeline, runs.c.version).where(_WAITING, runs.c.version.is_not(None)).distinct()
_RENEW = (
    update(runs)
    .where(_WAITING, runs.c.pipeline == bindparam("of"), runs.c.version == bindparam("old"))
    .values(version=bindparam("new"))
    .returning(runs.c.id)
)


@dataclass(frozen=True, slots=True)
class Renew:
    """A look for such runs. `version` gives that of a pipeline in force here (None: it is not here).

    Who executes runs, and has spoken `within` so long, counts as being there. A version that none of those has is given
    to no run: two schedulers with other versions than all workers would give them theirs by turns.
    """

    version: Callable[[str], str | None]
    within: timedelta


@dataclass(frozen=True, slots=True)
class Renewed:
    """Runs of a pipeline that needed the version `old`, and now need `new`."""

    pipeline: str
    old: str
    new: str
    ids: tuple[int, ...]


def renew(conn: Connection, looks: Sequence[Renew]) -> list[list[Renewed]]:
    """Give runs whose version nobody has the one in force here; those of pipelines that are not here are left alone."""
    return [_renew(conn, look) for look in looks]


def _renew(conn: Connection, look: Renew) -> list[Renewed]:
    others = [(row.pipeline, row.version) for row in conn.execute(_WANTED) if row.version != look.version(row.pipeline)]
    if not others:
        return []
    there = processes.versions(conn, look.within)
    renewed = []
    for pipeline, old in others:
        new = look.version(pipeline)
        have = there.get(pipeline, ())
        if new is None or new not in have or old in have:
            continue
        ids = sorted(conn.execute(_RENEW, {"of": pipeline, "old": old, "new": new}).scalars())
        ends.again(conn, ids)
        renewed.append(Renewed(pipeline, old, new, tuple(ids)))
    return renewed
