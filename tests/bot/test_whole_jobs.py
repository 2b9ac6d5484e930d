"""Jobs and commands over restarts of the whole program: what was made stays, and Discord is told nothing twice."""

from __future__ import annotations

import pytest

from tests.bot.job_shop import labelled
from tests.bot.whole import COMMANDS, whole_of

PLUGIN = """
from pipelines import Fetcher

def one(_):
    yield {"n": 1}

class Chat:
    def register(self, bot):
        @bot.tree.command(description="Weigh the stock")
        async def weigh(interaction):
            await interaction.response.send_message("7 kg", ephemeral=True)
"""
PIPELINES = """
  sales: {executor: inline, enabled: true, schedule: "0 0 1 1 *", chain: [mine.one]}
"""


@pytest.fixture
def whole(project, fake):
    """The program with a pipeline that is due once a year."""
    given = whole_of(project, fake)
    project.plugin("mine", PLUGIN)
    given.write(PIPELINES)
    return given


async def ask(whole, **options):
    """Ask in chat for a job; return the question."""
    asked = await whole.fake.command(whole.olga, "schedule", channel=whole.channel, pipeline="sales", **options)
    return await asked.shown()


async def schedule(whole, **options):
    """Make a job in chat and confirm it; return the message that tells it."""
    question = await ask(whole, **options)
    confirmed = await whole.fake.press(whole.olga, question, labelled(question, "Confirm"))
    return await confirmed.shown()


def states(whole):
    """Each job made in chat with its state."""
    return dict(whole.rows("SELECT id, state FROM schedules WHERE source = 'chat'"))


def fired(whole, job):
    """How many runs a job has had."""
    return len(whole.rows("SELECT id FROM runs WHERE schedule_id = ? AND state = 'succeeded'", job))


async def test_jobs_made_in_chat_outlive_kill_9(whole):
    """After kill -9 a job fires, a paused one stays paused, old buttons work, an open question says it is over."""
    async with whole.connected():
        message = await schedule(whole, when="every second", name="often")
        resting = await schedule(whole, when="every second", name="resting")
        await whole.press(resting, "p1:pause:resting")
        question = await ask(whole, when="every second", name="unanswered")
        await whole.until(lambda: states(whole) == {"often": "active", "resting": "paused"}, "the jobs")
        await whole.kill()
    before = {job: fired(whole, job) for job in ("often", "resting")}
    async with whole.connected():
        await whole.until(lambda: fired(whole, "often") >= before["often"] + 2, "two runs of the job")
        assert {"often": "active", "resting": "paused"} == states(whole)
        assert before["resting"] == fired(whole, "resting")
        await whole.press(message, "p1:pause:often")
        await whole.until(lambda: states(whole)["often"] == "paused", "the pause by an old button")
        told = await whole.press(question, labelled(question, "Confirm"))
        assert "nothing was changed" in told
        assert {"often", "resting"} == set(states(whole))
        assert 0 == await whole.stop()


async def test_commands_are_registered_when_they_change(whole):
    """The first start registers them once in each guild, the next one not at all, one with another set once again."""
    other = whole.fake.guild("Second shop")
    guilds = f"{whole.guild.id},{other.id}"
    for more, puts in (("", 2), ("", 2), ("    discord_commands: mine.Chat\n", 4)):
        whole.write(PIPELINES + ("  chat:\n    enabled: true\n    chain: [mine.one]\n" + more if more else ""))
        async with whole.connected(DISCORD_GUILDS=guilds):
            told = [call.params["guild_id"] for call in whole.fake.sent(COMMANDS)]
            assert puts == len(told)
            assert {str(whole.guild.id), str(other.id)} == set(told)
            await whole.kill()
    assert "weigh" in [each["name"] for each in whole.fake.registered.within(whole.guild.id)]
