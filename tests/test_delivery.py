"""What becomes of messages between the outbox and a channel, whatever comes in their way."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from pipelines.channels import Banned, Forbidden, Gone, Rejected, Slow, TooBig, Unauthorised, Unsure, Wait
from pipelines.delivery import MOST_AT_ONCE, POLL_S
from pipelines.errors import StoreError
from pipelines.remedies import FLOOD, Remedy, Scope, remedy
from pipelines.store import outbox
from pipelines.store.deliveries import Parcel
from pipelines.store.outbox import PostState
from tests.post_office import Box, landed, office

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def box():
    return Box()


@pytest.fixture
async def desk(tmp_path, box):
    """An office whose only channel is `box`."""
    async with office(tmp_path, {"box": box}) as opened:
        yield opened


async def until(condition, timeout_s=5.0):
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_messages_arrive_in_their_order(desk, box):
    """Each target gets its messages one after the other, in the order of their storing."""
    for number in range(30):
        await desk.post(f"a{number}")
        await desk.post(f"b{number}", "box:2")
    await desk.settle()
    for name in "ab":
        assert [f"{name}{n}" for n in range(30)] == [key for key in box.messages if key[0] == name]
    assert (PostState.SENT, {}) == ((await desk.letter("a7")).state, await desk.reader.read(outbox.waiting))


async def test_running_it_delivers_at_once_when_woken(desk, box):
    """After a commit and a word, a message leaves at once, and an idle delivery has no task for anybody."""
    task = asyncio.create_task(desk.delivery.run())
    await until(lambda: not desk.delivery._workers)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await desk.post()
    await until(lambda: box.messages)
    await until(lambda: not desk.delivery._workers)
    assert loop.time() - began < POLL_S / 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert box.closed


async def test_it_looks_by_itself(desk, box, monkeypatch):
    """A message whose storing nobody told of is found at the next look."""
    monkeypatch.setattr("pipelines.delivery.POLL_S", 0.02)
    task = asyncio.create_task(desk.delivery.run())
    await until(lambda: not desk.delivery._workers)
    await desk.post(wake=False)
    await until(lambda: box.messages)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_thousands_of_targets_need_few_tasks(desk, box):
    """At most so many are served at once, and each gets its message."""
    box.gate = asyncio.Event()
    for number in range(200):
        await desk.post(f"k{number}", f"box:{number}")
    task = asyncio.create_task(desk.settle())
    await until(lambda: box.busy == MOST_AT_ONCE)
    assert len(desk.delivery._workers) == MOST_AT_ONCE
    box.gate.set()
    await task
    assert (200, MOST_AT_ONCE) == (len(set(box.messages)), box.busiest)


async def test_a_message_of_unknown_fate_is_tried_in_growing_steps(desk, box):
    """1, 2, 4 … seconds, at most 60 for two minutes, then up to 15 minutes; the nonce keeps it from doubling."""
    box.faults = [landed(Unsure("no answer")) for _ in range(12)]
    await desk.post("a")
    await desk.post("b")
    await desk.until_done()
    times = [at for key, at in box.tries if key == "a"]
    steps = [round((later - at).total_seconds()) for at, later in pairwise(times)]
    assert [1, 2, 4, 8, 16, 32, 60, 128, 256, 512, 900, 900] == steps
    assert (["a", "b"], 12) == (box.messages, len(box.asked))


async def test_what_an_earlier_try_made_is_adopted(desk, box):
    """Before a new try it is looked for what the last one made; what is another message's own is left to it."""
    box.faults = [None, landed(Unsure("no answer"))]
    await desk.post("a")
    await desk.post("b")
    box.lost["b"] = ["m1", "m2"]
    await desk.settle()
    await desk.later(seconds=2)
    assert (["m1", "m2"], 2) == (await desk.ids("a", "b"), len(box.tries))


async def test_a_first_try_looks_for_nothing(desk, box):
    """A message that was never tried, or whose tries were all refused, is not looked for."""
    box.faults = [Wait("slow down", 3), Slow("too often", 1)]
    await desk.post()
    await desk.until_done()
    assert ([], ["k"]) == (box.asked, box.messages)


async def test_a_failed_look_counts_as_a_try(desk, box):
    """Where one cannot look for an earlier try, nothing is sent."""
    box.faults = [landed(Unsure("no answer"))]
    await desk.post()
    await desk.settle()

    async def cannot(parcel):
        raise Unsure("no answer either")

    whole, box.find = box.find, cannot
    await desk.later(seconds=2)
    assert 1 == len(box.tries)
    box.find = whole
    await desk.until_done()
    assert ["k"] == box.messages


