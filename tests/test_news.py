"""What becomes of runs is told once and in order, however late and however often the news of it come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from pipelines.model import Actor, Asked, Role, Run, RunState, StartedBy
from pipelines.news import News
from pipelines.verbs import Verbs
from web.tallies import Names, Tallies

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
QUEUED = Run(7, "p", RunState.QUEUED, StartedBy.SCHEDULE, NOON, due_at=NOON)
STARTED = replace(QUEUED, state=RunState.RUNNING, attempt=1, started_at=NOON + timedelta(seconds=1))
WAITING = replace(STARTED, state=RunState.WAITING_RETRY)
HANDED_BACK = replace(STARTED, state=RunState.QUEUED)
SECOND = replace(STARTED, attempt=2)
ENDED = replace(SECOND, state=RunState.SUCCEEDED, ended_at=NOON + timedelta(minutes=1))
LIFE = (QUEUED, STARTED, WAITING, SECOND, ENDED)


def told(*runs: Run) -> list[Run]:
    """What those who watch are told when news of `runs` come in this order."""
    news, heard = News(), list[Run]()
    news.watch(heard.append)
    for run in runs:
        news.tell(run)
    return heard


def test_a_run_is_followed_through_all_its_states():
    """Each comes in its turn, an attempt that was given back as well."""
    assert [*LIFE] == told(*LIFE)
    assert [STARTED, HANDED_BACK, SECOND] == told(STARTED, HANDED_BACK, SECOND)
    cancelled = replace(QUEUED, state=RunState.CANCELLED)
    assert [QUEUED, cancelled] == told(QUEUED, cancelled)


@pytest.mark.parametrize("state", list(RunState))
def test_news_that_come_twice_are_told_once(state: RunState):
    """Two signals may tell of the same state."""
    run = replace(STARTED, state=state)
    assert [run] == told(run, run)


def test_nothing_is_told_after_something_newer():
    """In whatever order news come, those who watch see a run only go on, and see its end."""
    for order in permutations(LIFE):
        heard = told(*order)
        assert heard == [run for run in LIFE if run in heard]
        assert heard[-1] == ENDED


def test_what_is_remembered_does_not_grow():
    """Of many runs those of long ago are forgotten; their news would be told again."""
    news, heard = News(remembered=2), list[int]()
    news.watch(lambda run: heard.append(run.id))
    for run_id in (1, 2, 3, 3, 2, 1):
        news.tell(replace(QUEUED, id=run_id))
    assert [1, 2, 3, 1] == heard


def test_how_late_a_run_started_is_counted_once_and_also_without_its_start():
    """The end of a run that another process executed may be told alone."""
    ended = replace(STARTED, state=RunState.SUCCEEDED, ended_at=NOON + timedelta(seconds=3))
    for news in ([STARTED, ended], [ended]):
        tallies = Tallies(Names())
        for run in news:
            tallies.happened(run)
        assert (1.0, 1.0) == (tallies.lag.total_s, tallies.lag.buckets[-1][1])
    again = Tallies(Names())
    for run in (STARTED, WAITING, SECOND, ENDED):
        again.happened(run)
    assert 1.0 == again.lag.total_s


async def test_late_news_do_not_retire_a_job_that_was_given_another_instant(project):
    """Only the run of the instant that a job has now means that it is over."""
    project.plugin("steps", "def one(item):\n    return item\n")
    project.write("pipelines: {p: {executor: inline, schedule: {daily: '03:00'}, chain: [steps.one]}}")
    async with project.scheduler() as scheduler:
        await scheduler.start_timetable()
        now = scheduler.clock().replace(microsecond=0)
        asked = Asked(Actor("terminal:me", "me", level=Role.ADMIN), "terminal")
        at = now + timedelta(hours=2)
        await Verbs(scheduler).schedule(asked, "p", {"at": at.isoformat()}, timezone="UTC", name="once")
        run = replace(QUEUED, schedule_id="once", due_at=at - timedelta(hours=1))
        scheduler.news([run])
        assert "once" in scheduler.jobs.rows
        scheduler.news([replace(run, id=8, due_at=at)])
        assert "once" not in scheduler.jobs.rows
