"""`/schedule`: what is shown before a job is made, what makes it, and what is refused."""

from __future__ import annotations

import pytest

from bot.commands.schedule import Question
from pipelines import RunState
from tests.bot.conftest import running
from tests.bot.job_shop import labelled, offered, pressed, said, scheduled, stamps, write


@pytest.fixture
async def here(project, fake):
    """The bot over the project."""
    write(project)
    async with running(project, fake) as at_work:
        yield at_work


async def test_a_preview_shows_what_was_understood_and_changes_nothing(here):
    """The preview is for its person only: words, the next five runs, parameters; no job is made by it."""
    shown = await said(
        here, here.olga, "schedule", pipeline="prices", when="every weekday at 09:00", params="region=us", name="work"
    )
    assert shown.ephemeral
    assert "Monday to Friday at 09:00 (Europe/Stockholm)" in shown.text
    assert "region = us" in shown.text
    assert "`work`" in shown.text
    fires = stamps(shown.text)
    assert 10 == len(fires)
    assert sorted(fires) == fires
    assert "work" not in here.scheduler.jobs.rows


async def test_confirming_makes_the_job_in_the_open(here):
    """Confirm makes the job; the result is public, with a way to remove and to pause it, and pings nobody."""
    told = await scheduled(here, here.olga, name="early")
    assert not told.ephemeral
    assert "early" in told.text
    assert set() == told.pings
    assert ["p1:remove:early", "p1:pause:early"] == told.custom_ids
    row = here.scheduler.jobs.rows["early"]
    assert ("sales", "chat", "olga", "Europe/Stockholm") == (row.pipeline, row.source, row.actor, row.timezone)


async def test_a_name_is_made_where_none_is_given(here):
    """Without a name the job is called like its pipeline, with a number where that is taken."""
    await scheduled(here, here.olga)
    await scheduled(here, here.olga)
    assert {"sales", "sales-2"} <= set(here.scheduler.jobs.rows)


async def test_cancelling_makes_nothing(here):
    """Cancel ends the question without a job."""
    question = await said(here, here.olga, "schedule", pipeline="sales", when="every hour")
    closed = await pressed(here, here.olga, question, labelled(question, "Cancel"))
    assert "Nothing was scheduled" in closed.text
    assert "sales" not in here.scheduler.jobs.rows


async def test_the_zone_decides(here):
    """A time is read in the zone that was given, in any case; a label of a choice will do."""
    told = await scheduled(here, here.olga, timezone="asia/tokyo · now 21:00", name="tokyo")
    assert "Asia/Tokyo" in told.text
    assert "Asia/Tokyo" == here.scheduler.jobs.rows["tokyo"].timezone


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"when": "evry day"}, "evry"),
        ({"when": "2020-01-05 08:00"}, "past"),
        ({"timezone": "Europe/Stokholm"}, "Europe/Stockholm"),
        ({"params": "colour=red"}, "colour"),
        ({"pipeline": "prices", "params": "region=mars"}, "region"),
        ({"params": "region='eu"}, "name=value"),
        ({"name": "no way!"}, "no name of a job"),
        ({"name": "prices"}, "called `prices` already"),
        ({"pipeline": "pricse"}, "Did you mean `prices`?"),
        ({"pipeline": "secret"}, "No pipeline `secret`"),
        ({"pipeline": "off"}, "switched off"),
    ],
)
async def test_what_is_wrong_is_said(here, options, part):
    """Whatever is wrong is told to its person only, with what to do; nothing is made."""
    before = set(here.scheduler.jobs.rows)
    told = await said(here, here.olga, "schedule", **{"pipeline": "sales", "when": "every hour"} | options)
    assert told.ephemeral
    assert told.text.startswith("✗")
    assert part in told.text
    assert before == set(here.scheduler.jobs.rows)


async def test_viewers_may_not(here):
    """Somebody without the right is told what is missing, and that is audited."""
    told = await said(here, here.vic, "schedule", pipeline="sales", when="every hour")
    assert "operator" in told.text
    assert [False] == [entry.allowed for entry in await here.bot.reads.audit()]


