"""`/missed`: what was due and did not run, of all jobs or of one, as far as one may see them, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bot.commands.missed import MissedPage, lines
from bot.lengths import units
from bot.pages import Page
from pipelines import Occurrence, OccurrenceOutcome, RunState
from pipelines.model import NewRun, StartedBy
from pipelines.store.occurrences import Due, record_due
from tests.bot.conftest import running
from tests.bot.hostile import TEXTS
from tests.bot.job_shop import pressed, said, write
from tests.fake_discord.messages import PING

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def _never_due(conn, jobs):
    """Have jobs wait for all their instants again, those before their start too."""
    conn.execute(text("UPDATE schedules SET last_due_at = NULL WHERE id = :of"), [{"of": each} for each in jobs])
    return [None] * len(jobs)


async def unrun(here, job, count=1, *, pipeline=None, state=RunState.MISSED, reason="the service did not run"):
    """Record instants of a job that did not run, a minute apart."""
    dues = [
        Due(
            NewRun(
                pipeline=pipeline or job,
                started_by=StartedBy.SCHEDULE,
                schedule_id=job,
                due_at=AT + timedelta(minutes=number),
            ),
            state,
            reason,
        )
        for number in range(count)
    ]
    await here.scheduler.writer.call(_never_due, job)
    for due in dues:
        await here.scheduler.writer.call(record_due, due)


async def test_what_was_missed_and_skipped_is_listed(project, fake):
    """Each instant has its line: when, which job, what became of it and why; of one job where that is given."""
    write(project)
    async with running(project, fake) as here:
        assert "Nothing was missed" in (await said(here, here.vic, "missed")).text
        await unrun(here, "prices")
        await unrun(here, "broken-nightly", pipeline="broken", state=RunState.SKIPPED, reason="*run* #8 still waits")
        both = await said(here, here.vic, "missed")
        assert both.ephemeral
        assert set() == both.pings
        stamp = int(AT.timestamp())
        assert "**all jobs** · 2 instants without a run" in both.text
        assert f"🕳️ missed · <t:{stamp}:f> (<t:{stamp}:R>) · prices · the service did not run" in both.text
        assert "⏭️ skipped" in both.text
        assert r"\*run\* #8 still waits" in both.text
        one = await said(here, here.vic, "missed", job="prices")
        assert "**prices** · 1 instant without a run" in one.text
        assert "broken" not in one.text


async def test_the_list_shows_what_one_may_see(project, fake):
    """The instants of a pipeline that somebody may not view are not told to them."""
    write(project)
    async with running(project, fake) as here:
        await unrun(here, "secret-nightly", pipeline="secret")
        assert "Nothing was missed" in (await said(here, here.olga, "missed")).text
        assert "no job" in (await said(here, here.olga, "missed", job="secret-nightly")).text.lower()
        assert "secret-nightly" in (await said(here, here.ann, "missed")).text


async def test_pages_are_turned(project, fake):
    """Ten to a page, the latest first; a button shows the next ones, of the same job."""
    write(project)
    async with running(project, fake) as here:
        await unrun(here, "prices", 13)
        first = await said(here, here.vic, "missed", job="prices")
        assert str(int((AT + timedelta(minutes=12)).timestamp())) in first.text
        oldest = str(int(AT.timestamp()))
        assert oldest not in first.text
        await pressed(here, here.vic, first, "p1:missing:1:prices")
        await fake.until(lambda: oldest in first.text, what="page two")


HUGE = TEXTS | st.sampled_from(["x" * 5000, "漢" * 5000, "*" * 5000])


@settings(max_examples=40)
@given(name=HUGE, reason=HUGE | st.none(), outcome=st.sampled_from(list(OccurrenceOutcome)))
def test_any_page_fits(name, reason, outcome):
    """Whatever names and reasons hold: a page is at most 3,900 characters, a line each, and pings nobody."""
    items = [Occurrence(name, AT, outcome, 1, reason)] * 10
    page = "\n".join(lines(Page(items, 0, 10, 100), None))
    assert 11 == len(page.splitlines())
    assert units(page) <= 3900
    assert not PING.search(page)
    assert len(MissedPage(10**5, "x" * 80).item.custom_id) <= 100
