"""What people typed into options, found; and what they are offered while they type."""

from __future__ import annotations

import pytest

from bot import offers, resolve
from tests.bot.conftest import running
from tests.bot.job_shop import labelled, offered, pressed, said, scheduled, write


@pytest.fixture
async def here(project, fake):
    """The bot over the project."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work


async def finished(here, pipeline):
    """Run a pipeline to its end."""
    (run,) = await here.scheduler.run_now([pipeline], actor="olga")
    return await here.scheduler.wait(run.id)


async def test_pipelines_are_offered_with_how_they_stand(here):
    """A pipeline's choice has its last run and its next one; what fails comes first, then what one ran."""
    await finished(here, "broken")
    await finished(here, "sales")
    choices = await offered(here, here.olga, "run", "pipeline")
    assert ["broken", "sales", "prices", "off"] == list(choices)
    assert choices["broken"].startswith("broken · ❌ now · next ")
    assert "sales · ✅ now" == choices["sales"]


async def test_only_what_one_may_use_is_offered(here):
    """What somebody may not see, or not run, is not offered for it; an admin sees all."""
    assert {} == await offered(here, here.vic, "run", "pipeline")
    assert {"broken", "prices", "sales", "off"} == set(await offered(here, here.vic, "history", "pipeline"))
    assert "secret" not in await offered(here, here.olga, "run", "pipeline", "secret")
    assert ["secret"] == list(await offered(here, here.ann, "run", "pipeline", "secret"))


async def test_a_misspelling_offers_what_is_near(here):
    """Typing nearly a name offers it."""
    assert ["prices"] == list(await offered(here, here.olga, "run", "pipeline", "pirces"))


async def test_elsewhere_nothing_is_offered(here, fake):
    """On a server that is not served there are no choices."""
    guild = fake.guild("Elsewhere")
    fake.channel("there", guild=guild)
    stranger = fake.member("stranger", guild=guild)
    await fake.until(lambda: here.bot.get_guild(guild.id), what="the guild")
    fake.registered.put(guild.id, [each | {"id": None} for each in fake.commands(here.guild)])
    interaction = await fake.autocomplete(stranger, "run", "pipeline", "p", channel=guild.channels[0])
    await interaction.answered()
    assert [] == interaction.choices


async def test_channels_of_a_pipeline_limit_what_is_offered(project, fake):
    """A pipeline that is for another channel is not offered here."""
    write(project)
    text = (project.folder / "pipelines.yml").read_text()
    text = text.replace("  sales:\n", "  sales:\n    discord: {channels: [1234567890123456789]}\n")
    (project.folder / "pipelines.yml").write_text(text)
    async with running(project, fake) as here:
        assert "sales" not in await offered(here, here.ann, "run", "pipeline")


async def test_jobs_are_offered_by_what_is_asked(here):
    """To pause active jobs, to resume paused ones, to remove those made in chat; `all` to admins only."""
    await scheduled(here, here.olga, name="chatty")
    await here.scheduler.jobs.pause("broken-nightly", here.scheduler.writer.call, until=None, reason=None)
    assert ["chatty", "prices"] == sorted(await offered(here, here.olga, "pause", "job"))
    assert ["broken-nightly"] == list(await offered(here, here.olga, "resume", "job"))
    assert ["chatty"] == list(await offered(here, here.olga, "remove", "job"))
    assert ["all", "chatty", "prices", "secret-nightly"] == sorted(await offered(here, here.ann, "pause", "job"))
    assert "broken-nightly · broken · ⏸ paused" == (await offered(here, here.ann, "resume", "job"))["broken-nightly"]


async def test_runs_are_offered_by_what_is_asked(here):
    """Runs are offered newest first with their state; to cancel, only those that are not over."""
    first, second = await finished(here, "sales"), await finished(here, "broken")
    choices = await offered(here, here.olga, "logs", "run")
    assert [str(second.id), str(first.id)] == list(choices)
    assert f"#{first.id} sales · ✅ succeeded now · olga" == choices[str(first.id)]
    assert [str(first.id)] == list(await offered(here, here.olga, "logs", "run", "sal"))
    assert [str(first.id)] == list(await offered(here, here.olga, "logs", "run", f"#{first.id}"))
    assert {} == await offered(here, here.olga, "cancel", "run")