async def test_the_right_is_looked_at_again_when_confirming(here):
    """Who lost their role between the preview and Confirm makes nothing."""
    question = await said(here, here.olga, "schedule", pipeline="sales", when="every hour")
    here.olga.roles.clear()
    told = await pressed(here, here.olga, question, labelled(question, "Confirm"))
    assert told.text.startswith("✗")
    assert "sales" not in here.scheduler.jobs.rows


async def test_too_often_is_refused(project, fake):
    """A job may not be due more often than the file allows for chat."""
    write(project, "discord: {shortest_interval: 10m}\n")
    async with running(project, fake) as here:
        told = await said(here, here.olga, "schedule", pipeline="sales", when="every 5 minutes")
        assert "more often than every 10 min" in told.text
        told = await said(here, here.olga, "schedule", pipeline="sales", when="0,5 9 * * *")
        assert "every 5 min" in told.text


async def test_one_person_makes_only_so_many(project, fake):
    """Who has made as many jobs as the file allows makes no more; others still do."""
    write(project, "discord: {jobs_per_user: 1}\n")
    async with running(project, fake) as here:
        await scheduled(here, here.olga)
        told = await said(here, here.olga, "schedule", pipeline="sales", when="every hour")
        assert "as many as one may have" in told.text
        await scheduled(here, here.ann, name="mine")
        assert "mine" in here.scheduler.jobs.rows


async def test_cautions_are_shown(here):
    """Doubles and clock changes are pointed out before the job is made."""
    told = await said(here, here.olga, "schedule", pipeline="prices", when="every day at 06:30")
    assert "already has a schedule" in told.text
    told = await said(here, here.olga, "schedule", pipeline="sales", when="every day at 02:30")
    assert "clocks" in told.text


async def test_a_job_survives_a_restart_and_fires(project, fake):
    """A job made in chat is there after a restart of the service, is due, runs, and is then over."""
    write(project)
    async with running(project, fake) as here:
        await scheduled(here, here.olga, when="in 3 seconds", name="soon")
    async with running(project, fake) as here:
        await fake.until(lambda: [run for run in here.scheduler.overview.recent_runs() if run.schedule_id == "soon"])
        run = next(run for run in here.scheduler.overview.recent_runs() if run.schedule_id == "soon")
        assert ("sales", RunState.SUCCEEDED) == (run.pipeline, run.state)
        assert "soon" not in here.scheduler.jobs.rows


async def test_relative_times_count_from_the_preview(here):
    """`in 20 minutes` is confirmed as the moment that was shown."""
    question = await said(here, here.olga, "schedule", pipeline="sales", when="in 20 minutes", name="later")
    shown = stamps(question.text)[0]
    told = await pressed(here, here.olga, question, labelled(question, "Confirm"))
    assert "later" in told.text
    due = here.scheduler.overview.job("later").row.next_due_at
    assert shown == int(due.timestamp())


async def test_a_form_asks_the_same(here):
    """The Schedule button below a pipeline opens a form; what is filled in is previewed and confirmed alike."""
    listed = await said(here, here.olga, "pipelines", query="sales")
    opened = await here.fake.press(here.olga, listed, "p1:plan:sales")
    await opened.answered()
    sent = await here.fake.submit(opened, {"when": "every day at 04:00", "name": "formed"})
    question = await sent.shown()
    await pressed(here, here.olga, question, labelled(question, "Confirm"))
    assert "every day at 04:00" == here.scheduler.jobs.rows["formed"].words


async def test_when_is_understood_while_one_types(here):
    """The completion of `when` says how it is understood and when that is first; its value is what was typed."""
    offers = await offered(here, here.olga, "schedule", "when", "every weekday at 09:00", pipeline="sales")
    label = offers["every weekday at 09:00"]
    assert label.startswith("Monday to Friday at 09:00 Europe/Stockholm → ")
    assert label.endswith("09:00")
    offers = await offered(here, here.olga, "schedule", "when", "", pipeline="sales")
    assert "every weekday at 09:00" in offers
    offers = await offered(here, here.olga, "schedule", "when", "evry day", pipeline="sales")
    assert offers["evry day"].startswith("✗ cannot read 'evry day' – try: ")
    assert len(offers) > 1
    offers = await offered(here, here.olga, "schedule", "when", "2020-01-05 08:00", pipeline="sales")
    assert "past" in offers["2020-01-05 08:00"]


