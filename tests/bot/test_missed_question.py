"""People are asked which missed runs are made up for: one message for each job, answered once, whoever presses."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bot.limits import faults
from bot.question_message import question
from pipelines import OccurrenceOutcome
from pipelines.store import history
from tests.bot.conftest import place, running
from tests.bot.hostile import TEXTS
from tests.bot.job_shop import pressed, said
from tests.fake_discord.messages import PING

AT = "2026-11-01T12:00:00+00:00"


def write(project, fake, *, told=True):
    """A job of every hour, half an hour away from now, whose missed runs are asked about."""
    _, ops, *_ = place(fake)
    project.plugin("mine", "def one(_):\n    yield 1\n")
    minute = (datetime.now(UTC).minute + 30) % 60
    alerts = f"alerts: {{channel_id: {ops.id}}}" if told else ""
    project.write(
        f"""
        {alerts}
        pipelines:
          prices:
            executor: inline
            schedule: {{id: nightly, hourly: {minute}, misfire: {{grace: 6h, policy: ask}}}}
            chain: [mine.one]
        """
    )


async def down(project, fake):
    """Let a service know the job, and then be down for three hours."""
    async with running(project, fake):
        pass
    last = datetime.now(UTC) - timedelta(hours=3)
    with sqlite3.connect(project.folder / "store.db") as conn:
        (stored,) = conn.execute("SELECT last_due_at FROM schedules").fetchone()
        conn.execute("UPDATE schedules SET last_due_at = ?", [_like(stored, last)])
    conn.close()


def _like(stored, instant):
    """An instant as the store has it."""
    if isinstance(stored, int):
        return int(instant.timestamp() * 1_000_000)
    return instant.replace(tzinfo=None).isoformat(" ", "microseconds")


async def asked_in(here):
    """The message that asks."""
    await here.fake.until(lambda: here.fake.messages(here.channel), what="the question")
    (message,) = here.fake.messages(here.channel)
    return message


async def outcomes(here):
    """What became of each instant."""
    found = await here.scheduler.reader.read(history.occurrences)
    return [each.outcome for each in found]


async def test_people_choose_all(project, fake):
    """After a downtime nothing runs by itself; *Run all* makes each run once, and the question says who chose."""
    write(project, fake)
    await down(project, fake)
    async with running(project, fake) as here:
        message = await asked_in(here)
        assert "Missed while down: **nightly** (prices) × 3" in message.text
        assert [OccurrenceOutcome.MISSED] * 3 == await outcomes(here)
        assert set() == message.pings
        told = await pressed(here, here.olga, message, "p1:makeup:all:")
        assert "olga makes up for what **nightly** missed: 3 runs" in told.text
        await fake.until(lambda: "olga had all run: 3 runs" in message.text, what="the decision")
        assert [] == message.custom_ids
        for run in await here.scheduler.reads.runs(schedule_id="nightly", limit=3):
            assert run.due_at is not None
            assert "olga" == run.actor
            await here.scheduler.wait(run.id)
        assert [OccurrenceOutcome.RUN] * 3 == await outcomes(here)
        assert "Nothing was missed" in (await said(here, here.vic, "missed")).text
        entries = [each for each in await here.scheduler.reads.audit() if each.detail.get("missed")]
        assert [("olga", "all", "nightly")] == [
            (each.asked.actor.name, each.detail["missed"], each.target) for each in entries
        ]


async def test_the_first_press_decides(project, fake):
    """After one press another changes nothing, and reads who decided what; a viewer decides nothing at all."""
    write(project, fake)
    await down(project, fake)
    async with running(project, fake) as here:
        message = await asked_in(here)
        every = {each.split(":")[2]: each for each in message.custom_ids}
        assert ["latest", "all", "skip"] == list(every)
        refused = await (await fake.press(here.vic, message, every["all"])).shown()
        assert refused.ephemeral
        assert [OccurrenceOutcome.MISSED] * 3 == await outcomes(here)
        first = await fake.press(here.olga, message, every["latest"])
        second = await fake.press(here.ann, message, every["all"])
        texts = [(await each.shown()).text for each in (first, second)]
        assert 1 == sum("makes up" in text for text in texts)
        assert 1 == sum("are decided" in text for text in texts)
        ran = 1 if "makes up" in texts[0] else 3
        assert ran == (await outcomes(here)).count(OccurrenceOutcome.RUN)


async def test_silence_is_no(project, fake):
    """Without an answer for a day the question closes itself and says so."""
    write(project, fake)
    await down(project, fake)
    async with running(project, fake) as here:
        message = await asked_in(here)
        with sqlite3.connect(project.folder / "store.db") as conn:
            (expires,) = conn.execute("SELECT expires_at FROM questions").fetchone()
            conn.execute("UPDATE questions SET expires_at = ?", [_like(expires, datetime.now(UTC))])
        conn.close()
        assert 1 == await here.scheduler.messages.questions.look()
        await fake.until(lambda: "nobody answered" in message.text, what="the end")
        assert [] == message.custom_ids
        listed = (await said(here, here.vic, "missed")).text
        assert 3 == listed.count("nobody answered within 24 hours")


async def test_skip_runs_nothing(project, fake):
    """*Skip* leaves all as it was, with who said so."""
    write(project, fake)
    await down(project, fake)
    async with running(project, fake) as here:
        message = await asked_in(here)
        told = await pressed(here, here.olga, message, "p1:makeup:skip:")
        assert "olga skipped the missed runs of **nightly**" in told.text
        await fake.until(lambda: "Skipped by olga." in message.text, what="the decision")
        assert 3 == (await said(here, here.vic, "missed", job="nightly")).text.count("skipped by olga")


async def test_without_a_channel_nobody_is_asked(project, fake):
    """Where no alerts channel is set, what was missed is recorded, and nothing is asked or run."""
    write(project, fake, told=False)
    await down(project, fake)
    async with running(project, fake) as here:
        await fake.until(here.scheduler.overview.recent_runs, what="the missed runs")
        assert [OccurrenceOutcome.MISSED] * 3 == await outcomes(here)
        assert [] == fake.messages(here.channel)


HUGE = TEXTS | st.sampled_from(["x" * 5000, "漢" * 5000, "*" * 5000])
MAYBE = st.integers(1, 10**9) | st.none()


@given(
    schedule=HUGE,
    pipeline=HUGE,
    by=HUGE | st.none(),
    choice=st.sampled_from([None, "latest", "all", "skip", "expired"]),
    count=st.integers(1, 1000),
    runs=st.integers(0, 1000),
)
def test_any_question_fits(schedule, pipeline, by, choice, count, runs):
    """Whatever names hold: the message is within all limits and pings nobody."""
    facts = {"question": 10**17, "schedule": schedule, "pipeline": pipeline, "count": count, "first": AT, "last": AT}
    facts |= {"expires": AT, "choice": choice, "by": by, "runs": runs, "first_run": 1, "last_run": runs}
    message = question(facts)
    assert [] == faults(message)
    assert not PING.search(message["content"])
    assert (choice is None) == bool(message["components"])
