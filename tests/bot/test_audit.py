"""Every change that somebody asks for in chat leaves one row, allowed or denied; and a `deny` wins at every door."""

from __future__ import annotations

import pytest

from tests.bot.conftest import place, running
from tests.bot.job_shop import labelled, offered, pressed, said, scheduled, write


@pytest.fixture
async def here(project, fake):
    """The bot over the project."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work


async def rows(here):
    """Who asked for what of which target, and whether they might, oldest first."""
    entries = reversed(await here.scheduler.reads.audit())
    return [(each.asked.actor.name, each.verb.value, each.target, each.allowed) for each in entries]


async def test_each_change_leaves_one_row(here):
    """Commands, confirmations and buttons that change something are recorded once, with who and what."""
    card = await said(here, here.olga, "run", pipeline="sales")
    await here.fake.until(lambda: "p1:again:1" in card.custom_ids, what="the end of the run")
    await pressed(here, here.ann, card, "p1:again")
    told = await scheduled(here, here.olga, name="early")
    await pressed(here, here.olga, told, "p1:pause:early")
    await said(here, here.olga, "resume", job="early")
    question = await said(here, here.olga, "remove", job="early")
    removed = await pressed(here, here.olga, question, labelled(question, "Remove early"))
    await pressed(here, here.olga, removed, "p1:undo:early")
    assert [
        ("olga", "run", "sales", True),
        ("ann", "run", "sales", True),
        ("olga", "schedule", "early", True),
        ("olga", "pause", "early", True),
        ("olga", "resume", "early", True),
        ("olga", "remove", "early", True),
        ("olga", "schedule", "early", True),
    ] == await rows(here)


async def test_each_denial_leaves_one_row(here):
    """A viewer's commands and presses are refused and recorded; what they only look at is not."""
    card = await said(here, here.olga, "run", pipeline="sales")
    await here.fake.until(lambda: "p1:again:1" in card.custom_ids, what="the end of the run")
    told = await scheduled(here, here.olga, name="early")
    listed = await said(here, here.vic, "pipelines")
    form = await here.fake.command(here.olga, "run", pipeline="prices", form=True)
    await form.answered()
    before = len(await rows(here))
    here.olga.roles.clear()
    await said(here, here.vic, "run", pipeline="sales")
    await said(here, here.vic, "schedule", pipeline="sales", when="every day at 05:00")
    await said(here, here.vic, "pause", job="early")
    await pressed(here, here.vic, told, "p1:remove:early")
    await pressed(here, here.vic, card, "p1:again")
    await pressed(here, here.vic, listed, "p1:plan:sales")
    assert "✗ You may not run" in (await (await here.fake.submit(form, {})).shown()).text
    await said(here, here.vic, "logs", run="1")
    await said(here, here.vic, "status")
    assert [
        ("vic", "run", False),
        ("vic", "schedule", False),
        ("vic", "pause", False),
        ("vic", "remove", False),
        ("vic", "run", False),
        ("vic", "schedule", False),
        ("olga", "run", False),
    ] == [(who, verb, allowed) for who, verb, _, allowed in (await rows(here))[before:]]


async def test_deny_wins_everywhere(project, fake):
    """Who is on the `deny` list is offered nothing and refused at command and button, though they are an admin."""
    *_, ann, olga, _ = place(fake)
    write(project)
    path = project.folder / "pipelines.yml"
    path.write_text(
        f"{path.read_text()}\npolicy:\n  operator: {{users: [{olga.id}]}}\n"
        f"  admin: {{users: [{ann.id}]}}\n  deny: {{users: [{ann.id}]}}\n"
    )
    async with running(project, fake) as here:
        told = await scheduled(here, here.olga, name="early")
        assert {} == await offered(here, ann, "run", "pipeline")
        assert {} == await offered(here, ann, "remove", "job")
        assert "deny" in (await pressed(here, ann, told, "p1:remove:early")).text
        assert "deny" in (await said(here, ann, "pipelines")).text
        assert "No pipeline `sales`" in (await said(here, ann, "run", pipeline="sales")).text
        assert "deny" in (await said(here, ann, "whoami")).text
    assert here.scheduler.jobs.rows.keys() >= {"early"}
