"""Two schedulers of one bot: one is connected, and when it dies, stops or freezes the other goes on where it was."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pipelines.locks.postgres_lock import LIFE_S
from tests.bot.conftest import fake  # noqa: F401 - a fixture
from tests.bot.gate import GATE
from tests.bot.job_shop import labelled
from tests.bot.whole import CREATE, Whole, whole_of
from tests.fake_discord import faults
from tests.project import DEADLINE_S, Service

pytestmark = pytest.mark.parametrize("project", ["postgresql"], indirect=True)

PIPELINES = """
  gated:
    enabled: false
    retry: {{attempts: 4, delay: 0}}
    chain: [{{class: mine.Gate, kwargs: {{file: {file}}}}}]
  quiet: {{executor: inline, schedule: "0 0 1 1 *", chain: [mine.Greet]}}
"""
TOLD = """
  told{number}:
    executor: inline
    enabled: false
    chain:
      - mine.Greet
      - {{class: bot.sink.DiscordSink, kwargs: {{channel_id: {channel}, format: list, title: "{number}"}}}}
"""
END_OF_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name LIKE 'pipecall lock %:' || ? || ':%' OR application_name LIKE 'pipecall % ' || ?
"""
"""What the server does to a process that stands still: it ends its lock's session after 10 s, open transactions after
10 s."""


class Two(Whole):
    """The program twice on one store: `first` leads, `second` waits."""

    first: Service
    second: Service

    def prepare(self) -> None:
        """Write pipelines of which one waits for words of the test."""
        self.project.plugin("mine", GATE)
        told = "".join(TOLD.format(number=number, channel=self.results.id) for number in range(3))
        self.write(PIPELINES.format(file=self.project.folder / "gate") + told)

    def say(self, words: str) -> None:
        """Let the run go on."""
        (self.project.folder / "gate").write_text(words)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read from the store on the server."""
        return self.project.query(statement, *values)

    @asynccontextmanager
    async def both(self) -> AsyncIterator[None]:
        """Start both at one time, and wait until one is connected and the other stands by."""
        with self.service() as one, self.service() as other:
            self.first, self.second = one, other
            await self.until(lambda: all("ready; Ctrl-C" in each.said for each in (one, other)), "both")
            await self.until(lambda: self.fake.gateway.bots, "a bot on the gateway")
            if "this process leads" in other.said:
                self.first, self.second = other, one
            yield

    async def connected_again(self, before: int) -> float:
        """Wait for another READY than the first `before`, and then for a bot; return how long that took, in seconds."""
        began = time.monotonic()
        await self.until(lambda: self.fake.gateway.bots and len(self.fake.gateway.identifies) > before, "the other bot")
        return time.monotonic() - began

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for something; what both programs said is in the complaint."""
        try:
            return await super().until(condition, what)
        except AssertionError as error:
            runs = self.rows("SELECT id, pipeline, state, attempt, owner, reason, error_message FROM runs ORDER BY id")
            said = [each.said for each in (self.first, self.second)]
            raise AssertionError("\n---\n".join([str(error), *said, str(runs)])) from None

    def untold(self) -> int:
        """How many messages of pipelines wait."""
        return len(self.rows("SELECT 1 FROM outbox WHERE kind = 'message' AND state IN ('queued', 'sending')"))

    async def tell(self) -> None:
        """Have three pipelines say something, one after the other; Discord answers nothing to the first."""
        self.fake.faults.next(faults.hung(after=True), route=CREATE)
        for count in (1, 2, 3):
            await self.run(f"told{count - 1}")
            await self.until(lambda: self.untold() == count, f"{count} message(s) that wait")  # noqa: B023
        await self.until(lambda: any(each.status == 0 for each in self.fake.sent(CREATE)), "one without an answer")

    def results_told(self) -> list[str]:
        """The first lines of what pipelines said, in order."""
        return [each.content.split("\n")[0] for each in self.fake.messages(self.results)]

    async def order(self, command: str, **options: Any) -> Any:
        """Have Olga type a command; return the message that answers."""
        asked = await self.fake.command(self.olga, command, channel=self.channel, **options)
        return await asked.shown()


