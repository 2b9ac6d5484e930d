"""What is going on, in memory: it follows every run and starts from what the store remembers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.model import Run, RunState, StartedBy

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def stages(project):
    project.plugin(
        "stages",
        """
        import asyncio

        def good(item):
            return 1

        def bad(item):
            raise ValueError("no")

        async def wait(item):
            await asyncio.Event().wait()
        """,
    )
    project.write(
        """
        scheduler: {default_retry: {attempts: 1}}
        pipelines:
          good: {executor: inline, schedule: "0 6 * * *", chain: [stages.good]}
          bad: {executor: inline, schedule: ["0 7 * * *", "0 14 * * *"], chain: [stages.bad]}
          slow: {executor: inline, schedule: "0 8 * * *", chain: [stages.wait]}
        """
    )
    return project


async def test_it_follows_the_runs(stages):
    """A run is live while it goes on and recent afterwards; a failed one makes its pipeline failing."""
    async with stages.scheduler(clock=lambda: NOON) as scheduler:
        await scheduler.start()
        await scheduler.start_timetable()
        slow, bad = await scheduler.run_now(["slow", "bad"])
        await asyncio.wait_for(scheduler.wait(bad.id), 10)
        view = scheduler.overview
        assert [slow.id] == [run.id for run in view.live_runs()]
        assert [bad.id] == [run.id for run in view.recent_runs()]
        assert (True, bad.id) == (view.pipeline("bad").failing, view.pipeline("bad").last.id)
        assert (False, (slow.id,)) == (view.pipeline("slow").failing, view.pipeline("slow").running)
        await scheduler.cancel(slow.id)
        await asyncio.wait_for(scheduler.wait(slow.id), 10)
        assert ([], RunState.CANCELLED) == (view.live_runs(), view.pipeline("slow").last.state)


async def test_a_run_whose_next_attempt_is_due_says_what_it_waits_for(stages):
    """Its time has come and all slots are busy: that is told; not before, nor that another of its pipeline goes on."""
    stages.write(
        "scheduler: {max_parallel_jobs: 1}\n"
        "pipelines:\n  slow: {executor: inline, enabled: false, chain: [stages.wait]}"
    )
    async with stages.scheduler(clock=lambda: NOON) as scheduler:
        await scheduler.start()
        view = scheduler.overview
        await scheduler.run_now(["slow"])
        async with asyncio.timeout(10):
            while not view.counts()[RunState.RUNNING]:
                await asyncio.sleep(0.01)
        again = Run(99, "slow", RunState.WAITING_RETRY, StartedBy.MANUAL, NOON, not_before=NOON)
        assert "waits for a free slot (1 of 1 busy)" == view.waiting_for(again)
        assert view.waiting_for(replace(again, not_before=NOON + timedelta(seconds=1))) is None


async def test_it_begins_with_what_the_store_remembers(stages):
    """After a restart the last run of each pipeline is known, without another run."""
    async with stages.scheduler(clock=lambda: NOON) as scheduler:
        await scheduler.start()
        good, bad = await scheduler.run_now(["good", "bad"])
        for run in (good, bad):
            await asyncio.wait_for(scheduler.wait(run.id), 10)
    async with stages.scheduler(clock=lambda: NOON) as scheduler:
        await scheduler.start_timetable()
        assert {"good": good.id, "bad": bad.id, "slow": None} == {
            view.name: view.last.id if view.last else None for view in scheduler.overview.pipelines()
        }


async def test_jobs_tell_when_they_are_due(stages):
    """Each job has its next run, a pipeline the soonest of its jobs, and a name that nobody has is None."""
    async with stages.scheduler(clock=lambda: NOON) as scheduler:
        await scheduler.start_timetable()
        view = scheduler.overview
        assert ["bad", "bad-2", "good", "slow"] == [job.row.id for job in view.jobs()]
        assert datetime(2026, 3, 1, 13, tzinfo=UTC) == view.pipeline("bad").next_due_at  # 14:00 in Stockholm
        assert (None, None) == (view.pipeline("none"), view.job("none"))
