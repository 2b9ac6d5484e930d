"""Where a run may start: its places in its pipeline, in its lane and in its pool, and who holds them.

A pipeline has `max_instances` places. A lane, the runs of a schedule that go one at a time, has one. A run that waits
for its next attempt keeps these two. A pool has places for runs of several pipelines; only a run at work holds one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, not_, select, tuple_

from pipelines.model import RunState
from pipelines.store.columns import any_of
from pipelines.store.schema import in_states, runs

_WANTED = (runs.c.pipeline, runs.c.state, runs.c.lane, runs.c.pool)
FIRST_RANK = -1_000_000
"""A rank that comes before that of any run."""
_HELD = (
    select(*_WANTED, func.count().label("held"), func.max(runs.c.max_instances).label("limit"))
    .where(in_states(RunState.RUNNING, RunState.WAITING_RETRY))
    .group_by(*_WANTED)
)


_ANY, _ONLY, _WITHOUT = "any", "only", "without ticket"
"""Which runs are candidates: all, some that are named, or those of one queue and rank that have no ticket."""


def _candidates(state: RunState, which: str) -> Select[Any]:
    """Select a page of waiting runs in their order, without those whose places are known to be taken."""
    found = (
        select(runs.c.id, runs.c.rank, *_WANTED, runs.c.max_instances, runs.c.queue, runs.c.version)
        .where(
            in_states(state),
            tuple_(runs.c.rank, runs.c.id) > tuple_(bindparam("after_rank"), bindparam("after")),
            not_(any_of(runs.c.pipeline, "full_pipelines")),
            not_(any_of(func.coalesce(runs.c.lane, ""), "full_lanes")),
            not_(any_of(func.coalesce(runs.c.pool, ""), "full_pools")),
        )
        .order_by(runs.c.rank, runs.c.id)
        .limit(bindparam("page"))
    )
    if state is RunState.WAITING_RETRY:
        found = found.where(runs.c.not_before <= bindparam("now"))
    if which == _WITHOUT:
        # Said to be equal, the rank would drop out of the order: PostgreSQL might then go through all runs by id.
        rank = (runs.c.rank >= bindparam("in_rank"), runs.c.rank <= bindparam("in_rank"))
        return found.where(runs.c.ticket.is_(None), runs.c.queue == bindparam("in_queue"), *rank)
    return found.where(any_of(runs.c.id, "only")) if which == _ONLY else found


_FRESH = {which: _candidates(RunState.QUEUED, which) for which in (_ANY, _ONLY, _WITHOUT)}
_AGAIN = {which: _candidates(RunState.WAITING_RETRY, which) for which in (_ANY, _ONLY, _WITHOUT)}


class Candidate(NamedTuple):
    """A run that may start if there is room."""

    id: int
    rank: int
    pipeline: str
    state: str
    lane: str | None
    pool: str | None
    max_instances: int
    queue: str
    version: str | None

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

    A pool that has no limit, as it is in the pipelines file no more, always has room. `in_all` is how many runs may be
    at work, whatever they are and wherever (None: no limit).
    """

    def __init__(
        self,
        conn: Connection,
        pools: Mapping[str, int],
        in_all: int | None = None,
        *,
        besides: Iterable[Sequence[Any]] = (),
    ) -> None:
        """Count what is held, and what is spoken for `besides`: rows as those of `_HELD`, of runs at work."""
        self._conn, self._limits, self._in_all = conn, pools, in_all
        self._taken: set[int] = set()
        self._running: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._pooled: Counter[str] = Counter()
        at_work: set[str] = set()
        lanes: set[str] = set()
        limits: Counter[str] = Counter()
        for pipeline, state, lane, pool, held, limit in chain(conn.execute(_HELD), besides):
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

    def first_to_start(
        self, asked: Mapping[str, Any], accepts: Callable[[Candidate], bool] | None = None
    ) -> Iterator[int]:
        """Take, one by one, runs that may start: by priority, then the oldest; each that is yielded has its places.

        `asked` has the time `now`, the size of a `page`, and the ids `only`, if there are only some to choose from; or
        `in_queue` and `in_rank`, for those of one queue and rank that have no ticket. Those that are not accepted are
        left alone.
        """
        which = _ONLY if "only" in asked else _WITHOUT if "in_queue" in asked else _ANY
        fresh = self._pages(_FRESH[which], asked, self._fresh)
        again = self._pages(_AGAIN[which], asked, self._again) if self._waiting else iter(())
        for row in merge(fresh, again, key=lambda row: (row.rank, row.id)):
            if self._in_all is not None and self._running.total() >= self._in_all:
                return
            if (accepts is None or accepts(row)) and self._take(row):
                yield row.id

    def _pages(self, found: Select[Any], asked: Mapping[str, Any], full: _Full) -> Iterator[Candidate]:
        after, after_rank, more = 0, FIRST_RANK, True
        while more:
            begin = {"after": after, "after_rank": after_rank}
            page = [Candidate(*row) for row in self._conn.execute(found, {**asked, **full.asked(), **begin})]
            yield from page
            more = len(page) == asked["page"]
            after, after_rank = (page[-1].id, page[-1].rank) if page else (after, after_rank)

    def _take(self, row: Candidate) -> bool:
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
