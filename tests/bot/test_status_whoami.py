"""`/status` and `/whoami`: how all stands, and who somebody is."""

from __future__ import annotations

import pytest

from bot.limits import faults
from pipelines import RunState
from pipelines.model import utcnow
from pipelines.store import outbox, processes
from pipelines.store.processes import Beat
from tests.bot.conftest import running
from tests.bot.job_shop import many, pressed, said, write
from tests.others import process

OLD = "UPDATE processes SET beat_at = '2026-01-01 00:00:00.000000' WHERE id = 'w'"


@pytest.fixture
async def here(project, fake):
    """The bot over the project."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work


async def ended(here, pipeline):
    """Run a pipeline to its end."""
    (run,) = await here.scheduler.run_now([pipeline])
    return await here.scheduler.wait(run.id)


def refuse(conn, reasons):
    """Let every message be refused for good."""
    conn.exec_driver_sql("UPDATE outbox SET state = 'dead', error = ?", (reasons[0],))
    return [None]


async def test_a_quiet_service_is_well(here):
    """Without anything going on, the screen says so, what is due next, and how the bot stands."""
    shown = await said(here, here.vic, "status")
    assert shown.ephemeral
    assert "✅ ok · 0 of 3 running, 0 queued" in shown.text
    assert "**Going on**: nothing runs" in shown.text
    assert "**Failing**: nothing" in shown.text
    assert "**Messages**: none waits" in shown.text
    assert "**prices** <t:" in shown.text
    assert "Bot connected" in shown.text
    assert "service started <t:" in shown.text


async def test_those_who_share_the_store_are_summed_up(here):
    """With a worker beside it the screen says who is there, who leads, and who fell silent; alone nothing of it."""
    assert "**Machines**" not in (await said(here, here.vic, "status")).text
    await here.scheduler.writer.call(processes.beat, Beat(process("w", host="beta", running=1)))
    shown = (await said(here, here.vic, "status")).text
    assert "**Machines**\n1 scheduler, 1 worker, 0 of 5 slots busy" in shown
    assert "silent" not in shown
    await here.scheduler.writer.call(lambda conn, _: conn.exec_driver_sql(OLD) and [None], None)
    assert "⚠️ worker on beta, pid 7: silent since <t:" in (await said(here, here.vic, "status")).text


async def test_what_fails_is_named_with_its_error(here):
    """A pipeline whose last run failed is named with the run, when, and the error on one line."""
    run = await ended(here, "broken")
    assert RunState.FAILED is run.state
    shown = await said(here, here.vic, "status")
    assert f"❌ failed **broken** #{run.id} <t:" in shown.text
    assert "no such host" in shown.text


async def test_what_one_may_not_see_is_not_shown(here):
    """Failures and jobs of a pipeline that somebody may not see are not shown to them; admins see them."""
    assert "secret" not in (await said(here, here.vic, "status")).text
    assert "secret" in (await said(here, here.ann, "status")).text


async def test_waiting_and_refused_messages_are_counted(project, fake):
    """Messages that wait are shown by target with why, and those that were refused for good with the reason."""
    write(project)
    project.plugin(
        "mine",
        """
        from pipelines import current_run

        def one(_):
            current_run().emit("nowhere:1", {"payload": {"content": "hello"}}, key="greeting")
            yield 1

        def fail(_):
            raise OSError("no such host")
        """,
    )
    async with running(project, fake) as here:
        await ended(here, "sales")
        await fake.until(lambda: any(each.waiting for each in here.scheduler.delivery.status()), what="the message")
        shown = await said(here, here.vic, "status")
        assert "📨 1 for nowhere:1" in shown.text
        await here.scheduler.writer.call(refuse, "channel is *gone*")
        shown = await said(here, here.vic, "status")
        assert "💀 1 refused for good; the last: channel is \\*gone\\*" in shown.text


async def test_admins_have_what_was_refused_sent_again(project, fake):
    """An admin's screen has a button for it, which tells everybody; others have no such button, and may not."""
    write(project)
    async with running(project, fake) as here:
        await here.scheduler.writer.call(outbox.post, outbox.Post("nowhere:1", "message", "k", {}, utcnow()))
        await here.scheduler.writer.call(refuse, "no *way*")
        assert [] == (await said(here, here.olga, "status")).custom_ids
        screen = await said(here, here.ann, "status")
        assert "needs admin" in (await pressed(here, here.olga, screen, "p1:redeliver")).text
        told = await pressed(here, here.ann, screen, "p1:redeliver")
        assert not told.ephemeral
        assert "had 1 refused message sent again" in told.text
        assert set() == told.pings
        await fake.until(lambda: any(each.waiting for each in here.scheduler.delivery.status()), what="the message")


