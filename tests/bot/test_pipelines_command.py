"""`/pipelines`: the list, its search and pages, and the buttons that run and schedule."""

from __future__ import annotations

import pytest

from bot.limits import faults
from tests.bot.conftest import running
from tests.bot.job_shop import labelled, many, pressed, said, walk, write


@pytest.fixture
async def here(project, fake):
    """The bot over the project."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work


def names(message):
    """The names of the pipelines that are shown."""
    texts = [part["content"] for part in walk(message.components) if part["type"] == 10]
    return [text.split("**")[1] for text in texts if "**" in text]


async def test_pipelines_are_listed_with_what_matters(here):
    """Each has its description, state, next run and schedule, and buttons; nothing in it formats."""
    (run,) = await here.scheduler.run_now(["broken"])
    await here.scheduler.wait(run.id)
    shown = await said(here, here.olga, "pipelines")
    assert shown.ephemeral
    assert ["prices", "sales", "broken", "off"] == names(shown)
    assert "Prices of the shop" in shown.text
    assert "every day at 06:30 · next <t:" in shown.text
    assert "❌ **broken** · failed <t:" in shown.text
    assert "Fails \\*\\*always\\*\\*" in shown.text
    assert "no job: it runs when somebody runs it" in shown.text
    assert "switched off" in shown.text
    assert {"p1:run:prices", "p1:plan:prices"} <= set(shown.custom_ids)


async def test_a_query_searches_names_and_descriptions(here):
    """A query finds by name first, then by description; nothing found says what to do."""
    assert ["prices"] == names(await said(here, here.olga, "pipelines", query="PRIC"))
    assert ["prices"] == names(await said(here, here.olga, "pipelines", query="shop"))
    assert ["sales"] == names(await said(here, here.olga, "pipelines", query="slaes"))
    shown = await said(here, here.olga, "pipelines", query="zzz *x* @everyone")
    assert "There is no pipeline, like “zzz \\*x\\*" in shown.text
    assert "</pipelines:" in shown.text
    assert set() == shown.pings


async def test_only_what_one_may_see_is_listed(here):
    """A pipeline that somebody may not see is not there for them."""
    assert "secret" not in (await said(here, here.vic, "pipelines")).text
    assert "secret" in (await said(here, here.ann, "pipelines")).text


async def test_the_run_button_runs(here):
    """Run starts the pipeline as the one who pressed; others are refused."""
    shown = await said(here, here.olga, "pipelines", query="sales")
    interaction = await here.fake.press(here.olga, shown, "p1:run:sales")
    await interaction.answered()
    await here.fake.until(here.scheduler.overview.recent_runs, what="a run")
    run = here.scheduler.overview.recent_runs()[0]
    assert ("sales", "olga") == (run.pipeline, run.actor)
    shown = await said(here, here.vic, "pipelines", query="sales")
    assert "operator" in (await pressed(here, here.vic, shown, "p1:run:sales")).text


async def test_the_schedule_button_needs_the_right(here):
    """Who may not schedule gets no form."""
    shown = await said(here, here.vic, "pipelines", query="sales")
    assert "operator" in (await pressed(here, here.vic, shown, "p1:plan:sales")).text


async def test_pages_turn_in_place_and_after_a_restart(project, fake):
    """Eight to a page; the query goes along, also after a restart, within Discord's limits."""
    many(project, 20)
    async with running(project, fake) as here:
        shown = await said(here, here.olga, "pipelines", query="p_p")
        assert 8 == len(names(shown))
    async with running(project, fake) as here:
        await pressed(here, here.olga, shown, labelled(shown, "›"))
        await pressed(here, here.olga, shown, labelled(shown, "›"))
        assert 4 == len(names(shown))
        assert "Pipelines: 20, like" in shown.text
        assert [] == faults({"components": shown.components, "flags": 1 << 15, "allowed_mentions": {"parse": []}})
