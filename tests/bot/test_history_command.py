"""`/history`: filters, pages that work after a restart, what one may not see, and names that nobody wants."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.commands.history import Wanted, _lines, name_key, sparkline
from bot.lengths import units
from pipelines import Run, RunError, RunState, StartedBy
from tests.bot.conftest import running
from tests.bot.gate import Gate
from tests.bot.hostile import TEXTS
from tests.fake_discord.messages import PING

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def gate(project):
    return Gate(project)


async def ran(here, *names):
    """Run pipelines one after the other."""
    for name in names:
        (run,) = await here.scheduler.run_now([name], actor="bo", params={"name": "x"} if name == "greet" else None)
        await here.scheduler.wait(run.id)


async def test_the_last_runs_of_a_pipeline(project, fake, gate):
    """A pipeline's runs have a line each, newest first, with state, time, items and who started them."""
    async with running(project, fake) as here:
        await ran(here, "greet", "greet", "failing")
        message = await (await fake.command(here.vic, "history", pipeline="greet")).shown()
        assert message.ephemeral
        lines = message.text.splitlines()
        assert lines[0].startswith("**greet** · last 2 runs")
        assert "median" in lines[1]
        assert lines[2].startswith("✅ succeeded **#2** · <t:")
        assert "1 in, 1 out · by bo" in lines[2]
        assert "failing" not in message.text


async def test_all_pipelines_and_one_state(project, fake, gate):
    """Without a pipeline all are shown that one may see; a state filters, with the error on the line."""
    async with running(project, fake) as here:
        await ran(here, "greet", "failing", "secret")
        everything = await (await fake.command(here.olga, "history")).shown()
        assert "greet" in everything.text
        assert "secret" not in everything.text
        failed = await (await fake.command(here.olga, "history", state="failed")).shown()
        assert "OSError: disk full" in failed.text
        assert "greet" not in failed.text
        assert set() == failed.pings
        none = await (await fake.command(here.olga, "history", pipeline="greet", state="crashed")).shown()
        assert "Nothing has run like that yet" in none.text


async def test_pages(project, fake, gate):
    """Ten runs to a page; the buttons turn it, show what is new, and work after a restart."""
    async with running(project, fake) as here:
        await ran(here, *["greet"] * 23)
        message = await (await fake.command(here.olga, "history", pipeline="greet", limit=50)).shown()
        assert "**#23**" in message.text
        assert "**#13**" not in message.text
        older = message.custom_ids[-1]
        await (await fake.press(here.olga, message, older)).answered()
        await fake.until(lambda: "**#13**" in message.text, what="page two")
    async with running(project, fake) as here:
        assert 3 == len(message.custom_ids)
        await fake.press(here.olga, message, message.custom_ids[-1])
        await fake.until(lambda: "**#3**" in message.text, what="page three")
        assert 2 == len(message.custom_ids)
        few = await (await fake.command(here.olga, "history", pipeline="greet", limit=1)).shown()
        assert 1 == len(few.custom_ids)
        with pytest.raises(ValueError, match="limit"):
            await fake.command(here.olga, "history", limit=51)


async def test_a_page_of_what_is_gone_or_hidden(project, fake, gate):
    """Buttons are no authority: a page of a pipeline that is gone, or that one may not see, is refused."""
    async with running(project, fake) as here:
        await ran(here, "secret")
        ids = [f"p1:history:0:20::{name_key(name)}" for name in ("nothing", "secret")]
        row = {"type": 1, "components": [{"type": 2, "style": 2, "label": one, "custom_id": one} for one in ids]}
        old = fake.store.create(here.channel, fake.bot, {"content": "old", "components": [row]}, files={})
        assert "gone" in (await (await fake.press(here.vic, old, ids[0])).shown()).text
        refused = await (await fake.press(here.vic, old, ids[1])).shown()
        assert "#1" not in refused.text


def test_bars():
    """Durations are bars from the shortest to the longest; equal ones are of the same middling height."""
    assert "▁▅█" == sparkline([1, 2, 3])
    assert "▅▅" == sparkline([2, 2])
    assert "" == sparkline([])


HUGE = TEXTS | st.sampled_from(["x" * 5000, "漢" * 5000, "*" * 5000])


@given(HUGE, HUGE, HUGE, st.sampled_from(list(RunState)))
@settings(max_examples=25)
def test_any_history_fits(name, actor, error, state):
    """Whatever names and errors hold: a page is at most 4,000 characters, a line for each run, and pings nobody."""
    run = Run(
        id=10**9,
        pipeline=name,
        state=state,
        started_by=StartedBy.MANUAL,
        queued_at=AT,
        started_at=AT,
        ended_at=AT + timedelta(days=3),
        actor=actor,
        items_in=10**9,
        items_out=10**9,
        error=RunError(error, error, error),
    )
    runs = [replace(run, id=run.id + number) for number in range(50)]
    lines = list(_lines(Wanted(None, None, 50), runs))
    assert 11 == len("\n".join(lines).splitlines())
    assert units("\n".join(lines)) <= 4000
    assert not PING.search("\n".join(lines))
    assert len(Wanted(name, state, 50, 4).custom_id) <= 100
