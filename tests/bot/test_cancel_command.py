"""`/cancel` and the button of a card: a question first, in the open afterwards, and an answer for those too late."""

from __future__ import annotations

import pytest

from pipelines import RunState
from tests.bot.conftest import running
from tests.bot.gate import Gate


@pytest.fixture
def gate(project):
    return Gate(project)


async def begun(here, who=None):
    """Start the run that waits; return its card once it goes on."""
    message = await (await here.fake.command(who or here.olga, "run", pipeline="gated")).shown()
    await here.fake.until(lambda: here.scheduler.live, what="the run")
    return message


async def test_a_run_is_cancelled_after_a_question(project, fake, gate):
    """`/cancel` names run and pipeline and asks; the press cancels, everybody reads who did it, the card follows."""
    async with running(project, fake) as here:
        card = await begun(here)
        question = await (await fake.command(here.olga, "cancel", run="#1")).shown()
        assert question.ephemeral
        assert "Cancel run **#1** of **gated**" in question.text
        assert {} != here.scheduler.live
        pressed = await fake.press(here.olga, question, question.custom_ids[0])
        told = await pressed.shown()
        assert not told.ephemeral
        assert "run #1" in told.text
        assert "by olga" in told.text
        run = await here.scheduler.wait(1)
        assert (RunState.CANCELLED, "cancelled by olga") == (run.state, run.reason)
        await fake.until(lambda: "cancelled by olga" in card.text, what=f"the card: {card.text}")
        await fake.until(lambda: [] == question.custom_ids, what="the closed question")


async def test_a_run_can_be_kept(project, fake, gate):
    """Whoever thinks twice changes nothing."""
    async with running(project, fake) as here:
        await begun(here)
        question = await (await fake.command(here.olga, "cancel", run="1")).shown()
        await (await fake.press(here.olga, question, question.custom_ids[1])).answered()
        assert "Nothing changed" in question.text
        assert {} != here.scheduler.live
        gate.say("go")
        await here.scheduler.wait(1)


async def test_the_button_of_a_card(project, fake, gate):
    """The card's button asks as well, and only those who may; the button of a run that is over explains itself."""
    async with running(project, fake) as here:
        card = await begun(here)
        refused = await (await fake.press(here.vic, card, "p1:cancel:1")).shown()
        assert "operator" in refused.text
        question = await (await fake.press(here.olga, card, "p1:cancel:1")).shown()
        second = await (await fake.press(here.olga, card, "p1:cancel:1")).shown()
        gate.say("go")
        await here.scheduler.wait(1)
        late = await (await fake.press(here.olga, question, question.custom_ids[0])).shown()
        assert "Run #1 is over: ✅ succeeded" in late.text
        await fake.until(lambda: [] == question.custom_ids, what="the closed question")
        later = await fake.command(here.olga, "cancel", run="1")
        assert "Run #1 is over" in (await later.shown()).text
        assert [] != second.custom_ids


async def test_an_old_button_after_a_restart(project, fake, gate):
    """A card's button cancels after a restart too: the run was taken up again."""
    async with running(project, fake) as here:
        card = await begun(here)
        gate.say("go")
        await here.scheduler.wait(1)
        await fake.until(lambda: "succeeded" in card.text, what="the end")
    gate.shut()
    async with running(project, fake) as here:
        again = await (await fake.press(here.olga, card, "p1:again:1")).shown()
        await fake.until(lambda: 2 in here.scheduler.live, what="the second run")
        question = await (await fake.press(here.olga, again, "p1:cancel:2")).shown()
        await (await fake.press(here.olga, question, question.custom_ids[0])).shown()
        assert RunState.CANCELLED == (await here.scheduler.wait(2)).state


async def test_runs_that_are_not_there(project, fake, gate):
    """A number that no run has, and a word that is no number, are told as such."""
    async with running(project, fake) as here:
        assert "No run" in (await (await fake.command(here.olga, "cancel", run="99")).shown()).text
        assert "No run" in (await (await fake.command(here.olga, "cancel", run="x @everyone")).shown()).text
