"""`/run`: the card, the question before, the form, wrong parameters, who may, and a second press."""

from __future__ import annotations

import pytest

from bot.parameter_form import ParameterForm, fields
from pipelines import RunState
from tests.bot.conftest import running
from tests.bot.gate import Gate


@pytest.fixture
def gate(project):
    return Gate(project)


async def over(here, run_id, state=RunState.SUCCEEDED):
    """Wait for a run to end."""
    run = await here.scheduler.wait(run_id)
    assert state == run.state
    return run


async def card_says(here, message, words):
    await here.fake.until(lambda: words in message.text, what=f"{words!r} on the card: {message.text}")


async def test_a_run_is_answered_with_its_card(project, fake, gate):
    """`/run` answers everybody with a card that becomes green at the end; anybody may be told who ran it."""
    async with running(project, fake) as here:
        asked = await fake.command(here.olga, "run", pipeline="gated")
        message = await asked.shown()
        assert not message.ephemeral
        assert "run #1" in message.text
        assert "by olga" in message.text
        assert ["p1:cancel:1", "p1:log:1"] == sorted(message.custom_ids)
        gate.say("go")
        await over(here, 1)
        await card_says(here, message, "succeeded")
        assert ["p1:again:1", "p1:log:1"] == sorted(message.custom_ids)
        assert set() == message.pings
    assert [("over", 1)] == project.query("SELECT state, run_id FROM cards")


async def test_a_failure_is_told_to_who_asked(project, fake, gate):
    """Whoever ran what failed is told in a new message that pings them alone, whatever the error says."""
    async with running(project, fake) as here:
        message = await (await fake.command(here.olga, "run", pipeline="failing")).shown()
        await card_says(here, message, "disk full")
        await fake.until(lambda: len(fake.messages(here.channel)) == 2, what="the word")
        word = fake.messages(here.channel)[1]
        assert {f"user:{here.olga.user.id}"} == word.pings
        assert "failed" in word.content
        assert str(message.id) == word.reference["message_id"]
        assert set() == message.pings


async def test_who_may_not_run(project, fake, gate):
    """A viewer is told what is missing, and that is audited; a pipeline that one may not see is not known."""
    async with running(project, fake) as here:
        refused = await (await fake.command(here.vic, "run", pipeline="gated")).shown()
        assert refused.ephemeral
        assert "operator" in refused.text
        hidden = await (await fake.command(here.olga, "run", pipeline="secret")).shown()
        assert "No pipeline" in hidden.text
    assert [("run", 0)] == project.query("SELECT verb, allowed FROM audit")
    assert [] == project.query("SELECT id FROM runs")


async def test_a_name_that_nothing_goes_by(project, fake, gate):
    """A misspelt name brings the nearest; a label chosen from the list is understood."""
    async with running(project, fake) as here:
        assert "greet" in (await (await fake.command(here.olga, "run", pipeline="gret")).shown()).text
        labelled = await fake.command(here.olga, "run", pipeline="greet · ✅ 2h ago", params="name=Bo")
        assert "run #1" in (await labelled.shown()).text


async def test_a_pipeline_that_asks_first(project, fake, gate):
    """A pipeline with `confirm` is run after a press on its name only; the question is nobody else's business."""
    async with running(project, fake) as here:
        asked = await fake.command(here.olga, "run", pipeline="careful", params="region=us")
        question = await asked.shown()
        assert question.ephemeral
        assert "Run **careful**?" in question.text
        assert "region = us" in question.text
        assert [] == await here.scheduler.reads.runs()
        yes = question.custom_ids[0]
        pressed = await fake.press(here.olga, question, yes)
        card = await pressed.shown()
        assert not card.ephemeral
        assert "run #1" in card.text
        await fake.until(lambda: "Started" in question.text, what="the closed question")
        assert [] == question.custom_ids
        assert {"region": "us"} == (await here.scheduler.reads.run(1)).params
        again = await (await fake.command(here.olga, "run", pipeline="careful", params="region=fr")).shown()
        await (await fake.press(here.olga, again, again.custom_ids[1])).answered()
        assert "Nothing was started" in again.text
        assert 1 == len(await here.scheduler.reads.runs())


async def test_rights_are_looked_at_when_confirmed(project, fake, gate):
    """Whoever loses their role between question and press is refused."""
    async with running(project, fake) as here:
        question = await (await fake.command(here.olga, "run", pipeline="careful")).shown()
        here.olga.roles.clear()
        pressed = await fake.press(here.olga, question, question.custom_ids[0])
        assert "operator" in (await pressed.shown()).text
        await fake.until(lambda: [] == question.custom_ids, what="the closed question")
        assert [] == await here.scheduler.reads.runs()


async def test_an_impatient_second_command(project, fake, gate):
    """The same run asked for twice within seconds is one run, with a link to its card; other parameters are another."""
    async with running(project, fake) as here:
        message = await (await fake.command(here.olga, "run", pipeline="greet", params="name=Bo")).shown()
        second = await (await fake.command(here.olga, "run", pipeline="greet", params="name=Bo")).shown()
        assert second.ephemeral
        assert "already started: #1" in second.text
        assert f"/{here.channel.id}/{message.id}" in second.text
        other = await (await fake.command(here.olga, "run", pipeline="greet", params="name=Ada")).shown()
        assert "run #2" in other.text
        somebody = await (await fake.command(here.ann, "run", pipeline="greet", params="name=Bo")).shown()
        assert "run #3" in somebody.text


