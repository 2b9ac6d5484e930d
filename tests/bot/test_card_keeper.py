"""The card keeper: when it edits, what becomes of a card whatever happens, and what it does after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from bot.card_end import posts, told
from bot.card_keeper import CardKeeper
from bot.card_pace import CardPace, Turns, progress_s, wait
from pipelines import Card, Cards, Forbidden, Gone, Run, RunState, StartedBy, Unsure, Wait, Wish
from pipelines.store import outbox
from tests.bot.conftest import place, running
from tests.bot.gate import Gate
from tests.fake_discord import faults
from tests.fake_discord.world import SEND_MESSAGES

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def gate(project):
    return Gate(project)


class Time:
    """A clock that a test moves, and what waits by it."""

    def __init__(self):
        self.now = 0.0
        self.waiting = 0
        self._moved = asyncio.Event()

    def clock(self):
        return self.now

    async def wait(self, event, timeout_s):
        until = self.now + timeout_s
        self.waiting += 1
        try:
            while not event.is_set() and self.now < until:
                tasks = [asyncio.create_task(each.wait()) for each in (event, self._moved)]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
        finally:
            self.waiting -= 1

    def move(self):
        """Let those who wait look at the clock."""
        self._moved.set()
        self._moved = asyncio.Event()

    async def advance(self, seconds, keeper, step=0.5):
        """Let time pass in small steps; after each, wait until every card waits by this clock again."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self.move()
            for _ in range(20):
                await asyncio.sleep(0)
            await soon(lambda: self.waiting >= keeper.live)