async def test_moments_are_understood_while_one_types(here):
    """The completion of `until` says which moment is meant, and that a rhythm is none."""
    choices = await offered(here, here.olga, "pause", "until", "in 2 hours", job="prices")
    assert choices["in 2 hours"].startswith("until ")
    choices = await offered(here, here.olga, "pause", "until", "every hour", job="prices")
    assert "again and again" in choices["every hour"]
    choices = await offered(here, here.olga, "pause", "until", "soonish", job="prices")
    assert choices["soonish"].startswith("✗ cannot read 'soonish' – try: ")
    assert "in 2 hours" in await offered(here, here.olga, "pause", "until", "", job="prices")


async def test_a_failing_completion_offers_nothing(here, monkeypatch):
    """An error while choices are made gives none, and is logged under a reference."""

    async def broken(*_):
        raise RuntimeError("no")

    monkeypatch.setattr(offers, "pipelines", broken)
    assert {} == await offered(here, here.olga, "run", "pipeline", "p")


async def test_a_slow_completion_offers_nothing(here, monkeypatch):
    """Choices that take too long are none, in time for Discord."""

    async def slow(*_):
        await here.fake.until(lambda: False, timeout_s=60)

    monkeypatch.setattr(offers, "pipelines", slow)
    monkeypatch.setattr(resolve, "BUDGET_S", 0.01)
    assert {} == await offered(here, here.olga, "run", "pipeline", "p")


async def test_names_labels_and_numbers_are_found(here):
    """A name in any case, a choice's label, and a run's number with or without its sign are understood."""
    run = await finished(here, "sales")
    assert "paused" in (await said(here, here.olga, "pause", job="PRICES · ✅ 2h ago · next 14:00")).text
    for typed in (str(run.id), f"#{run.id}", f"#{run.id} sales · ✅ succeeded now"):
        assert f"#{run.id}" in (await said(here, here.olga, "logs", run=typed)).text


@pytest.mark.parametrize(
    ("command", "options", "parts"),
    [
        ("pause", {"job": "pricse"}, ["No job `pricse`", "Did you mean `prices`?", "</jobs:"]),
        ("pause", {"job": "secret-nightly"}, ["No job `secret-nightly`"]),
        ("schedule", {"pipeline": "slaes", "when": "every hour"}, ["Did you mean `sales`?", "</pipelines:"]),
        ("schedule", {"pipeline": "secrte", "when": "every hour"}, ["No pipeline `secrte`.\n</pipelines:"]),
        ("logs", {"run": "99999"}, ["No run `#99999`", "</history:"]),
        ("logs", {"run": "9" * 30}, ["No run `999"]),
        ("logs", {"run": "last"}, ["No run `last`"]),
        ("pause", {"job": "``` @everyone <@&1>"}, ["No job"]),
    ],
)
async def test_what_is_not_there_is_told_with_what_is_near(here, command, options, parts):
    """An unknown name is refused with the nearest that this person may see, and pings nobody."""
    told = await said(here, here.olga, command, **options)
    assert told.ephemeral
    assert all(part in told.text for part in parts)
    assert set() == told.pings
    assert "secret-nightly`?" not in told.text


async def test_runs_of_what_one_may_not_see_are_unknown(here):
    """A run of a pipeline that somebody may not see does not exist for them."""
    run = await finished(here, "secret")
    assert f"No run `#{run.id}`" in (await said(here, here.vic, "logs", run=str(run.id))).text
    assert f"No run `#{run.id}`" not in (await said(here, here.ann, "logs", run=str(run.id))).text


async def test_buttons_of_unknown_jobs_explain_themselves(here):
    """A button of a job that is gone says so."""
    told = await scheduled(here, here.olga, name="gone")
    question = await pressed(here, here.olga, told, "p1:remove:gone")
    await pressed(here, here.olga, question, labelled(question, "Remove gone"))
    assert "not there any more" in (await pressed(here, here.olga, told, "p1:pause:gone")).text