@pytest.fixture
def two(project, fake):  # noqa: F811 - the fixture
    """The programs over the fake and a schema of PostgreSQL."""
    given = whole_of(project, fake)
    made = Two(given.project, fake, given.guild, given.channel, given.results, given.alerts, given.olga)
    made.prepare()
    return made


async def all_works(two: Two, card: Any) -> None:
    """Prove that each way to ask does what it should, also a button of a card from before."""
    assert "run" in await two.press(card, "p1:log:1")
    message = await two.order("schedule", pipeline="quiet", when="every day at 05:00", name="early")
    await two.press(message, labelled(message, "Confirm"))
    await two.until(lambda: two.rows("SELECT 1 FROM schedules WHERE id = 'early' AND state = 'active'"), "the job")
    assert "early" in (await two.order("jobs")).text
    assert "quiet" in (await two.order("pipelines")).text
    removed = await two.order("remove", job="early")
    await two.press(removed, labelled(removed, "Remove early"))
    await two.until(lambda: two.rows("SELECT 1 FROM schedules WHERE id = 'early' AND state = 'retired'"), "its removal")
    two.say("")
    _, waits = await two.run("gated")
    await two.until(lambda: "running" in waits.text, "a card of a run that goes on")
    (cancel,) = [each for each in waits.custom_ids if each.startswith("p1:cancel")]
    question = await (await two.fake.press(two.olga, waits, cancel)).shown()
    await two.press(question, question.custom_ids[0])
    await two.until(lambda: "cancelled" in waits.text, "the end of the run that was cancelled")


async def test_killed_with_a_live_card_and_messages_that_wait(two):
    """The other is connected within seconds; card and messages go on, each once and in order, and all still works."""
    async with two.both():
        _, card = await two.run("gated")
        await two.until(lambda: "running" in card.text, "the run in its card")
        await two.tell()
        two.first.process.kill()
        took_s = await two.connected_again(1)
        two.fake.faults.clear()
        two.say("0.5 half")
        await two.until(lambda: "half" in card.text, "progress in the card of before")
        two.say("go")
        await two.until(lambda: "succeeded" in card.text, "the end of the card")
        await two.until(lambda: not two.waiting(), "an empty outbox")
        assert [card] == [each for each in two.fake.messages(two.channel) if "run #1" in each.text]
        assert ["**0**", "**1**", "**2**"] == two.results_told()
        await all_works(two, card)
        assert took_s < LIFE_S / 2
        assert 1 == two.fake.gateway.most
        assert 0 == await asyncio.to_thread(two.second.stop)


async def test_frozen_and_awake_and_then_the_other_is_stopped(two):
    """A leader that stood still while the other took over sends nothing more; SIGTERM of that one hands over to it."""
    async with two.both():
        await two.tell()
        two.first.process.send_signal(signal.SIGSTOP)
        pid = str(two.first.process.pid)
        assert len(two.rows(END_OF_SESSIONS.replace("%", "%%"), pid, pid)) > 1
        await two.connected_again(1)
        two.fake.faults.release()
        await two.until(lambda: not two.waiting(), "an empty outbox")
        two.first.process.send_signal(signal.SIGCONT)
        await two.until(lambda: "no longer leads" in two.first.said, "its insight")
        await two.until(lambda: two.fake.gateway.bots == 1, "the end of its connection")
        assert ["**0**", "**1**", "**2**"] == two.results_told()
        assert 2 == len(two.fake.gateway.identifies)
        assert "logging in" not in two.first.said.split("no longer leads")[1]
        await handed_over(two)


async def handed_over(two: Two) -> None:
    """Stop the second while a card lives: the first goes on with it, and at no time there were two bots."""
    two.fake.gateway.most = 0
    _, card = await two.run("gated")
    await two.until(lambda: "running" in card.text, "the run in its card")
    two.second.process.send_signal(signal.SIGTERM)
    await two.until(lambda: not two.fake.gateway.bots, "the end of the second bot")
    took_s = await two.connected_again(2)
    two.say("go")
    await two.until(lambda: "succeeded" in card.text, "the end of the card")
    assert 0 == await asyncio.to_thread(two.second.process.wait, DEADLINE_S)
    assert [card] == [each for each in two.fake.messages(two.channel) if "gated" in each.text]
    assert took_s < LIFE_S / 2
    assert 1 == two.fake.gateway.most
