"""Places that pipelines share: limits are kept, the oldest goes first, and nobody waits while there is room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.model import Run, RunState
from pipelines.store import database, history, runs
from pipelines.store.runs import Claim
from tests.store.conftest import empty
from tests.store.samples import NOON, after, end, finish, ids, manual

SHOP = {"shop.example": 1}


def claim(conn, limit: int, pools: Mapping[str, int], now=NOON) -> list[Run]:
    """Claim up to `limit` runs within the limits of pools."""
    (claimed,) = runs.claim(conn, [Claim(limit, "here", now, pools=pools)])
    return claimed


def test_a_pool_is_shared_between_pipelines(conn):
    """Of several pipelines with one pool, as many run as the pool has places; the others go past."""
    made = runs.insert_runs(conn, [manual("a", pool="shop.example"), manual("b", pool="shop.example"), manual("c")])
    assert [made[0].id, made[2].id] == ids(claim(conn, 9, SHOP))
    assert "shop.example" == history.run(conn, made[0].id).pool


def test_a_place_in_a_pool_that_is_freed_is_taken(conn):
    """When a run ends, the oldest that waits for the pool starts, whatever its pipeline."""
    made = runs.insert_runs(conn, [manual(name, pool="shop.example") for name in "abc"])
    for run in made:
        (running,) = claim(conn, 9, SHOP)
        assert run.id == running.id
        finish(conn, end(running))


def test_a_run_between_attempts_gives_its_place_back(conn):
    """While a run waits for its next attempt, another may use the pool; then it is first again."""
    made = runs.insert_runs(conn, [manual(name, pool="shop.example", max_attempts=2) for name in "abc"])
    (running,) = claim(conn, 9, SHOP)
    finish(conn, end(running, RunState.FAILED, next_state=RunState.WAITING_RETRY, not_before=after(90)))
    (second,) = claim(conn, 9, SHOP)
    assert (made[1].id, []) == (second.id, claim(conn, 9, SHOP, now=after(90)))
    finish(conn, end(second))
    assert [made[0].id] == ids(claim(conn, 9, SHOP, now=after(90)))


def test_a_long_queue_for_a_pool_holds_up_nobody(conn):
    """Behind hundreds that wait for a full pool, a run with room starts at once."""
    made = runs.insert_runs(conn, [*[manual(f"p{n}", pool="shop.example") for n in range(300)], manual("other")])
    assert [made[0].id, made[300].id] == ids(claim(conn, 2, SHOP))


def test_a_pool_that_is_not_declared_any_more_limits_nobody(conn):
    """Runs that were queued for a pool which the file has no longer are not held back for ever."""
    made = runs.insert_runs(conn, [manual("a", pool="gone"), manual("b", pool="gone")])
    assert ids(made) == ids(claim(conn, 9, SHOP))


def test_two_claims_in_one_call_share_the_pool(conn):
    """Workers that claim together keep the limit together."""
    runs.insert_runs(conn, [manual(f"p{n}", pool="shop.example") for n in range(4)])
    wishes = [Claim(2, name, NOON, pools={"shop.example": 3}) for name in ("one", "two")]
    assert [2, 1] == [len(claimed) for claimed in runs.claim(conn, wishes)]


INSTANCES = {"a": 1, "b": 2, "c": 5}
POOLS = {"x": 1, "y": 2}
QUEUE = st.tuples(
    st.just("queue"),
    st.sampled_from(sorted(INSTANCES)),
    st.sampled_from([None, "x", "y", "undeclared"]),
    st.sampled_from([None, "s1", "s2"]),
)
STEPS = st.one_of(
    QUEUE,
    QUEUE,
    st.tuples(st.just("claim"), st.integers(0, 4)),
    st.tuples(st.just("end"), st.integers(0, 9)),
    st.tuples(st.just("retry"), st.integers(0, 9)),
)


@dataclass
class Model:
    """What should be claimed, reckoned the plain way."""

    waiting: list[Run]
    again: list[Run]
    running: list[Run]

    def has_room(self, run: Run) -> bool:
        holding = self.running if run in self.again else self.running + self.again
        lane = [each for each in holding if run.lane is not None and each.lane == run.lane]
        pipeline = [each for each in holding if each.pipeline == run.pipeline]
        pooled = [each for each in self.running if each.pool is not None and each.pool == run.pool]
        return not lane and len(pipeline) < INSTANCES[run.pipeline] and len(pooled) < POOLS.get(run.pool or "", 99)

    def next(self) -> Run | None:
        oldest_first = sorted(self.waiting + self.again, key=lambda run: run.id)
        return next(filter(self.has_room, oldest_first), None)

    def claim(self, limit: int) -> list[int]:
        taken = []
        while len(taken) < limit and (run := self.next()) is not None:
            (self.again if run in self.again else self.waiting).remove(run)
            self.running.append(run)
            taken.append(run.id)
        return taken


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=40))
def test_limits_are_kept_and_the_oldest_with_room_goes_first(module_engine, steps):
    """Whatever is queued and ended: no more at work than pool, lane, pipeline and slots allow; none with room waits."""
    empty(module_engine)
    model, held = Model([], [], []), {}
    with database.writing(module_engine).begin() as conn:
        for name, *arguments in steps:
            if name == "queue":
                pipeline, pool, lane = arguments
                new = manual(pipeline, pool=pool, lane=lane, max_instances=INSTANCES[pipeline], max_attempts=99)
                model.waiting += runs.insert_runs(conn, [new])
            elif name == "claim":
                claimed = claim(conn, arguments[0], POOLS, now=after(1))
                held |= {run.id: run for run in claimed}
                assert model.claim(arguments[0]) == sorted(ids(claimed))
            elif model.running:
                run = model.running.pop(arguments[0] % len(model.running))
                last = name == "end"
                more = {} if last else {"next_state": RunState.WAITING_RETRY, "not_before": NOON}
                finish(conn, end(held[run.id], RunState.FAILED, **more))
                model.again += [] if last else [run]
            busy = Counter(each.pool for each in history.runs(conn, state=RunState.RUNNING))
            assert all(busy[pool] <= limit for pool, limit in POOLS.items())
