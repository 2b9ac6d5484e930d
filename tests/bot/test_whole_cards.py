"""Cards of runs over the death of the service: whenever kill -9 or SIGTERM comes, the same message tells the end."""

from __future__ import annotations

import pytest

from tests.bot.gate import GATE
from tests.bot.whole import CALLBACK, EDIT, Whole, whole_of
from tests.fake_discord import faults

PIPELINES = """
  gated:
    enabled: false
    executor: inline
    retry: {{attempts: 4, delay: 0}}
    chain:
      - {{class: mine.Gate, kwargs: {{file: {file}}}}}
      - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: {channel}, format: list}}}}
"""


class Gated(Whole):
    """The program with a pipeline that waits for words of the test."""

    def prepare(self):
        """Write it."""
        self.project.plugin("mine", GATE)
        self.write(PIPELINES.format(file=self.project.folder / "gate", channel=self.results.id))

    def say(self, words):
        """Let the run go on: `0.5 half`, or `go`."""
        (self.project.folder / "gate").write_text(words)

    def state(self):
        """How the only run stands."""
        return next(iter(self.rows("SELECT state FROM runs")), ("none",))[0]

    async def ended_well(self, card):
        """Wait for the card's last state, then prove that nothing was told or done twice, and that its buttons work."""
        await self.until(lambda: "succeeded" in card.text, "the end of the card")
        await self.until(lambda: self.fake.messages(self.results), "the result")
        await self.until(lambda: not self.waiting(), "an empty outbox")
        assert [card] == [each for each in self.fake.messages(self.channel) if "run #1" in each.text]
        assert 1 == len(self.fake.messages(self.results))
        assert [("succeeded",)] == self.rows("SELECT state FROM runs")
        assert [("over",)] == self.rows("SELECT state FROM cards")
        assert ["p1:again:1", "p1:log:1"] == card.custom_ids
        assert "run" in await self.press(card, "p1:log:1")


@pytest.fixture
async def whole(project, fake):
    """The program over the fake."""
    given = whole_of(project, fake)
    gated = Gated(given.project, fake, given.guild, given.channel, given.results, given.alerts, given.olga)
    gated.prepare()
    return gated


async def test_killed_before_it_knows_of_its_answer(whole):
    """A card that arrived unseen is found in the channel and followed, though Discord is out at the first look."""
    whole.fake.faults.next(faults.hung(after=True), route=CALLBACK)
    async with whole.connected():
        _, card = await whole.run("gated")
        await whole.kill()
    assert [] == whole.rows("SELECT * FROM cards")
    whole.fake.faults.next(faults.status(503), route="GET /channels/{channel_id}/messages")
    async with whole.connected():
        await whole.until(lambda: "running" in card.text, "the run's next attempt in the card")
        whole.say("go")
        await whole.ended_well(card)


async def test_killed_while_the_run_goes_on(whole):
    """The message of before the restart goes on with the run's next attempt; a second card there is not."""
    async with whole.connected():
        _, card = await whole.run("gated")
        await whole.until(lambda: whole.state() == "running" and whole.rows("SELECT * FROM cards"), "the run's start")
        await whole.kill()
    edits = card.edits
    async with whole.connected():
        await whole.until(lambda: card.edits > edits and "running" in card.text, "an edit by the next service")
        whole.say("go")
        await whole.ended_well(card)


@pytest.mark.parametrize("after", [False, True], ids=["unseen", "arrived"])
async def test_killed_while_the_last_edit_is_on_its_way(whole, after):
    """An end that was being told when the service died is told by the next one, once."""
    async with whole.connected():
        _, card = await whole.run("gated")
        await whole.until(lambda: "running" in card.text, "a card that shows the run")
        whole.fake.faults.every(faults.hung(after=after), route=EDIT)
        whole.say("go")
        await whole.until(lambda: whole.rows("SELECT id FROM outbox WHERE kind = 'card' AND state = 'sending'"), "it")
        await whole.until(lambda: any(each.status == 0 for each in whole.fake.sent(EDIT)), "an edit without answer")
        await whole.kill()
    whole.fake.faults.clear()
    async with whole.connected():
        await whole.ended_well(card)


async def test_killed_at_the_very_end_of_the_run(whole):
    """The end of a run that no card knew of before the kill is in its card after the restart."""
    async with whole.connected():
        _, card = await whole.run("gated")
        await whole.until(lambda: whole.state() == "running", "the run's start")
        whole.say("go")
        await whole.until(lambda: whole.state() == "succeeded", "the run's end")
        await whole.kill()
    async with whole.connected():
        await whole.ended_well(card)


@pytest.mark.parametrize("refused", [False, True], ids=["told", "refused"])
async def test_stopped_while_a_card_lives(whole, refused):
    """SIGTERM cancels a run that does not end in time: its card says so before the exit, or after the next start."""
    async with whole.connected(SCHEDULER_DRAIN_S="0"):
        _, card = await whole.run("gated")
        await whole.until(lambda: whole.state() == "running" and whole.rows("SELECT * FROM cards"), "the run's start")
        if refused:
            whole.fake.faults.every(faults.error(50001), route=EDIT)
        assert 0 == await whole.stop()
    if refused:
        assert "cancelled" not in card.text
        whole.fake.faults.clear()
        async with whole.connected():
            await whole.until(lambda: "cancelled" in card.text and not whole.waiting(), "the end in the card")
    assert "cancelled" in card.text, whole.now.said
    assert [("cancelled",)] == whole.rows("SELECT state FROM runs")
    assert [("over",)] == whole.rows("SELECT state FROM cards")
    assert [("sent",)] == whole.rows("SELECT state FROM outbox WHERE kind = 'card'")