async def test_what_a_dead_process_was_sending_is_sent_by_the_next(desk, box):
    """A message left in `sending` is tried again first, under the same nonce."""
    await desk.post("a")
    await desk.post("b")
    died = await desk.take()
    box._land(died)
    desk.reopened()
    await desk.settle()
    assert (["a", "b"], ["m1", "m2"], ["a"]) == (box.messages, await desk.ids("a", "b"), box.asked)


async def test_a_cancelled_delivery_loses_nothing(desk, box):
    """What is under way when the service stops is delivered once by the next."""
    box.gate = asyncio.Event()
    await desk.post("a")
    task = asyncio.create_task(desk.delivery.run())
    await until(lambda: box.busy)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (0, PostState.SENDING) == (box.busy, (await desk.letter("a")).state)
    box.gate = None
    desk.reopened()
    await desk.settle()
    assert ["a"] == box.messages


async def test_a_wait_holds_the_target_only(desk, box):
    """A rate limit of one target does not hold up another, and is kept over a restart."""
    box.faults = [Wait("slow down", 30)]
    await desk.post("a")
    await desk.settle()
    desk.reopened()
    await desk.post("b", "box:2")
    await desk.later(seconds=29)
    assert ["b"] == box.messages
    await desk.later(seconds=1)
    assert ["b", "a"] == box.messages


async def test_a_wait_everywhere_holds_the_channel(desk, box, tmp_path):
    """A limit of the whole channel holds all its targets."""
    box.faults = [Wait("slow down", 30, everywhere=True)]
    await desk.post("a")
    await desk.settle()
    await desk.post("b", "box:2")
    await desk.later(seconds=29)
    assert [] == box.messages
    await desk.later(seconds=1)
    assert ["a", "b"] == sorted(box.messages)