async def test_missing_parameters_open_the_form(project, fake, gate):
    """Without a required parameter the form opens, with limits and defaults; what is left alone is not given."""
    async with running(project, fake) as here:
        asked = await fake.command(here.olga, "run", pipeline="greet", params="times=3")
        await asked.answered()
        labels = {row["label"]: row for row in asked.modal["components"]}
        assert ["name", "times", "tone"] == list(labels)
        assert "Whom to greet" in labels["name"]["description"]
        assert "from 1 to 5" in labels["times"]["description"]
        assert "3" == labels["times"]["component"]["value"]
        sent = await fake.submit(asked, {ids(asked)["name"]: "Bo"} | kept(asked))
        assert "run #1" in (await sent.shown()).text
        assert {"name": "Bo", "times": 3} == (await over(here, 1)).params


def ids(asked):
    """The custom ids of a form's fields, by label."""
    return {row["label"]: row["component"]["custom_id"] for row in asked.modal["components"]}


def kept(asked):
    """What Discord sends of choices that a person leaves as they are."""
    found = {}
    for row in asked.modal["components"]:
        field = row["component"]
        chosen = [option["value"] for option in field.get("options", []) if option.get("default")]
        if chosen:
            found[field["custom_id"]] = chosen if field["type"] == 3 else chosen[0]
    return found


async def test_wrong_parameters_are_told_together(project, fake, gate):
    """All that is wrong with the parameters is told at once, and the form opens again with what was typed."""
    async with running(project, fake) as here:
        asked = await fake.command(here.olga, "run", pipeline="greet", form=True)
        await asked.answered()
        fields_ = ids(asked)
        sent = await fake.submit(asked, {fields_["name"]: "Bo", fields_["times"]: "99"} | kept(asked))
        told = await sent.shown()
        assert told.ephemeral
        assert "times" in told.text
        reopened = await fake.press(here.olga, told, told.custom_ids[0])
        await reopened.answered()
        values = {row["label"]: row["component"].get("value") for row in reopened.modal["components"]}
        assert ("Bo", "99") == (values["name"], values["times"])
        again = await fake.submit(reopened, {ids(reopened)["times"]: "4"} | kept(reopened))
        assert "run #1" in (await again.shown()).text
        typed = await fake.command(here.olga, "run", pipeline="greet", params="name=Bo times=x tone=loud colour=red")
        text = (await typed.shown()).text
        assert all(word in text for word in ("times", "tone", "colour"))


async def test_text_that_cannot_be_read(project, fake, gate):
    """Parameters that are no name=value are refused with the place; those of a pipeline that takes none as well."""
    async with running(project, fake) as here:
        unread = await (await fake.command(here.olga, "run", pipeline="greet", params="Bo")).shown()
        assert "name=value" in unread.text
        none = await (await fake.command(here.olga, "run", pipeline="gated", params="a=1")).shown()
        assert "no parameters" in none.text
        no_form = await (await fake.command(here.olga, "run", pipeline="gated", form=True)).shown()
        assert "no parameters" in no_form.text


async def test_a_form_of_more_fields_than_fit(project, fake, gate):
    """Of six parameters four have fields of their own; the fifth takes the others as text, with help if it is wrong."""
    async with running(project, fake) as here:
        asked = await fake.command(here.olga, "run", pipeline="wide", params="f='z z'")
        await asked.answered()
        assert ["a", "b", "c", "d", "Other parameters"] == list(ids(asked))
        rest = asked.modal["components"][4]["component"]
        assert 'f="z z"' == rest["value"]
        wrong = await (await fake.submit(asked, {ids(asked)["a"]: "kept", rest["custom_id"]: "f='z"})).shown()
        assert "expected name=value" in wrong.text
        asked = await fake.press(here.olga, wrong, wrong.custom_ids[0])
        await asked.answered()
        assert "kept" == asked.modal["components"][0]["component"]["value"]
        rest = asked.modal["components"][4]["component"]
        filled = {ids(asked)["a"]: "1", rest["custom_id"]: 'f="z z" e=why', ids(asked)["c"]: "no"}
        assert "run #1" in (await (await fake.submit(asked, filled)).shown()).text
        assert {"a": "1", "c": False, "e": "why", "f": "z z"} == (await over(here, 1)).params


async def test_run_again(project, fake, gate):
    """The button of an old card runs the same again, with the same parameters, after a restart as well."""
    async with running(project, fake) as here:
        message = await (await fake.command(here.olga, "run", pipeline="greet", params="name=Bo")).shown()
        await card_says(here, message, "succeeded")
    async with running(project, fake) as here:
        refused = await fake.press(here.vic, message, "p1:again:1")
        assert "operator" in (await refused.shown()).text
        pressed = await fake.press(here.ann, message, "p1:again:1")
        assert "run #2" in (await pressed.shown()).text
        assert {"name": "Bo"} == (await over(here, 2)).params


async def test_autocomplete_offers_pipelines(project, fake, gate):
    """Pipelines that one may run are offered while one types."""
    async with running(project, fake) as here:
        typing = await fake.autocomplete(here.olga, "run", "pipeline", "gre")
        await typing.answered()
        assert ["greet"] == [choice["value"] for choice in typing.choices][:1]
        assert "secret" not in [choice["value"] for choice in typing.choices]


def test_a_form_fits_discord(project, gate):
    """A form has at most five fields, in the order required ones first."""
    wide = project.catalog().get("wide")
    assert ["a", "b", "c", "d", "e", "f"] == [each.name for each in fields(wide)]
    assert ParameterForm is not None