async def soon(condition, what="it"):
    """Poll until something holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)
    assert condition(), what


class Discord:
    """Takes edits and notes when they came; `fault` goes wrong instead."""

    def __init__(self, time):
        self.time = time
        self.edits = []
        self.fault = None

    async def edit_message(self, channel_id, message_id, payload):
        if self.fault is not None:
            raise self.fault
        self.edits.append((self.time.now, int(message_id), payload["components"][0]["components"][0]["content"]))

    async def messages_after(self, channel_id, after_id, limit):
        return []

    async def me(self):
        return {"id": "1"}

    def times(self, message_id):
        return [at for at, edited, _ in self.edits if edited == message_id]


class Keeping:
    """A keeper over a real scheduler, and a Discord that only notes."""

    def __init__(self, scheduler):
        self.scheduler = scheduler
        self.time = Time()
        self.discord = Discord(self.time)
        self.store = Cards(scheduler.writer, scheduler.reader, door="discord")
        self.keeper = CardKeeper(scheduler, self.discord, clock=self.time.clock, waiter=self.time.wait)

    async def run(self, message_id=100, channel_id=42):
        """Start the run that waits, with a card that was noted down."""
        (run,) = await self.scheduler.run_now(["gated"])
        await self.store.put(Card(message_id, channel_id, run.id, AT))
        return run

    async def reported(self, note):
        """Wait until all is known that a card shows of the run: it does not change by itself after that."""
        await soon(lambda: any(live.note == note and live.stages for live in self.scheduler.live.values()))

    async def begin(self, cards=1):
        await self.keeper.start()
        await soon(lambda: self.keeper.live == cards and self.time.waiting >= cards)

    async def advance(self, seconds, step=0.5):
        await self.time.advance(seconds, self.keeper, step)

    async def letter(self, key):
        return await self.scheduler.reader.read(outbox.find, key)


@asynccontextmanager
async def keeping(project):
    async with project.scheduler() as scheduler:
        await scheduler.start()
        here = Keeping(scheduler)
        try:
            yield here
        finally:
            await here.keeper.close()
            await scheduler.kill()


async def test_progress_is_shown_ever_more_seldom(project, gate):
    """Progress is shown every 5 s in the first minute, then every 10 s, and nothing is edited while nothing changes."""
    gate.say("0.1 one")
    async with keeping(project) as here:
        await here.run()
        await here.reported("one")
        await here.begin()
        await here.advance(30)
        shown = [text for _, _, text in here.discord.edits]
        assert len(shown) == len(set(shown)) > 0  # on a busy machine even this stage takes time enough to be told
        assert all("10% · one" in text for text in shown)
        for number in range(2, 26):
            await noted(here, gate, number)
            await here.advance(5, step=1)
        times = here.discord.times(100)
        gaps = [round(after - before, 1) for before, after in pairwise(times[len(shown) :])]
        assert {5.0, 10.0} >= set(gaps)
        assert gaps == sorted(gaps)
        assert 10.0 == gaps[-1]


async def noted(here, gate, number):
    """Let the run tell another progress, and wait until the engine knows."""
    gate.say(f"0.5 note{number}")
    await soon(lambda: any(live.note == f"note{number}" for live in here.scheduler.live.values()))


async def test_the_end_goes_through_the_outbox(project, gate):
    """When the run ends, no edit is made: the card is over and its last edit is queued, in one step."""
    async with keeping(project) as here:
        run = await here.run()
        await here.begin()
        gate.say("go")
        await here.scheduler.wait(run.id)
        await soon(lambda: here.keeper.live == 0)
        letter = await here.letter("card:100")
        assert ("discord:42", "card", run.id) == (letter.target, letter.kind, letter.run_id)
        assert [] == await here.store.live()
        assert await here.letter(f"told:{run.id}") is None
        assert not any("succeeded" in text for _, _, text in here.discord.edits)


async def test_the_last_edit_is_rendered_when_it_is_delivered(project, gate):
    """The queued edit says no more than the run: what the card then shows is made at delivery."""
    gate.say("go")
    async with keeping(project) as here:
        run = await here.run()
        await here.scheduler.wait(run.id)
        body = (await here.scheduler.reads.run(run.id), here.keeper)
        payload = await here.keeper.render(ParcelOf(body[0].id))
        assert "succeeded" in str(payload)
        assert await here.keeper.render(ParcelOf(999)) is None


class ParcelOf:
    """As much of a parcel as a renderer reads."""

    def __init__(self, run_id):
        self.body = {"run_id": run_id, "message_id": "100", "channel_id": "42"}


async def test_cards_of_a_channel_share_its_edits(project, gate):
    """Cards in one channel are edited one at a time, two seconds apart; another channel has turns of its own."""
    gate.say("0.1 one")
    async with keeping(project) as here:
        first = await here.run(100)
        for number in range(101, 104):
            await here.store.put(Card(number, 42, first.id, AT))
        await here.store.put(Card(200, 43, first.id, AT))
        await here.reported("one")
        await here.begin(cards=5)
        await here.advance(60)
        in_one = sorted((at, message_id) for at, message_id, _ in here.discord.edits if message_id < 200)
        assert {100, 101, 102, 103} == {message_id for _, message_id in in_one}
        assert all(after - before >= 2 for (before, _), (after, _) in pairwise(in_one))
        assert here.discord.times(200)[0] < in_one[-1][0]


async def test_a_deleted_card_is_left_alone(project, gate):
    """A card that somebody deleted is never made anew, and has no last edit."""
    gate.say("0.1 one")
    async with keeping(project) as here:
        run = await here.run()
        await here.begin()
        here.discord.fault = Gone("deleted")
        await noted(here, gate, 2)
        await here.advance(30)
        assert 0 == here.keeper.live
        gate.say("go")
        await here.scheduler.wait(run.id)
        assert await here.letter("card:100") is None
        assert [("gone",)] == project.query("SELECT state FROM cards")


async def test_a_channel_that_forbids_it_is_told_once(project, gate, caplog):
    """Where the bot lost its right, that is logged once, and the last edit waits in the outbox."""
    gate.say("0.1 one")
    async with keeping(project) as here:
        run = await here.run()
        await here.store.put(Card(101, 42, run.id, AT))
        await here.begin(cards=2)
        here.discord.fault = Forbidden("I lack View Channel")
        await noted(here, gate, 2)
        here.time.now += 30
        here.time.move()
        await soon(lambda: caplog.text.count("cannot be edited") == 1)
        here.time.now += 30
        here.time.move()
        await soon(lambda: here.time.waiting == 0)
        assert 1 == caplog.text.count("cannot be edited")
        gate.say("go")
        await here.scheduler.wait(run.id)
        await soon(lambda: here.keeper.live == 0)
        assert await here.letter("card:100") is not None
        assert await here.letter("card:101") is not None


@pytest.mark.parametrize(
    "fault", [Unsure("no answer"), Wait("slow down", 20.0), Wait("slow down", 20.0, everywhere=True)]
)
async def test_an_outage_does_not_end_a_card(project, gate, fault):
    """While Discord does not answer, or asks to wait, the card waits; then it shows the latest only."""
    gate.say("0.1 one")
    async with keeping(project) as here:
        await here.run()
        here.discord.fault = fault
        await here.begin()
        await here.advance(15)
        await noted(here, gate, 2)
        here.discord.fault = None
        await here.advance(45)
        assert 1 == len(here.discord.edits)
        assert "note2" in here.discord.edits[0][2]


async def test_a_run_that_ended_while_the_service_was_down(project, gate):
    """A card left live whose run is over gets its last edit when the service starts."""
    gate.say("go")
    async with keeping(project) as here:
        run = await here.run()
        await here.scheduler.wait(run.id)
        await here.store.put(Card(300, 42, 999, AT))
        await here.keeper.start()
        await here.keeper.start()
        await soon(lambda: here.keeper.live == 0 and not here.keeper._tasks)
        assert await here.letter("card:100") is not None
        assert [("gone", 999), ("over", run.id)] == project.query("SELECT state, run_id FROM cards ORDER BY state")


async def test_a_crash_between_answer_and_row(project, fake, gate):
    """A card that was sent but not noted down is found in its channel after a restart, and gets its end."""
    async with running(project, fake) as here:
        message = await (await fake.command(here.olga, "run", pipeline="gated")).shown()
        await fake.until(lambda: here.scheduler.live, what="the run")
        forget = lambda conn, _: [conn.exec_driver_sql("DELETE FROM cards")]  # noqa: E731
        await here.scheduler.writer.call(forget, None)
        await here.face.stop()
        await here.scheduler.kill()
    gate.say("go")
    async with running(project, fake) as here:
        await fake.until(lambda: "p1:again:1" in message.custom_ids, what=f"the end: {message.text}")
        assert "cancelled" in message.text or "succeeded" in message.text
    assert [("over", str(message.id))] == project.query("SELECT state, message_id FROM cards")


async def test_an_answer_that_arrived_unnoticed(project, fake, gate):
    """A card whose sending broke off is looked for and kept true, without a restart."""
    async with running(project, fake) as here:
        here.bot.cards._pace = CardPace(retry_s=0.01)
        lost = faults.dropped(after=True)
        fake.faults.next(lost, route="POST /interactions/*", where=lambda call: "with_response" in call.query)
        asked = await fake.command(here.olga, "run", pipeline="gated")
        message = await asked.shown()
        await soon(lambda: here.bot.cards.live == 1)
        gate.say("go")
        await fake.until(lambda: "succeeded" in message.text, what=f"the end: {message.text}")


async def test_a_card_follows_its_run_over_a_restart(project, fake, gate):
    """A card whose service stopped under the run is true again after a restart, through the bot's own token."""
    async with running(project, fake) as here:
        message = await (await fake.command(here.olga, "run", pipeline="gated")).shown()
        await fake.until(lambda: here.scheduler.live, what="the run")
        await here.face.stop()
        await here.scheduler.kill()
    assert "p1:cancel:1" in message.custom_ids
    async with running(project, fake):
        await fake.until(lambda: "cancelled" in message.text, what=f"the end: {message.text}")