async def test_a_ban_stops_everybody(tmp_path, caplog):
    """Nobody tries anything for ten minutes at least, whatever the channel; it is told once."""
    box, other = Box(), Box()
    async with office(tmp_path, {"box": box, "other": other}) as desk:
        box.faults = [Banned("refused here", 3)]
        await desk.post("a")
        await desk.settle()
        await desk.post("b", "other:2")
        await desk.later(seconds=599)
        assert (1, 0) == (len(box.tries), len(other.tries))
        box.faults = [Banned("refused here", 3)]
        await desk.later(seconds=1)
        await desk.until_done()
    assert (["a"], ["b"]) == (box.messages, other.messages)
    assert ["box: refused here"] == [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


async def test_refused_credentials_close_the_channel(desk, box, caplog):
    """The messages wait, it is told once, and nothing is tried until somebody says that it is mended."""
    box.faults = [Unauthorised("put a new token in"), Unauthorised("put a new token in")]
    await desk.post("a")
    await desk.post("b", "box:2")
    await desk.later(hours=5)
    tries = len(box.tries)
    await desk.later(days=5)
    assert ({"put a new token in"}, tries) == ({each.state for each in desk.delivery.status()}, len(box.tries))
    box.faults = []
    desk.delivery.retry_now("box")
    await desk.settle()
    assert (["a", "b"], 1) == (sorted(box.messages), sum("token" in record.getMessage() for record in caplog.records))


async def test_a_place_that_forbids_us_is_probed_by_the_hour(desk, box, caplog):
    """Its messages wait in their order, others are delivered, and the missing right is told once."""
    box.faults = [Forbidden("give it Send Messages")] * 3
    await desk.post("a")
    await desk.post("b")
    await desk.settle()
    box.faults, kept = [], box.faults
    await desk.post("c", "box:2")
    await desk.settle()
    assert ["c"] == box.messages
    box.faults = kept
    await desk.later(minutes=59)
    assert ["a", "c"] == [key for key, _ in box.tries]
    await desk.later(minutes=1)
    await desk.until_done(hours=3)
    assert ["c", "a", "b"] == box.messages
    assert 1 == sum("Send Messages" in record.getMessage() for record in caplog.records)


async def test_a_new_service_probes_at_once(desk, box):
    """Whoever mended a right and starts the service again does not wait for an hour."""
    box.faults = [Forbidden("give it Send Messages")]
    await desk.post()
    await desk.settle()
    desk.reopened()
    await desk.settle()
    assert ["k"] == box.messages


async def test_messages_for_a_place_that_is_gone_die_after_a_day(desk, box, caplog):
    """They wait for a day, in case it comes back; then each is given up, visibly."""
    box.faults = [Gone("404 Unknown Channel")] * 100
    await desk.post("a")
    await desk.until_done(hours=26)
    letters = await desk.reader.read(outbox.dead)
    assert [("a", "404 Unknown Channel")] == [(letter.key, letter.error) for letter in letters]
    assert (25, NOON + timedelta(hours=24)) == (len(box.tries), desk.now)
    assert 1 == sum("given up" in record.getMessage() for record in caplog.records)


async def looked(desk):
    await desk.settle()
    return desk.delivery.status()


@pytest.mark.parametrize("fault", [Rejected("400 Invalid Form Body"), TooBig("413")])
async def test_what_is_refused_for_good_lets_the_others_pass(desk, box, caplog, fault):
    """It is dead with its reason, in the log once, and can be sent again by hand."""
    box.faults = [fault]
    for key in "abc":
        await desk.post(key)
    await desk.settle()
    (letter,) = await desk.reader.read(outbox.dead)
    assert (["b", "c"], "a", str(fault)) == (box.messages, letter.key, letter.error)
    assert [f"message {letter.id} to box:1 is given up: {fault}"] == [record.getMessage() for record in caplog.records]
    (state,) = desk.reopened().status() or await looked(desk)
    assert ("box:1", 0, 1, "nothing waits") == (state.target, state.waiting, state.dead, state.state)
    assert 1 == await desk.writer.call(outbox.redeliver, None)
    desk.delivery.retry_now()
    await desk.settle()
    assert (["b", "c", "a"], []) == (box.messages, desk.delivery.status())


async def test_a_mistake_of_ours_does_not_stop_a_target(desk, box, caplog):
    """A message whose delivery fails in an unexpected way is given up after three tries, and logged."""
    box.faults = [KeyError("x"), KeyError("x"), KeyError("x")]
    await desk.post("a")
    await desk.post("b")
    await desk.until_done()
    assert (["b"], "unexpected KeyError, see the log") == (box.messages, (await desk.letter("a")).error)
    assert any(record.exc_info for record in caplog.records)


async def test_expired_messages_are_not_sent(desk, box):
    """After an outage what nobody wants any more is left out."""
    box.faults = [Forbidden("no")]
    await desk.post("old", expires_at=desk.now + timedelta(minutes=10))
    await desk.post("new")
    await desk.settle()
    await desk.later(hours=1)
    assert (["new"], PostState.EXPIRED) == (box.messages, (await desk.letter("old")).state)


async def test_a_change_follows_its_message(desk, box):
    """A change is delivered after the message it changes, to what became of it."""
    await desk.post("a")
    await desk.post("change", body={"edits": "a"})
    await desk.settle()
    assert (["a"], [("m1", "change")]) == (box.messages, box.changes)


async def test_many_that_have_waited_are_told_together(desk, box, caplog):
    """After an outage, more than fifty plain messages become one, at the place of the first."""
    caplog.set_level(logging.INFO)
    box.faults = [Forbidden("no")]
    await desk.post("first alone")
    await desk.settle()
    for number in range(FLOOD + 10):
        await desk.post(f"k{number}")
    await desk.post("last alone")
    await desk.later(hours=1)
    assert ["first alone", "k0", "last alone"] == box.messages
    assert PostState.EXPIRED == (await desk.letter("k9")).state
    assert "60 messages" in caplog.text


async def test_many_at_once_are_not_told_together(desk, box):
    """A run that says a lot is not an outage."""
    for number in range(FLOOD + 10):
        await desk.post(f"k{number}")
    await desk.settle()
    assert FLOOD + 10 == len(box.messages)


async def test_flushing_delivers_what_it_can(desk, box):
    """It waits for short pauses, does not wait for long ones, and says how many messages stay."""
    desk.delivery._clock = lambda: datetime.now(UTC)
    box.faults = [Unsure("no answer")]
    await desk.post("a", at=datetime.now(UTC))
    await desk.post("elsewhere", "mail:x")
    assert 1 == await desk.delivery.flush(10)
    assert ["a"] == box.messages
    box.faults = [Forbidden("no")]
    await desk.post("b")
    assert 2 == await desk.delivery.flush(10)


async def test_flushing_ends_in_time(desk, box):
    """A channel that never answers does not hold the program."""
    box.gate = asyncio.Event()
    await desk.post()
    assert 1 == await desk.delivery.flush(0.1)


async def test_the_state_of_each_target_is_told(desk, box):
    """How many wait, and why: delivering, a pause with its reason, no channel."""
    desk.reopened(absent={"discord": "DISCORD_TOKEN is not set"})
    box.faults = [Forbidden("give it Send Messages")]
    await desk.post("a")
    await desk.settle()
    await desk.post("b", "discord:1")
    await desk.post("c", "mail:1")
    await desk.settle()
    assert [
        ("box:1", 1, "again at 2026-03-01 13:00:00 UTC: give it Send Messages"),
        ("discord:1", 1, "DISCORD_TOKEN is not set"),
        ("mail:1", 1, "nothing here delivers to 'mail'"),
    ] == [(each.target, each.waiting, each.state) for each in desk.delivery.status()]


async def test_a_store_that_refuses_stops_nothing_for_good(desk, box, monkeypatch):
    """A message that arrived while the store refused is still under its nonce, and arrives once."""
    call = desk.writer.call
    refusals = iter([False, True])

    async def refusing(fn, arg, **more):
        if fn.__name__ in ("claim", "sent") and next(refusals, False):
            raise StoreError("the disk is full")
        return await call(fn, arg, **more)

    await desk.post()
    monkeypatch.setattr(desk.writer, "call", refusing)
    await desk.settle()
    assert (["k"], PostState.SENDING) == (box.messages, (await desk.letter()).state)
    await desk.later(seconds=POLL_S)
    assert (["k"], PostState.SENT) == (box.messages, (await desk.letter()).state)


async def test_nothing_is_lost_or_doubled_by_faults_and_deaths(desk, box):
    """Under any mix of faults, and processes that die at any point, each message arrives once and in order."""
    chance = random.Random(11)
    kinds = [lambda: Unsure("x"), lambda: landed(Unsure("x")), lambda: Wait("x", 1), lambda: Slow("x", 1), lambda: None]
    for number in range(60):
        await desk.post(f"{number:03}", f"box:{number % 4}")
    for _ in range(30):
        box.faults = [chance.choice(kinds)() for _ in range(10)]
        await desk.settle()
        died = await desk.take(f"box:{chance.randrange(4)}")
        if isinstance(died, Parcel) and chance.random() < 0.5:
            box._land(died)
        desk.reopened()
        desk.now += timedelta(seconds=chance.randrange(60))
    box.faults = []
    await desk.until_done()
    assert sorted(box.messages) == [f"{number:03}" for number in range(60)]
    for name in range(4):
        mine = [key for key in box.messages if int(key) % 4 == name]
        assert sorted(mine) == mine


def a_parcel(attempts=1, age_s=0.0, tried_s=0.0):
    made = NOON - timedelta(seconds=age_s)
    tried = NOON - timedelta(seconds=tried_s)
    given = {"created_at": made, "attempts": attempts, "first_tried_at": tried, "at": NOON}
    return Parcel(id=1, target="box:1", kind="message", key="k", body={}, **given)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Wait("x", 7), Remedy(wait_s=7, pause_s=7)),
        (Wait("x", 7, everywhere=True), Remedy(wait_s=7, pause_s=7, scope=Scope.CHANNEL)),
        (Slow("x", 7), Remedy(wait_s=30, pause_s=30)),
        (Slow("x", 70), Remedy(wait_s=70, pause_s=70)),
        (Banned("x", 7), Remedy(wait_s=600, pause_s=600, scope=Scope.ALL, tell=True)),
        (Banned("x", 7000), Remedy(wait_s=7000, pause_s=7000, scope=Scope.ALL, tell=True)),
        (Unsure("x"), Remedy(wait_s=1)),
        (Unauthorised("x"), Remedy(closes=True, tell=True)),
        (Forbidden("x"), Remedy(pause_s=3600, tell=True)),
        (Gone("x"), Remedy(pause_s=3600, tell=True)),
        (TooBig("x"), Remedy(dead=True)),
        (Rejected("x"), Remedy(dead=True)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_fault_has_its_remedy(fault, expected):
    """The table of what to do about each outcome."""
    assert expected == remedy(a_parcel(), fault)
