"""Overlap, pools and who waits for what, through the scheduler and as pure words."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import worker
from pipelines.model import Run, RunState, StartedBy
from pipelines.store import history
from pipelines.waiting import waiting_for
from tests.by_hand import Clock, by_hand
from tests.project import Project, on_both_stores

NOON = datetime(2027, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STAGES = """
import asyncio

async def hang(item):
    await asyncio.Event().wait()

def fail(item):
    raise OSError("busy")
"""


@pytest.fixture
def shop(project: Project) -> Project:
    """A project with the stages above."""
    project.plugin("stages", STAGES)
    return project


def every_minute(overlap: str, stage: str = "hang", more: str = "") -> str:
    """A pipeline that is due each minute."""
    chain = f"executor: inline, chain: [stages.{stage}], retry: {{attempts: 2, delay: 600}}"
    return f"pipelines:\n  p: {{schedule: '* * * * *', overlap: {overlap}, {chain}{more}}}\n"


async def until_live(scheduler, run_id: int) -> None:
    """Wait until a run is executed."""
    async with asyncio.timeout(10):
        while run_id not in scheduler.live:
            await asyncio.sleep(0)


async def states(scheduler) -> list[tuple[str, str | None]]:
    """The state and the reason of each run, oldest first."""
    found = await scheduler.reader.read(history.runs)
    return [(run.state.value, run.reason) for run in reversed(found)]


@on_both_stores
async def test_the_newer_run_takes_the_place_of_the_running_one(shop):
    """With cancel_running, the run that goes on is cancelled with the reason, and the newer one starts."""
    shop.write(every_minute("cancel_running"))
    async with by_hand(shop, Clock(NOON)) as here:
        await here.scheduler.start()
        await here.to(NOON + MINUTE)
        await until_live(here.scheduler, 1)
        await here.to(NOON + 2 * MINUTE)
        await until_live(here.scheduler, 2)
        assert [("cancelled", "a newer run was due"), ("running", None)] == await states(here.scheduler)


@on_both_stores
async def test_the_newer_run_takes_the_place_of_one_between_attempts(shop):
    """With cancel_running, a run that waits for its next attempt, or for its start, is over at once."""
    shop.write(every_minute("cancel_running", "fail"))
    async with by_hand(shop, Clock(NOON)) as here:
        for number in (1, 2):
            await here.to(NOON + number * MINUTE)
        assert [("cancelled", "a newer run was due"), ("queued", None)] == await states(here.scheduler)
        await here.scheduler.start()
        async with asyncio.timeout(10):
            while (await states(here.scheduler))[1][0] != "waiting_retry":
                await asyncio.sleep(0.01)
        await here.to(NOON + 3 * MINUTE)
        assert ("cancelled", "a newer run was due") == (await states(here.scheduler))[1]


@on_both_stores
async def test_a_due_run_is_skipped_while_one_still_runs(shop):
    """With skip, the instant is recorded as skipped with the run that still runs."""
    shop.write(every_minute("skip"))
    async with by_hand(shop, Clock(NOON)) as here:
        await here.scheduler.start()
        await here.to(NOON + MINUTE)
        await until_live(here.scheduler, 1)
        await here.to(NOON + 2 * MINUTE)
        assert [("running", None), ("skipped", "run #1 still runs")] == await states(here.scheduler)
        assert ["run #1 still runs"] == here.reasons("p")


async def test_runs_go_on_side_by_side(shop):
    """With allow, up to max_instances runs go on at once."""
    shop.write(every_minute("allow", more=", max_instances: 2"))
    async with by_hand(shop, Clock(NOON)) as here:
        await here.scheduler.start()
        for number in (1, 2, 3):
            await here.to(NOON + number * MINUTE)
        await until_live(here.scheduler, 2)
        assert ["running", "running", "queued"] == [state for state, _ in await states(here.scheduler)]


async def test_a_schedule_s_own_word_wins(shop):
    """The pipeline's overlap is the default of its schedules; with queue_all all wait, one at a time."""
    chain = "executor: inline, overlap: skip, max_instances: 9, chain: [stages.hang]"
    shop.write(f"pipelines:\n  p: {{schedule: {{cron: '* * * * *', overlap: queue_all}}, {chain}}}\n")
    async with by_hand(shop, Clock(NOON)) as here:
        await here.scheduler.start()
        for number in (1, 2, 3):
            await here.to(NOON + number * MINUTE)
        await until_live(here.scheduler, 1)
        assert ["running", "queued", "queued"] == [state for state, _ in await states(here.scheduler)]
        runs = {run.id: here.scheduler.overview.waiting_for(run) for run in here.scheduler.overview.live_runs()}
        assert {1: None, 2: "queued behind #1", 3: "queued behind #2"} == runs


