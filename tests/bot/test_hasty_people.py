"""People in a hurry, and bad luck: buttons pressed many times or by two at once, questions of others, a busy store."""

from __future__ import annotations

import logging
import sqlite3

import pytest

from bot import asking
from pipelines import ScheduleState
from tests.bot.conftest import running
from tests.bot.job_shop import labelled, pressed, said, scheduled, write
from tests.fake_discord import faults

PRESSES = 4


@pytest.fixture
async def here(project, fake, caplog):
    """The bot over the project; nothing may be logged as an error."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


async def all_at_once(here, *presses):
    """Press buttons (who, message, id) before any of them is answered; return what was pressed, all answered."""
    begun = [await here.fake.press(*press) for press in presses]
    for each in begun:
        await each.answered()
    return begun


async def made(here, verb):
    """The targets of what was allowed and recorded under a verb, oldest first."""
    return [entry.target for entry in reversed(await here.bot.reads.audit()) if entry.verb == verb and entry.allowed]


async def test_a_confirmation_pressed_many_times_counts_once(here):
    """However often Confirm is pressed, one job is made, told and recorded; Cancel comes too late."""
    question = await said(here, here.olga, "schedule", pipeline="sales", when="every hour")
    confirm, cancel = (labelled(question, label) for label in ("Confirm", "Cancel"))
    presses = [(here.olga, question, confirm)] * PRESSES + [(here.olga, question, cancel)]
    await all_at_once(here, *presses)
    await here.fake.until(lambda: "is scheduled" in question.content, what="the end of the question")
    assert ["sales"] == await made(here, "schedule")
    assert 1 == len(here.fake.messages(here.channel))
    assert "is scheduled" in question.content


async def test_two_people_who_want_one_name_get_one_job(here):
    """The second is told that the name is taken; what was refused is not recorded as done."""
    questions = [
        await said(here, who, "schedule", pipeline="sales", when="every hour", name="hourly")
        for who in (here.olga, here.ann)
    ]
    first, second = await all_at_once(
        here,
        *((who, each, labelled(each, "Confirm")) for who, each in zip((here.olga, here.ann), questions, strict=True)),
    )
    assert ["hourly"] == await made(here, "schedule")
    assert "A job is called 'hourly' already" in first.text + second.text


async def test_two_people_remove_the_same_job(here):
    """One of them removes it; the other is told that it is gone."""
    shown = await scheduled(here, here.olga, name="late")
    asked = [(who, await pressed(here, who, shown, "p1:remove:late")) for who in (here.olga, here.ann)]
    first, second = await all_at_once(here, *((who, each, labelled(each, "Remove late")) for who, each in asked))
    texts = [first.text, second.text]
    assert 1 == sum("removed **late**" in text for text in texts)
    assert 1 == sum("was changed or removed meanwhile" in text for text in texts)
    assert ["late"] == await made(here, "remove")


async def test_a_job_comes_back_once(here):
    """Undo pressed by two people many times brings the job back once; the others are told that it is there."""
    shown = await scheduled(here, here.olga, name="late")
    asked = await pressed(here, here.olga, shown, "p1:remove:late")
    gone = await pressed(here, here.olga, asked, labelled(asked, "Remove late"))
    tried = await all_at_once(here, *[(who, gone, "p1:undo:late") for who in (here.olga, here.ann, here.olga)])
    assert 1 == sum("brought back" in each.text for each in tried)
    assert 2 == sum("is there already" in each.text for each in tried)
    assert "late" in here.scheduler.jobs.rows


async def test_a_job_is_paused_and_resumed_once(here):
    """Pause and Resume pressed many times act once, and say so once; the rest are told how it is."""
    shown = await said(here, here.olga, "jobs")
    paused = await all_at_once(here, *[(who, shown, "p1:pause:prices") for who in (here.olga, here.ann, here.olga)])
    assert 1 == sum("paused **prices**" in each.text for each in paused)
    assert 2 == sum("is paused already" in each.text for each in paused)
    shown = await said(here, here.olga, "jobs")
    resumed = await all_at_once(here, *[(here.olga, shown, "p1:resume:prices")] * PRESSES)
    assert 1 == sum("resumed **prices**" in each.text for each in resumed)
    assert (["prices"], ["prices"]) == (await made(here, "pause"), await made(here, "resume"))
    assert ScheduleState.ACTIVE is here.scheduler.jobs.rows["prices"].state


async def test_a_question_is_for_the_one_who_was_asked(here):
    """Somebody else who gets at its buttons is refused, and nothing changes."""
    question = await said(here, here.olga, "schedule", pipeline="sales", when="every hour")
    told = await pressed(here, here.ann, question, labelled(question, "Confirm"))
    assert "This question was put to somebody else" in told.text
    assert "sales" not in here.scheduler.jobs.rows


async def test_a_run_whose_card_cannot_be_shown_is_told_of(here):
    """Where no answer gets through, the person hears in the end that it was started, and does not start it again."""
    here.fake.faults.next(faults.dropped(), route="POST /interactions/*", times=2)
    told = await said(here, here.olga, "run", pipeline="prices")
    assert "**prices** was started, as #1, but I could not show its card" in told.text
    assert ["prices"] == await made(here, "run")


async def test_a_denial_is_told_though_the_store_is_busy(here, project, monkeypatch):
    """While another program holds the store, whoever may not run something hears in time that an answer comes."""
    monkeypatch.setattr(asking, "DEFER_AFTER_S", 0.05)
    other = sqlite3.connect(project.folder / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    denied = await here.fake.command(here.vic, "run", pipeline="prices")
    assert 5 == (await denied.answered())["type"]
    other.execute("ROLLBACK")
    other.close()
    assert "You may not run prices" in (await denied.shown()).text
    (entry,) = await here.bot.reads.audit()
    assert not entry.allowed
