"""`/pause` and `/resume`: jobs stop and go on, for everybody to see, with the way back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.job_keys import key_of
from pipelines import ScheduleState
from tests.bot.conftest import place, running
from tests.bot.job_shop import labelled, pressed, said, stamps, write


@pytest.fixture
async def here(project, fake):
    """The bot over the project."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work


def row(here, job_id="prices"):
    """A job as the service has it."""
    return here.scheduler.jobs.rows[job_id]


async def test_pausing_is_told_in_the_open_with_the_way_back(here):
    """A paused job is told to everybody, with until when and why; the button resumes it, and that has one to pause."""
    told = await said(here, here.olga, "pause", job="prices", until="in 2 hours", reason="server *moves* @everyone")
    assert not told.ephemeral
    assert set() == told.pings
    assert "paused **prices** until" in told.text
    assert "server \\*moves\\*" in told.text
    assert ["p1:resume:prices"] == told.custom_ids
    assert ScheduleState.PAUSED is row(here).state
    left = row(here).paused_until - here.scheduler.clock()
    assert timedelta(minutes=119) < left <= timedelta(hours=2)
    assert stamps(told.text)[0] == int(row(here).paused_until.timestamp())
    back = await pressed(here, here.olga, told, "p1:resume:prices")
    assert not back.ephemeral
    assert "resumed **prices**; next run <t:" in back.text
    assert ScheduleState.ACTIVE is row(here).state
    await pressed(here, here.olga, back, "p1:pause:prices")
    assert (ScheduleState.PAUSED, None) == (row(here).state, row(here).paused_until)


async def test_what_is_so_already_is_said(here):
    """Pausing what is paused, or resuming what is not, changes nothing and says so; another reason is taken."""
    assert "is not paused" in (await said(here, here.olga, "resume", job="prices")).text
    await said(here, here.olga, "pause", job="prices", reason="one")
    assert "paused already" in (await said(here, here.olga, "pause", job="prices")).text
    await said(here, here.olga, "pause", job="prices", reason="two")
    assert "two" == row(here).pause_reason


@pytest.mark.parametrize("until", ["soonish", "2020-01-05 08:00", "every hour"])
async def test_until_is_one_moment_to_come(here, until):
    """What is no moment to come is refused, with an example; nothing is paused."""
    told = await said(here, here.olga, "pause", job="prices", until=until)
    assert told.ephemeral
    assert "`until`" in told.text
    assert "in 2 hours" in told.text
    assert ScheduleState.ACTIVE is row(here).state


async def test_a_pause_ends_by_itself(here):
    """A job that is paused until a moment is active again after it."""
    await said(here, here.olga, "pause", job="prices", until="in 1 second")
    await here.fake.until(lambda: row(here).state is ScheduleState.ACTIVE, what="the end of the pause")


async def test_viewers_may_not(here):
    """Somebody without the right changes nothing, by command or button, and each try is audited."""
    told = await said(here, here.olga, "pause", job="prices")
    assert "operator" in (await said(here, here.vic, "pause", job="broken-nightly")).text
    refused = await pressed(here, here.vic, told, "p1:resume:prices")
    assert refused.ephemeral
    assert ScheduleState.PAUSED is row(here).state
    assert [False, False, True] == [entry.allowed for entry in await here.bot.reads.audit()]


async def test_buttons_work_after_a_restart(project, fake):
    """The button below an old message works with another process's bot."""
    write(project)
    async with running(project, fake) as here:
        told = await said(here, here.olga, "pause", job="prices")
    async with running(project, fake) as here:
        await pressed(here, here.olga, told, "p1:resume:prices")
        assert ScheduleState.ACTIVE is row(here).state


async def test_admins_pause_all_after_ticking_a_box(here):
    """`all` asks an admin to tick how many jobs stop; then they do, and `/resume all` lets them go on."""
    for command, state in (("pause", ScheduleState.PAUSED), ("resume", ScheduleState.ACTIVE)):
        opened = await here.fake.command(here.ann, command, job="all")
        await opened.answered()
        assert "3 jobs" in str(opened.modal)
        sent = await here.fake.submit(opened, {"sure": True})
        told = await sent.shown()
        assert "3 jobs" in told.text
        assert not told.ephemeral
        assert {state} == {each.state for each in here.scheduler.jobs.rows.values()}


async def test_an_empty_box_changes_nothing(here):
    """Without the tick nothing stops."""
    opened = await here.fake.command(here.ann, "pause", job="all")
    await opened.answered()
    sent = await here.fake.submit(opened, {"sure": False})
    assert "not ticked" in (await sent.shown()).text
    assert ScheduleState.ACTIVE is row(here).state


async def test_a_form_from_before_a_change_changes_nothing(here):
    """When the number of jobs is another than what was ticked, nothing stops."""
    opened = await here.fake.command(here.ann, "pause", job="all")
    await opened.answered()
    await said(here, here.olga, "pause", job="prices")
    sent = await here.fake.submit(opened, {"sure": True})
    assert "2 jobs now, not 3" in (await sent.shown()).text
    assert ScheduleState.ACTIVE is row(here, "broken-nightly").state


async def test_only_admins_pause_all(here):
    """An operator is refused, and that is audited."""
    assert "only admins" in (await said(here, here.olga, "pause", job="all")).text
    assert [False] == [entry.allowed for entry in await here.bot.reads.audit()]


async def test_all_of_nothing_is_said(here):
    """Where nothing would change, that is said instead of asked."""
    assert "no job to resume" in (await said(here, here.ann, "resume", job="all")).text


def test_long_ids_have_a_digest_in_buttons():
    """A job's id stands in a button as it is, or as a digest where it is too long or has other characters."""
    assert "prices" == key_of("prices")
    assert 33 == len(key_of("x" * 200))
    assert key_of("a b").startswith("~")
    assert key_of("a b") != key_of("a c")


async def test_a_job_with_a_long_id_is_paused_and_resumed(here):
    """Buttons of a job whose id is too long for them find it by its digest."""
    long = "j" * 80 + "-" + "k" * 40
    jobs = here.scheduler.jobs
    entry = jobs.entry("sales", {"daily": "05:00"}, zone="UTC", job_id=long)
    await jobs.add(entry.row(), entry, here.scheduler.writer.call)
    told = await said(here, here.olga, "pause", job=long)
    assert "paused" in told.text
    back = await pressed(here, here.olga, told, "p1:resume:~")
    assert "resumed" in back.text
    assert labelled(back, "Pause").startswith("p1:pause:~")


async def test_all_keeps_to_the_channels_of_each_pipeline(project, fake):
    """Jobs of a pipeline that may not be used here are not among all of them."""
    place(fake)
    lab = fake.channel("lab")
    kept = f"executor: inline\n    chain: [mine.one]\n    schedule: '0 5 * * *'\n    discord: {{channels: [{lab.id}]}}"
    write(project, f"  kept:\n    {kept}\n")
    async with running(project, fake) as here:
        for channel, count in ((here.channel, 3), (lab, 4)):
            opened = await fake.command(here.ann, "pause", job="all", channel=channel)
            await opened.answered()
            assert f"I understand: {count} jobs stop" in str(opened.modal)