async def test_a_channel_that_the_bot_may_not_write_into(project, fake, gate):
    """Where the bot may not send, the card is kept with its interaction's token, without a row, to the run's end."""
    place(fake)[1].denied = SEND_MESSAGES
    async with running(project, fake) as here:
        message = await (await fake.command(here.olga, "run", pipeline="gated")).shown()
        await soon(lambda: here.bot.cards.live == 1)
        gate.say("go")
        await here.scheduler.wait(1)
        await fake.until(lambda: "succeeded" in message.text, what="the end")
    assert [] == project.query("SELECT * FROM cards")
    assert [] == project.query("SELECT * FROM outbox")


async def test_a_token_does_not_last(project, fake, gate):
    """A card that lives by its token says before the token ends that it stays as it is."""
    place(fake)[1].denied = SEND_MESSAGES
    async with running(project, fake) as here:
        here.bot.cards._pace = CardPace(token_s=0.2)
        message = await (await fake.command(here.olga, "run", pipeline="gated")).shown()
        await fake.until(lambda: "I may not write in this channel" in message.text, what="the notice")
        await soon(lambda: here.bot.cards.live == 0)
        gate.say("go")


def test_how_often_progress_is_shown():
    """5 s in the first minute, 10 s to ten, 30 s to an hour, then 5 min; slower where more than three cards live."""
    assert [5, 10, 30, 300] == [progress_s(age) for age in (0, 60, 600, 3600)]
    assert [5, 10] == [progress_s(0, cards=cards) for cards in (3, 6)]


