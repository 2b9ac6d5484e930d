"""`/jobs`: the list, its filters, its pages, and the buttons beside each job."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.commands import jobs
from bot.lengths import units
from bot.limits import faults
from bot.pages import page_of
from pipelines import JobView, Run, RunState, ScheduleRow, ScheduleState, StartedBy
from tests.bot.conftest import running
from tests.bot.hostile import TEXTS
from tests.bot.job_shop import labelled, many, pressed, said, scheduled, walk, write
from tests.fake_discord.messages import Message


@pytest.fixture
async def here(project, fake):
    """The bot over the project."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work


def rows(message):
    """The texts of the list's rows."""
    return [part["components"][0]["content"] for part in walk(message.components) if part["type"] == 9]


async def test_jobs_are_listed_with_what_matters(here):
    """Each row has the job, its words and zone, the last run, the next one, and where it comes from."""
    (run,) = await here.scheduler.run_now(["broken"])
    await here.scheduler.wait(run.id)
    await scheduled(here, here.olga, name="early")
    shown = await said(here, here.olga, "jobs")
    assert shown.ephemeral
    assert 3 == len(rows(shown))
    early = next(row for row in rows(shown) if "early" in row)
    assert "**early** · sales" in early
    assert "every day at 05:00 (Europe/Stockholm)" in early
    assert "next run <t:" in early
    assert "made in chat by olga" in early
    assert "not run yet" in early
    assert "in the file" in next(row for row in rows(shown) if "prices" in row)


async def test_filters_choose(here):
    """The filters show what is paused, what is one's own, and what fails; with nothing to show they say what to do."""
    for which, words in (
        ("paused", "No job is paused. </pause:"),
        ("mine", "made no job. </schedule:"),
        ("failing", "No job is failing"),
    ):
        assert words in (await said(here, here.olga, "jobs", filter=which)).text
    await scheduled(here, here.olga, name="early")
    await said(here, here.olga, "pause", job="prices", until="in 2 hours", reason="moving")
    assert ["early"] == [row.split("**")[1] for row in rows(await said(here, here.olga, "jobs", filter="mine"))]
    assert [] == rows(await said(here, here.ann, "jobs", filter="mine"))
    (paused,) = rows(await said(here, here.olga, "jobs", filter="paused"))
    assert "⏸️ **prices**" in paused
    assert "paused until <t:" in paused
    assert "moving" in paused


async def test_failing_jobs_are_found(here):
    """A job whose last own run failed is in the filter `failing`."""
    await scheduled(here, here.olga, pipeline="broken", when="in 1 second", name="soon")
    entry = here.scheduler.jobs.entry("broken", {"interval": {"seconds": 1}}, zone="UTC", job_id="often")
    await here.scheduler.jobs.add(entry.row(), entry, here.scheduler.writer.call)
    await here.fake.until(lambda: here.scheduler.overview.job("often").last, what="a run")
    shown = await said(here, here.olga, "jobs", filter="failing")
    assert ["often"] == [row.split("**")[1] for row in rows(shown)]
    assert "❌" in shown.text


async def test_only_what_one_may_see_is_listed(here):
    """Jobs of a pipeline that somebody may not see are not there for them."""
    assert "secret" not in (await said(here, here.vic, "jobs")).text
    assert "secret" in (await said(here, here.ann, "jobs")).text


async def test_rows_have_the_fitting_button(here):
    """An active job has Pause, a paused one Resume; pressing tells everybody, and Refresh shows it."""
    shown = await said(here, here.olga, "jobs")
    told = await pressed(here, here.olga, shown, "p1:pause:prices")
    assert not told.ephemeral
    assert ScheduleState.PAUSED is here.scheduler.jobs.rows["prices"].state
    await pressed(here, here.olga, shown, labelled(shown, "↻"))
    assert "p1:resume:prices" in shown.custom_ids


async def test_pages_turn_in_place_and_after_a_restart(project, fake):
    """Ten jobs to a page; the buttons replace the page that is shown, also after a restart, within Discord's limits."""
    many(project, 23)
    async with running(project, fake) as here:
        shown = await said(here, here.olga, "jobs")
        assert 10 == len(rows(shown))
        first = rows(shown)
        await pressed(here, here.olga, shown, labelled(shown, "›"))
        assert not set(first) & set(rows(shown))
    async with running(project, fake) as here:
        await pressed(here, here.olga, shown, labelled(shown, "›"))
        assert 5 == len(rows(shown))
        assert "p1:jobs:3:all" in shown.custom_ids
        assert [] == faults({"components": shown.components, "flags": 1 << 15, "allowed_mentions": {"parse": []}})


async def test_a_page_that_is_gone_becomes_the_last(project, fake):
    """A button to a page that there is no more leads to the last one."""
    many(project, 23)
    async with running(project, fake) as here:
        shown = await said(here, here.olga, "jobs")
        await pressed(here, here.olga, shown, labelled(shown, "›"))
        await pressed(here, here.olga, shown, labelled(shown, "›"))
    write(project)
    async with running(project, fake) as here:
        await pressed(here, here.olga, shown, labelled(shown, "↻ 3/3"))
        assert 2 == len(rows(shown))


@given(TEXTS, TEXTS, TEXTS, st.sampled_from(RunState), st.booleans())
def test_hostile_texts_stay_within_a_row(words, reason, who, state, chat):
    """Whatever stands in a job, its row has so many characters that ten of them fit into one message."""
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    row = ScheduleRow(
        id="j_" * 40,
        pipeline="p_" * 40,
        spec={},
        timezone="America/Argentina/ComodRivadavia",
        words=words * 9,
        source="chat" if chat else "file",
        state=ScheduleState.PAUSED,
        actor=who * 9 or None,
        paused_until=at,
        pause_reason=reason * 9 or None,
    )
    last = Run(id=7, pipeline="p", state=state, started_by=StartedBy.SCHEDULE, queued_at=at)
    told = jobs._row(JobView(row, last))
    assert units(told) <= 395
    assert 3 == len(told.splitlines())
    pings = Message(1, None, None, {"content": told, "allowed_mentions": None}, "").pings
    assert set() == pings


@given(st.integers(0, 300), st.integers(-5, 100), st.integers(1, 12))
def test_every_item_is_on_one_page(total, number, size):
    """Whatever page is asked for, there is one; the pages together have every item once."""
    items = list(range(total))
    page = page_of(items, number, size)
    assert 0 <= page.number < page.count
    assert items == [item for at in range(page.count) for item in page_of(items, at, size).items]