async def test_the_screen_fits(project, fake):
    """However much there is, the screen stays within Discord's limits and says how much more there is."""
    many(project, 60)
    async with running(project, fake) as here:
        shown = await said(here, here.ann, "status")
        assert [] == faults({"components": shown.components, "flags": 1 << 15, "allowed_mentions": {"parse": []}})
        assert "… and 58 more" in shown.text


async def test_an_admin_reads_why(here):
    """Who may manage the server is an admin, may do all, and reads why."""
    shown = await said(here, here.ann, "whoami")
    assert shown.ephemeral
    assert f"`{here.ann.id}`" in shown.text
    assert "**admin** in general: you may manage this server." in shown.text
    assert "You may: view, logs, run, cancel, pause, resume, mute, schedule, remove, redeliver" in shown.text
    assert "may not" not in shown.text


async def test_an_operator_reads_which_role_makes_them_one(here):
    """An operator reads the role that the policy names, what is missing for the rest, and pings nobody."""
    role = here.olga.roles[0]
    shown = await said(here, here.olga, "whoami")
    assert f"**operator** in general: the policy's `operator` names <@&{role.id}>." in shown.text
    assert f"Your roles as I see them: <@&{role.id}> (`{role.id}`)" in shown.text
    assert "You may not: remove, redeliver, reload – it needs admin (Manage Server); you are operator" in shown.text
    assert set() == shown.pings


async def test_a_viewer_reads_that_everybody_may_look(here):
    """Without a level of their own people may look, and read what the rest needs."""
    shown = await said(here, here.vic, "whoami")
    assert "**viewer** in general: everybody on this server may look." in shown.text
    assert "You may: view, logs\n" in shown.text
    assert "secret" not in shown.text


async def test_exceptions_by_pipeline_are_named(project, fake):
    """Pipelines where somebody is more or less than usual, or that are for other channels, are named with why."""
    write(project)
    async with running(project, fake) as here:
        olga = here.olga.id
    path = project.folder / "pipelines.yml"
    text = path.read_text().replace("  sales:\n", f"  sales:\n    policy: {{admin: {{users: [{olga}]}}}}\n")
    rules = f"  prices:\n    discord: {{channels: [77]}}\n    policy: {{operator: {{users: [{here.vic.id}]}}}}\n"
    path.write_text(text.replace("  prices:\n", rules))
    async with running(project, fake) as here:
        shown = (await said(here, here.olga, "whoami")).text
        assert "- sales: **admin** (the policy's `admin` names you); you may: redeliver, reload, remove" in shown
        less = "you may not: cancel, mute, pause, resume, run, schedule; in <#77> only"
        assert f"- prices: **viewer** (everybody on this server may look); {less}" in shown


async def test_the_denied_read_that_they_are(project, fake):
    """Who is on the deny list reads so."""
    write(project)
    async with running(project, fake) as here:
        vic = here.vic.id
    path = project.folder / "pipelines.yml"
    path.write_text(path.read_text().replace("policy:\n  operator", f"policy:\n  deny: {{users: [{vic}]}}\n  operator"))
    async with running(project, fake) as here:
        shown = (await said(here, here.vic, "whoami")).text
        assert "**nobody** in general" in shown
        assert "`deny` list" in shown
        assert "You may: nothing" in shown
        assert "✗" in (await said(here, here.vic, "jobs")).text
        assert "✗" in (await said(here, here.vic, "status")).text


async def test_unknown_roles_are_said(project, fake):
    """While Discord does not tell the roles, `/whoami` says that they allow nothing just now."""
    write(project)
    async with running(project, fake) as here:
        here.bot._connection._guilds.clear()
        shown = (await said(here, here.olga, "whoami")).text
        assert "not known just now" in shown


async def test_who_may_see_one_pipeline_sees_that_one(project, fake):
    """Somebody who is a viewer of one pipeline only is shown that one, in every list."""
    write(project)
    async with running(project, fake) as here:
        vic = here.vic.id
    path = project.folder / "pipelines.yml"
    text = path.read_text().replace("  sales:\n", f"  sales:\n    policy: {{viewer: {{users: [{vic}]}}}}\n")
    path.write_text(text.replace("policy:\n  operator", "policy:\n  viewer: {users: [1]}\n  operator"))
    async with running(project, fake) as here:
        shown = [(await said(here, here.vic, name)).text for name in ("pipelines", "status", "jobs", "whoami")]
        assert "**sales**" in shown[0]
        assert "✅ ok" in shown[1]
        assert shown[2].startswith("There is no job yet")
        assert "**nobody** in general: the policy names neither you nor a role of yours." in shown[3]
        assert "- sales: **viewer** (the policy's `viewer` names you); you may: logs, view" in shown[3]
        assert not any("prices" in text for text in shown)