def test_turns():
    """A channel has a turn every two seconds; a wait that Discord asks for holds for the channel, or for all."""
    now = 0.0
    turns = Turns(lambda: now, 2.0)
    assert [0, 2, 4] == [turns.take(1) for _ in range(3)]
    assert 0 == turns.take(2)
    turns.rest(1, 30)
    assert [30, 2] == [turns.take(1), turns.take(2)]
    turns.rest(1, 60, everywhere=True)
    assert 60 == turns.take(3)


async def test_waiting():
    """Waiting ends with the event, or when its time is over, also a time that is over already."""
    event = asyncio.Event()
    await wait(event, 0.001)
    await wait(event, -1)
    event.set()
    with contextlib.suppress(TimeoutError):
        await wait(event, 100)
    assert event.is_set()


def test_when_who_asked_is_told():
    """Who asked is told of failures, and of successes after more than a minute; not of what was cancelled."""
    wish = Wish(8, "discord:7", 42, AT)
    cases = [(RunState.FAILED, 1), (RunState.CRASHED, 1), (RunState.SUCCEEDED, 61), (RunState.SUCCEEDED, 59)]
    cases += [(RunState.CANCELLED, 61)]
    runs = [ended(state, seconds) for state, seconds in cases]
    assert [2, 2, 2, 1, 1] == [len(posts(Card(100, 42, 8, AT), run, wish, AT)) for run in runs]
    assert 1 == len(posts(Card(100, 42, 8, AT), runs[0], None, AT))


def ended(state, seconds):
    times = {"queued_at": AT, "started_at": AT, "ended_at": AT + timedelta(seconds=seconds)}
    return Run(id=8, pipeline="x", state=state, started_by=StartedBy.MANUAL, **times)


def test_whom_the_end_is_told():
    """The word to who asked replies to the card and pings them alone."""
    run = Run(id=8, pipeline="*x*", state=RunState.FAILED, started_by=StartedBy.MANUAL, queued_at=AT)
    word = told(run, "7", Card(100, 42, 8, AT))
    assert r"<@7> ❌ **\*x\*** · run #8 failed" == word["content"]
    assert ["7"] == word["allowed_mentions"]["users"]