async def test_a_freed_place_wakes_who_waits_for_it(shop, monkeypatch):
    """Runs of two pipelines share a pool; when the first is over, the second starts without being looked for."""
    monkeypatch.setattr(worker, "POLL", timedelta(hours=1))
    each = "executor: inline, enabled: false, pool: shop.example, chain: [stages.hang]"
    shop.write(f"scheduler: {{pools: {{shop.example: 1}}}}\npipelines:\n  a: {{{each}}}\n  b: {{{each}}}\n")
    async with shop.scheduler() as scheduler:
        await scheduler.start()
        first, second = await scheduler.run_now(["a", "b"])
        await until_live(scheduler, first.id)
        await asyncio.sleep(0)
        assert {first.id} == set(scheduler.live)
        told = scheduler.overview.waiting_for(await scheduler.reads.run(second.id))
        assert "waits for a place in the pool shop.example (1 of 1 taken by #1)" == told
        await scheduler.cancel(first.id)
        await until_live(scheduler, second.id)


async def test_a_cancelled_wait_wakes_who_waits_for_its_place(shop, monkeypatch):
    """When a run between attempts is cancelled, the next of its pipeline starts without being looked for."""
    monkeypatch.setattr(worker, "POLL", timedelta(hours=1))
    shop.write("pipelines:\n  p: {executor: inline, enabled: false, chain: [stages.fail], retry: {delay: 600}}\n")
    async with shop.scheduler() as scheduler:
        await scheduler.start()
        first, second = await scheduler.run_now(["p", "p"])
        for run in (first, second):
            async with asyncio.timeout(10):
                while (await scheduler.reads.run(run.id)).state is not RunState.WAITING_RETRY:
                    await asyncio.sleep(0.01)
            await scheduler.cancel(run.id)
            assert RunState.CANCELLED == (await scheduler.wait(run.id)).state


# ------------------------------------------------------------------ the words


def a_run(number: int, state: RunState = RunState.QUEUED, pipeline: str = "p", **more: str | None) -> Run:
    """A run of a number."""
    return Run(number, pipeline, state, StartedBy.MANUAL, NOON, **more)


def words(run: Run, *others: Run, max_instances: int = 1, slots: int = 3) -> str | None:
    """What a run waits for, among others."""
    return waiting_for(run, others, max_instances=max_instances, pools={"shop.example": 2}, slots=slots)


def test_a_run_says_which_one_is_before_it():
    """It waits behind the one right before it, of its pipeline or of its schedule."""
    first = a_run(811, RunState.RUNNING)
    assert "queued behind #811" == words(a_run(813), first, a_run(812, pipeline="q"))
    assert "queued behind #812" == words(a_run(813), first, a_run(812))
    assert "waits for its turn" == words(a_run(813), first, max_instances=2)
    in_lane = a_run(811, RunState.WAITING_RETRY, lane="p")
    assert "queued behind #811" == words(a_run(813, lane="p"), in_lane, max_instances=9)


def test_a_run_says_who_holds_its_pool():
    """It names the pool, its places, and who has them; of many, the first three."""
    one, two = (a_run(n, RunState.RUNNING, f"p{n}", pool="shop.example") for n in (1, 2))
    run = a_run(9, pool="shop.example")
    assert "waits for a place in the pool shop.example (2 of 2 taken by #1, #2)" == words(run, two, one)
    assert "waits for its turn" == words(run, one)
    more = [a_run(n, RunState.RUNNING, f"p{n}", pool="shop.example") for n in range(1, 6)]
    assert "(5 of 2 taken by #1, #2, #3 and 2 more)" in (words(run, *more) or "")


def test_a_run_says_that_all_slots_are_busy():
    """Where nothing else is in the way, the slots are."""
    busy = [a_run(n, RunState.RUNNING, f"p{n}") for n in (1, 2, 3)]
    assert "waits for a free slot (3 of 3 busy)" == words(a_run(9), *busy)
    assert "waits for its turn" == words(a_run(9), *busy[:2])


RUNS = st.lists(
    st.builds(
        a_run,
        st.integers(1, 50),
        st.sampled_from([RunState.QUEUED, RunState.RUNNING, RunState.WAITING_RETRY]),
        st.sampled_from(["p", "q"]),
        lane=st.sampled_from([None, "p"]),
        pool=st.sampled_from([None, "shop.example", "gone"]),
    ),
    unique_by=lambda run: run.id,
    min_size=1,
)


@given(RUNS, st.integers(1, 3), st.integers(1, 5))
def test_whoever_is_named_holds_something_up(live, max_instances, slots):
    """A queued run always has words, others none; the runs that are named wait or go on, and are not itself."""
    for run in live:
        told = words(run, *live, max_instances=max_instances, slots=slots)
        assert (told is not None) == (run.state is RunState.QUEUED)
        named = {int(number) for number in re.findall(r"#(\d+)", told or "")}
        assert named <= {each.id for each in live} - {run.id}
