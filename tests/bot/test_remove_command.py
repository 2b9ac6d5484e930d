"""`/remove`: asks, removes in the open, and can be undone; jobs of the file stay."""

from __future__ import annotations

import pytest

from pipelines import ScheduleState
from tests.bot.conftest import place, running
from tests.bot.job_shop import labelled, pressed, said, scheduled, write


@pytest.fixture
async def here(project, fake):
    """The bot over the project, with a job that olga made in chat."""
    write(project)
    async with running(project, fake) as at_work:
        await scheduled(at_work, at_work.olga, name="early", when="every day at 05:00")
        yield at_work


async def test_it_asks_first(here):
    """The question is for its person only and names the job, its times, the next run, and what stays."""
    (run,) = await here.scheduler.run_now(["sales"])
    await here.scheduler.wait(run.id)
    question = await said(here, here.olga, "remove", job="early")
    assert question.ephemeral
    assert "Remove job **early** (sales): every day at 05:00 (Europe/Stockholm)? Next run <t:" in question.text
    assert "The history of **sales** (1 run) stays." in question.text
    assert "early" in here.scheduler.jobs.rows


async def test_keep_changes_nothing(here):
    """Keep ends the question; the job stays."""
    question = await said(here, here.olga, "remove", job="early")
    assert "stays" in (await pressed(here, here.olga, question, labelled(question, "Keep"))).text
    assert "early" in here.scheduler.jobs.rows


async def test_removing_is_told_in_the_open_and_can_be_undone(here):
    """The one who made a job removes it; everybody reads so, and Undo brings it back as it was."""
    before = here.scheduler.jobs.rows["early"]
    question = await said(here, here.olga, "remove", job="early")
    told = await pressed(here, here.olga, question, labelled(question, "Remove early"))
    assert not told.ephemeral
    assert "removed **early**" in told.text
    assert set() == told.pings
    await here.fake.until(lambda: not question.custom_ids, what="the end of the question")
    assert "early" not in here.scheduler.jobs.rows
    back = await pressed(here, here.olga, told, "p1:undo:early")
    assert "brought back **early**" in back.text
    after = here.scheduler.jobs.rows["early"]
    assert (before.spec, before.actor_id) == (after.spec, after.actor_id)
    assert "✗" in (await pressed(here, here.olga, told, "p1:undo:early")).text


async def test_undo_works_after_a_restart(project, fake):
    """A job that was removed before a restart is brought back after it."""
    write(project)
    async with running(project, fake) as here:
        told = await scheduled(here, here.olga, name="early")
        question = await pressed(here, here.olga, told, "p1:remove:early")
        told = await pressed(here, here.olga, question, labelled(question, "Remove early"))
    async with running(project, fake) as here:
        await pressed(here, here.olga, told, "p1:undo:early")
        assert "early" in here.scheduler.jobs.rows


async def test_jobs_of_the_file_stay(here):
    """A job of the pipelines file is not removed: the answer names the file and offers to pause it."""
    told = await said(here, here.ann, "remove", job="prices")
    assert told.ephemeral
    assert "`pipelines.yml`" in told.text.replace("\\", "")
    assert ["p1:pause:prices"] == told.custom_ids
    for other in (here.olga, here.vic):
        assert told.text == (await said(here, other, "remove", job="prices")).text
    await pressed(here, here.ann, told, "p1:pause:prices")
    assert ScheduleState.PAUSED is here.scheduler.jobs.rows["prices"].state
    assert "paused meanwhile" in (await said(here, here.ann, "remove", job="prices")).text


async def test_operators_remove_only_their_own(here):
    """Somebody else's job needs an admin; viewers remove nothing."""
    await scheduled(here, here.ann, name="anns")
    assert "admin" in (await said(here, here.olga, "remove", job="anns")).text
    assert "✗" in (await said(here, here.vic, "remove", job="early")).text
    question = await said(here, here.ann, "remove", job="early")
    await pressed(here, here.ann, question, labelled(question, "Remove early"))
    assert "early" not in here.scheduler.jobs.rows


async def test_what_was_changed_meanwhile_is_not_removed(here):
    """Two people ask; the second to confirm is told that the job is gone."""
    one = await said(here, here.olga, "remove", job="early")
    two = await said(here, here.ann, "remove", job="early")
    await pressed(here, here.olga, one, labelled(one, "Remove early"))
    assert "removed meanwhile" in (await pressed(here, here.ann, two, labelled(two, "Remove early"))).text


async def test_the_right_is_looked_at_again_when_confirming(here):
    """Who lost their role between question and answer removes nothing."""
    question = await said(here, here.olga, "remove", job="early")
    here.olga.roles.clear()
    assert "✗" in (await pressed(here, here.olga, question, labelled(question, "Remove early"))).text
    assert "early" in here.scheduler.jobs.rows


async def test_who_may_not_schedule_cannot_undo(here):
    """Undo is for those who may make jobs."""
    question = await said(here, here.olga, "remove", job="early")
    told = await pressed(here, here.olga, question, labelled(question, "Remove early"))
    assert "operator" in (await pressed(here, here.vic, told, "p1:undo:early")).text
    assert "early" not in here.scheduler.jobs.rows


async def test_undo_keeps_to_the_channels_of_the_pipeline(project, fake):
    """Where a pipeline may not be used, nobody brings its job back; that is recorded."""
    _, ops, *_ = place(fake)
    lab = fake.channel("lab")
    write(project, f"  kept:\n    chain: [mine.one]\n    discord: {{channels: [{lab.id}]}}\n")
    async with running(project, fake) as here:
        here.channel = lab
        await scheduled(here, here.ann, pipeline="kept", name="late")
        question = await said(here, here.ann, "remove", job="late")
        told = await pressed(here, here.ann, question, labelled(question, "Remove late"))
        told.channel = here.channel = ops
        assert f"it may be used in <#{lab.id}> only" in (await pressed(here, here.ann, told, "p1:undo:late")).text
        (entry, *_) = await here.scheduler.reads.audit()
    assert ("schedule", "kept", False) == (entry.verb, entry.target, entry.allowed)
