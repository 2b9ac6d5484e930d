"""Where a run may start: its places in its pipeline, in its lane and in its pool, and who holds them.

A pipeline has `max_instances` places. A lane, the runs of a schedule that go one at a time, has one. A run that waits
for its next attempt keeps these two. A pool has places for runs of several pipelines; only a run at work holds one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, not_, select

from pipelines.model import RunState
from pipelines.store.columns import any_of
from pipelines.store.schema import in_states, runs

_WANTED = (runs.c.pipeline, runs.c.state, runs.c.lane, runs.c.pool)
_HELD = (
    select(*_WANTED, func.count().label("held"), func.max(runs.c.max_instances).label("limit"))
    .where(in_states(RunState.RUNNING, RunState.WAITING_RETRY))
    .group_by(*_WANTED)
)


def _candidates(state: RunState, *, only: bool) -> Select[Any]:
    """Select a page of waiting runs, oldest first, without those whose places are known to be taken."""
    found = (
        select(runs.c.id, *_WANTED, runs.c.max_instances)
        .where(
            in_states(state),
            runs.c.id > bindparam("after"),
            not_(any_of(runs.c.pipeline, "full_pipelines")),
            not_(any_of(func.coalesce(runs.c.lane, ""), "full_lanes")),
            not_(any_of(func.coalesce(runs.c.pool, ""), "full_pools")),
        )
        .order_by(runs.c.id)
        .limit(bindparam("page"))
    )
    if state is RunState.WAITING_RETRY:
        found = found.where(runs.c.not_before <= bindparam("now"))
    return found.where(any_of(runs.c.id, "only")) if only else found


_FRESH = {only: _candidates(RunState.QUEUED, only=only) for only in (False, True)}
_AGAIN = {only: _candidates(RunState.WAITING_RETRY, only=only) for only in (False, True)}


class _Candidate(NamedTuple):
    """A run that may start if there is room."""

    id: int
    pipeline: str
    state: str
    lane: str | None
    pool: str | None
    max_instances: int

    @property
    def waited(self) -> bool:
        """True where it waits for its next attempt, and so has its places in pipeline and lane already."""
        return self.state == RunState.WAITING_RETRY


@dataclass(frozen=True, slots=True)
class _Full:
    """The pipelines, lanes and pools that have no room; they grow while runs are chosen."""

    pipelines: set[str]
    lanes: set[str]
    pools: set[str]

    def asked(self) -> Mapping[str, set[str]]:
        """Return them as parameters of `_candidates`."""
        return {"full_pipelines": self.pipelines, "full_lanes": self.lanes, "full_pools": self.pools}


class Room:
    """The places that are held now, and those that are taken on the way; `pools` are the limits of pools by name.

    A pool that has no limit, as it is in the pipelines file no more, always has room.
    """

    def __init__(self, conn: Connection, pools: Mapping[str, int]) -> None:
        """Count what is held."""
        self._conn, self._limits = conn, pools
        self._taken: set[int] = set()
        self._running: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._pooled: Counter[str] = Counter()
        at_work: set[str] = set()
        lanes: set[str] = set()
        limits: Counter[str] = Counter()
        for pipeline, state, lane, pool, held, limit in conn.execute(_HELD):
            runs_now = state == RunState.RUNNING
            (self._running if runs_now else self._waiting)[pipeline] += held
            limits[pipeline] = max(limit, limits[pipeline])
            lanes |= {lane} if lane else set()
            at_work |= {lane} if lane and runs_now else set()
            self._pooled[pool or ""] += held * runs_now
        pooled = {name for name, limit in pools.items() if self._pooled[name] >= limit}
        working = {name for name, limit in limits.items() if self._running[name] >= limit}
        full = {name for name, limit in limits.items() if self._running[name] + self._waiting[name] >= limit}
        self._fresh, self._again = _Full(full, lanes, pooled), _Full(working, at_work, pooled)

    def oldest_first(self, asked: Mapping[str, Any]) -> Iterator[int]:
        """Take, one by one, runs that may start; each that is yielded has its places.

        `asked` has the time `now`, the size of a `page`, and the ids `only`, if there are only some to choose from.
        """
        only = "only" in asked
        fresh = self._pages(_FRESH[only], asked, self._fresh)
        again = self._pages(_AGAIN[only], asked, self._again) if self._waiting else iter(())
        return (row.id for row in merge(fresh, again, key=lambda row: row.id) if self._take(row))

    def _pages(self, found: Select[Any], asked: Mapping[str, Any], full: _Full) -> Iterator[_Candidate]:
        after, more = 0, True
        while more:
            page = [_Candidate(*row) for row in self._conn.execute(found, {**asked, **full.asked(), "after": after})]
            yield from page
            more = len(page) == asked["page"]
            after = page[-1].id if page else after

    def _take(self, row: _Candidate) -> bool:
        """Take a run's places if all are there; remember what is full if not."""
        full = self._again if row.waited else self._fresh
        name, pool = row.pipeline, row.pool or ""
        if row.id in self._taken or row.lane in full.lanes or pool in full.pools:
            return False
        held = self._running[name] + (0 if row.waited else self._waiting[name])
        if held >= row.max_instances:
            full.pipelines.add(name)
            return False
        self._taken.add(row.id)
        self._running[name] += 1
        self._waiting[name] -= row.waited
        self._pooled[pool] += 1
        if self._pooled[pool] >= self._limits.get(pool, self._pooled[pool] + 1):
            full.pools.add(pool)
        if row.lane:
            self._fresh.lanes.add(row.lane)
            self._again.lanes.add(row.lane)
        return True