async def test_when_is_read_in_the_zone_that_is_filled_in(here):
    """The completion of `when` reads it in the zone that was filled in."""
    filled = {"pipeline": "sales", "timezone": "Asia/Tokyo"}
    offers = await offered(here, here.olga, "schedule", "when", "daily at 06:30", **filled)
    assert "Asia/Tokyo" in offers["daily at 06:30"]


async def test_a_long_when_is_cut_nowhere(here):
    """What is longer than a choice can be is answered with nothing that would break."""
    offers = await offered(here, here.olga, "schedule", "when", "every " * 40, pipeline="sales")
    assert all(len(value) <= 100 and len(name) <= 100 for value, name in offers.items())


async def test_time_zones_are_offered(here):
    """Before anything is typed, the scheduler's zone and popular ones; then all that fit."""
    offers = await offered(here, here.olga, "schedule", "timezone", "", pipeline="sales", when="every hour")
    assert 25 == len(offers)
    assert "Europe/Stockholm" == next(iter(offers))
    offers = await offered(here, here.olga, "schedule", "timezone", "new york", pipeline="sales", when="every hour")
    assert "America/New_York" in offers
    offers = await offered(here, here.olga, "schedule", "timezone", "stokholm", pipeline="sales", when="every hour")
    assert "Europe/Stockholm" in offers


async def test_an_expired_question_says_so(here):
    """A question that nobody answers becomes "nothing changed"; its buttons are gone."""
    question = await said(here, here.olga, "schedule", pipeline="sales", when="every hour")
    items = [item for each in here.bot._connection._view_store._views.values() for item in each.values()]
    flow = next(item.view for item in items if isinstance(item.view, Question))
    assert 120 == flow.timeout
    await flow.on_timeout()
    assert "nothing changed" in question.text
    assert [] == question.custom_ids


async def test_long_and_hostile_values_fit_and_stay_text(here):
    """The longest parameters and texts make a preview and a result that Discord takes, and ping nobody."""
    note = "*_`<@1>@everyone[x](https://evil.example)" * 20
    question = await said(here, here.olga, "schedule", pipeline="prices", when="every minute", params=f'note="{note}"')
    assert "note = \\*" in question.text
    told = await pressed(here, here.olga, question, labelled(question, "Confirm"))
    assert (set(), set()) == (question.pings, told.pings)
    assert note == here.scheduler.jobs.rows["prices-2"].params["note"]


async def test_rules_are_looked_at_again_when_confirming(project, fake):
    """Two previews with room for one job: the second to be confirmed is refused. So is a name that was taken."""
    write(project, "discord: {jobs_per_user: 2}\n")
    async with running(project, fake) as here:
        one = {"pipeline": "sales", "when": "every hour", "name": "same"}
        first, second = await said(here, here.olga, "schedule", **one), await said(here, here.olga, "schedule", **one)
        third = await said(here, here.olga, "schedule", pipeline="sales", when="every hour")
        await pressed(here, here.olga, first, labelled(first, "Confirm"))
        assert "called `same` already" in (await pressed(here, here.olga, second, labelled(second, "Confirm"))).text
        await scheduled(here, here.olga, name="other")
        assert "as many as one may have" in (await pressed(here, here.olga, third, labelled(third, "Confirm"))).text
        assert 2 == sum(row.source == "chat" for row in here.scheduler.jobs.rows.values())


async def test_a_moment_that_passed_before_confirming_is_refused(here):
    """A one-time job whose moment came while the question stood is not made."""
    question = await said(here, here.olga, "schedule", pipeline="sales", when="in 1 second", name="missed")
    due = stamps(question.text)[0]
    await here.fake.until(lambda: here.scheduler.clock().timestamp() > due, what="the moment")
    assert "passed meanwhile" in (await pressed(here, here.olga, question, labelled(question, "Confirm"))).text
    assert "missed" not in here.scheduler.jobs.rows


async def test_a_form_that_is_filled_in_wrongly_says_so(here):
    """What cannot be read in the form is told; nothing is made."""
    listed = await said(here, here.olga, "pipelines", query="sales")
    opened = await here.fake.press(here.olga, listed, "p1:plan:sales")
    await opened.answered()
    sent = await here.fake.submit(opened, {"when": "evry day"})
    assert "✗ `when`: 'evry day' is not understood" in (await sent.shown()).text
