"""Messages of the outbox reach a fake Discord through the real client, whatever Discord does meanwhile."""

from __future__ import annotations

import gzip
import random
from base64 import b64encode
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import addresses, drafts, limits
from bot.discord_channel import DiscordChannel, _tag_ids
from bot.drafts import draft
from bot.rest import Rest
from bot.webhook_channel import WebhookChannel
from pipelines import Unauthorised, Unsure, read_settings
from pipelines.store import outbox
from pipelines.store.deliveries import Parcel
from pipelines.store.outbox import PostState
from tests.fake_discord import Clock, FakeDiscord, faults
from tests.fake_discord.world import FORUM
from tests.post_office import Office, office

CREATE = "POST /channels/{channel_id}/messages"
EDIT = "PATCH /channels/{channel_id}/messages/{message_id}"
HISTORY = "GET /channels/{channel_id}/messages"
POSTS = "POST /channels/{channel_id}/threads"
HOOK = "POST /webhooks/{webhook_id}/{webhook_token}"
NOBODY = {"parse": []}


@pytest.fixture
async def fake():
    """A fake Discord whose time stands still until a test moves it."""
    started = await FakeDiscord.start(clock=Clock(running=False))
    started.guild()
    with started.used():
        yield started
    await started.stop()


@pytest.fixture
def channel(fake):
    return fake.channel("ops")


class Desk(Office):
    """An office that has the fake's time, and posts to the fake's channels."""

    def __init__(self, engine, channels, *, fake) -> None:
        self.fake = fake
        super().__init__(engine, channels, now=self.now)

    @property
    def now(self):
        return datetime.fromtimestamp(self.fake.clock.now(), UTC)

    @now.setter
    def now(self, value):
        self.fake.clock.advance((value - self.now).total_seconds())

    async def say(self, channel, key="k", text=None, **body) -> None:
        """Store a message for a channel."""
        payload = {"content": text or key, "allowed_mentions": NOBODY}
        await self.post(key, f"discord:{channel.id}", body={"payload": payload, **body})


def a_rest(fake, **more):
    given = {"discord_token": fake.token, "discord_api_base": fake.api_base, "_env_file": None} | more
    settings = read_settings(**given)
    addresses.use(settings)
    return Rest(settings)


@asynccontextmanager
async def desk_of(fake, tmp_path, renderers=None, env=None, **settings):
    rest = a_rest(fake, **settings)
    channels = {"discord": DiscordChannel(rest, renderers or {}), "webhook": WebhookChannel(rest, env or {})}
    async with office(tmp_path, channels, kind=Desk, fake=fake) as opened:
        yield opened
    await rest.close()


@pytest.fixture
async def desk(fake, tmp_path):
    async with desk_of(fake, tmp_path) as opened:
        yield opened


def texts(fake, channel):
    return [message.content for message in fake.messages(channel)]


async def test_a_message_arrives_as_it_was_stored(fake, desk, channel):
    """Text, embeds, pings and files are those of the body; its id is kept."""
    payload = {"content": "hi <@&5>", "embeds": [{"title": "t"}], "allowed_mentions": {"parse": [], "roles": ["5"]}}
    files = [{"name": "a.csv", "text": "a,å\n"}, {"name": "b.gz", "base64": b64encode(b"\x00\xff").decode()}]
    await desk.post("k", f"discord:{channel.id}", body={"payload": payload, "files": files})
    await desk.settle()
    (message,) = fake.messages(channel)
    assert ("hi <@&5>", {"role:5"}) == (message.content, message.pings)
    assert {"a.csv": "a,å\n".encode(), "b.gz": b"\x00\xff"} == message.files
    assert [str(message.id)] == await desk.ids("k")


async def test_nobody_is_pinged_by_default(fake, desk, channel):
    """A body that says nothing of mentions mentions nobody, and neither does its change."""
    await desk.post("k", f"discord:{channel.id}", body={"payload": {"content": "@everyone"}})
    change = {"edits": "k", "payload": {"content": "@everyone again"}}
    await desk.post("change", f"discord:{channel.id}", body=change)
    await desk.settle()
    (message,) = fake.messages(channel)
    assert ("@everyone again", 1, set()) == (message.content, message.edits, message.pings)


async def test_a_kind_is_rendered_when_it_is_delivered(fake, tmp_path, channel):
    """A renderer makes the payload of its kind; one that has nothing to say any more sends nothing."""

    async def alert(parcel):
        return None if parcel.body["over"] else {"content": f"run {parcel.run_id}: {parcel.body['what']}"}

    async with desk_of(fake, tmp_path, {"alert": alert}) as desk:
        await desk.post("a", f"discord:{channel.id}", kind="alert", body={"what": "late", "over": False})
        await desk.post("b", f"discord:{channel.id}", kind="alert", body={"over": True})
        await desk.post("c", f"discord:{channel.id}", kind="unknown", body={})
        await desk.post("d", "discord:nowhere", body={"payload": {"content": "x"}})
        await desk.settle()
        assert (["run None: late"], PostState.SENT) == (texts(fake, channel), (await desk.letter("b")).state)
        dead = [letter.error for letter in await desk.reader.read(outbox.dead)]
    assert {"nothing here makes a message of kind 'unknown'", "'nowhere' is not the id of a channel"} == set(dead)


UNSURE = {
    "500, once": (faults.status(500), CREATE),
    "503": (faults.status(503), CREATE),
    "503, though it arrived": (faults.status(503, after=True), CREATE),
    "dropped": (faults.dropped(), CREATE),
    "dropped, though it arrived": (faults.dropped(after=True), CREATE),
    "hung": (faults.hung(), CREATE),
    "hung, though it arrived": (faults.hung(after=True), CREATE),
    "429": (faults.rate_limited(0.01), CREATE),
    "429 everywhere": (faults.rate_limited(0.01, everywhere=True), CREATE),
    "429 for long": (faults.rate_limited(90), CREATE),
    "429 of writes": (faults.error(20028), CREATE),
    "ban": (faults.banned(), CREATE),
    "ban at login": (faults.banned(), "GET /users/@me"),
    "503 at login": (faults.status(503), "GET /users/@me"),
    "dropped at login": (faults.dropped(), "GET /users/@me"),
    "a page instead of an answer": (faults.Fault("answer", status=200, body="<p>", content_type="text/html"), CREATE),
    "50001": (faults.error(50001), CREATE),
    "50013": (faults.error(50013), CREATE),
    "10003": (faults.error(10003), CREATE),
}


@pytest.mark.parametrize("name", UNSURE)
async def test_what_passes_delays_only(fake, desk, channel, monkeypatch, name):
    """After each of Discord's passing refusals and silences the messages arrive once, in order."""
    monkeypatch.setattr("bot.rest.TIMEOUT_S", 3.0 if name.startswith("500") else 0.3)
    fault, route = UNSURE[name]
    fake.faults.next(fault, route=route)
    await desk.say(channel, "a")
    await desk.say(channel, "b")
    await desk.until_done(hours=2)
    assert ["a", "b"] == texts(fake, channel)
    fake.faults.release()


async def test_a_lock_that_discord_py_leaves_taken_is_freed(fake, desk, channel, monkeypatch):
    """A wait for the global limit that is given up does not hold up all later messages."""
    monkeypatch.setattr("bot.rest.TIMEOUT_S", 0.3)
    fake.faults.next(faults.rate_limited(5, everywhere=True), route=CREATE)
    await desk.say(channel, "a")
    await desk.until_done()
    assert ["a"] == texts(fake, channel)


async def test_a_ban_stops_all_targets_for_ten_minutes(fake, desk, channel):
    """Not one request leaves while Discord's gatekeeper refuses this machine."""
    other = fake.channel("other")
    fake.faults.next(faults.banned(5), route=CREATE)
    await desk.say(channel, "a")
    await desk.settle()
    await desk.say(other, "b")
    before = len(fake.requests)
    await desk.later(seconds=599)
    assert before == len(fake.requests)
    await desk.later(seconds=1)
    assert (["a"], ["b"]) == (texts(fake, channel), texts(fake, other))


async def test_a_revoked_token_closes_the_channel(fake, desk, channel, caplog):
    """The messages wait, one line in the log says what to do, and nothing more is asked of Discord."""
    await desk.say(channel, "a")
    await desk.settle()
    right, fake.token = fake.token, "another"
    await desk.say(channel, "b")
    await desk.say(fake.channel("other"), "c")
    await desk.settle()
    before = len(fake.requests)
    await desk.later(hours=30)
    assert before == len(fake.requests)
    assert {"queued"} == {(await desk.letter(key)).state for key in "bc"}
    assert 1 == sum("Reset Token" in record.getMessage() for record in caplog.records)
    fake.token = right
    desk.delivery.retry_now("discord")
    await desk.settle()
    assert ["a", "b"] == texts(fake, channel)


async def test_a_refused_login_is_not_repeated_by_all(fake, tmp_path):
    """Many targets with messages make one login with a wrong token, not one each."""
    async with desk_of(fake, tmp_path, discord_token="wrong") as desk:
        for number in range(20):
            await desk.say(fake.channel(f"c{number}"), f"k{number}")
        await desk.settle()
    assert 1 == len(fake.sent("GET /users/@me"))


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_without_a_right_token_nothing_leaves(fake, tmp_path, channel, token):
    """No token, or a wrong one: it waits, and the state says why."""
    async with desk_of(fake, tmp_path, discord_token=token) as desk:
        await desk.say(channel)
        await desk.settle()
        (state,) = desk.delivery.status()
    assert (1, "token" in state.state.lower(), []) == (state.waiting, True, fake.messages(channel))


@pytest.mark.parametrize(("denied", "word"), [(1 << 10, "View Channel"), (1 << 11, "Send Messages")])
async def test_a_missing_right_is_named_once(fake, desk, caplog, denied, word):
    """The target waits and is probed by the hour; others go on; the log says how to mend it."""
    place = fake.channel("quiet", denied=denied)
    await desk.say(place, "a")
    await desk.settle()
    asked = len(fake.sent(CREATE))
    await desk.later(minutes=59)
    assert asked == len(fake.sent(CREATE))
    await desk.later(minutes=1)
    assert asked + 1 == len(fake.sent(CREATE))
    assert 1 == sum(word in record.getMessage() for record in caplog.records)
    place.denied = 0
    await desk.later(hours=1)
    assert ["a"] == texts(fake, place)


async def test_a_deleted_channel_gives_up_after_a_day(fake, desk, channel):
    """Its messages are dead then, with what to do about it, and Discord's reason."""
    fake.delete_channel(channel)
    await desk.say(channel)
    await desk.until_done(hours=26)
    letter = await desk.letter()
    assert PostState.DEAD is letter.state
    assert "Put the id of another one into the pipelines file (Discord said: 404/10003 Unknown" in letter.error


async def test_a_message_that_was_made_and_deleted_is_sent(fake, desk, channel):
    """Discord's 10008 to a repeated nonce means that somebody deleted the message: it is not made again."""
    fake.faults.next(faults.dropped(after=True), route=CREATE)
    await desk.say(channel, "a")
    await desk.say(channel, "b")
    await desk.settle()
    fake.messages(channel)[0].deleted = True
    await desk.until_done()
    assert (["b"], PostState.SENT) == (texts(fake, channel), (await desk.letter("a")).state)


async def test_a_change_of_a_deleted_message_is_done(fake, desk, channel):
    """There is nothing left to change, and nothing is made anew."""
    await desk.say(channel)
    await desk.settle()
    fake.messages(channel)[0].deleted = True
    await desk.post("change", f"discord:{channel.id}", body={"edits": "k", "payload": {"content": "new"}})
    await desk.settle()
    assert ([], PostState.SENT) == (fake.messages(channel), (await desk.letter("change")).state)


async def test_what_discord_refuses_is_sent_as_text_with_a_file(fake, desk, channel):
    """A body that breaks Discord's rules arrives as plain text, with all of it in a file, before the next message."""
    payload = {"content": "head", "embeds": [{"title": "x" * 300, "description": "y" * 3000}]}
    await desk.post("a", f"discord:{channel.id}", body={"payload": payload, "files": [{"name": "a.csv", "text": "1"}]})
    await desk.say(channel, "b")
    await desk.settle()
    first, second = fake.messages(channel)
    assert (True, []) == (first.content.startswith("head\nxxx"), first.embeds)
    assert ({"a.csv", "message.txt"}, "b") == (set(first.files), second.content)
    assert b"y" * 3000 in first.files["message.txt"]


async def test_what_is_refused_again_is_dead(fake, desk, channel, caplog):
    """A message that Discord refuses as plain text too is given up, and the next one is sent."""
    fake.faults.every(faults.error(50035), route=CREATE, where=lambda call: call.body.get("nonce") == nonce_of("a"))
    await desk.say(channel, "a")
    await desk.say(channel, "b")
    await desk.settle()
    assert (["b"], 3) == (texts(fake, channel), len(fake.sent(CREATE)))
    assert "400/50035 Invalid Form Body" == (await desk.letter("a")).error


def nonce_of(key):
    now = datetime.now(UTC)
    return Parcel(1, "discord:1", "message", key, {}, now, 1, now, now).nonce


async def test_what_automod_refuses_is_dead_at_once(fake, desk, channel):
    """The same words in another form would be refused as well."""
    fake.faults.every(faults.error(200000), route=CREATE)
    await desk.say(channel)
    await desk.settle()
    assert (1, PostState.DEAD) == (len(fake.sent(CREATE)), (await desk.letter()).state)


async def test_a_file_too_big_is_compressed(fake, desk, channel):
    """What Discord does not take as it is arrives compressed."""
    big = "a,b\n" * (11 * 2**18)
    await desk.say(channel, files=[{"name": "a.csv", "text": big}])
    await desk.settle()
    (message,) = fake.messages(channel)
    assert (["a.csv.gz"], big) == (list(message.files), gzip.decompress(message.files["a.csv.gz"]).decode())


async def test_a_file_too_big_for_all_is_named(fake, desk, channel):
    """What is too big even so is left out, and the message says so."""
    noise = b64encode(random.Random(1).randbytes(11 * 2**20)).decode()
    await desk.say(channel, files=[{"name": "a.bin", "base64": noise}])
    await desk.settle()
    (message,) = fake.messages(channel)
    assert ({}, "k\n-# Too large for Discord, left out: a.bin.gz (11.0 MiB)") == (message.files, message.content)


async def test_a_change_that_is_refused_becomes_text(fake, desk, channel):
    """A change that breaks Discord's rules shows its text; a card of components cannot, and is given up."""
    await desk.say(channel)
    too_long = {"content": "new", "embeds": [{"title": "x" * 300}]}
    await desk.post("change", f"discord:{channel.id}", body={"edits": "k", "payload": too_long})
    card = {"flags": drafts.V2, "components": [{"type": 10, "content": ""}]}
    await desk.post("card", f"discord:{channel.id}", body={"edits": "k", "payload": card})
    await desk.settle()
    (message,) = fake.messages(channel)
    assert (True, PostState.DEAD) == (message.content.startswith("new\nxxx"), (await desk.letter("card")).state)


async def test_beyond_the_nonce_an_earlier_try_is_found(fake, desk, channel):
    """After an outage in which a try arrived unseen, the message is found in the channel and not made again."""
    await desk.say(channel, "same", "same words")
    await desk.settle()
    fake.faults.next(faults.dropped(after=True), route=CREATE)
    fake.faults.every(faults.status(503), route=f"POST /channels/{channel.id}/*")
    await desk.say(channel, "again", "same words")
    await desk.settle()
    while desk.now < datetime.fromtimestamp(fake.messages(channel)[0].id / 2**22 / 1000 + 1_420_070_400, UTC) + (
        timedelta(minutes=20)
    ):
        await desk.later(seconds=120)
    fake.faults.clear()
    await desk.until_done()
    ids = await desk.ids("same", "again")
    assert ids == [str(message.id) for message in fake.messages(channel)]
    assert 2 == len(set(ids))


async def test_beyond_the_nonce_what_never_arrived_is_sent(fake, desk, channel):
    """What is not found is sent: others' messages, and other messages of ours, are not taken for it."""
    fake.faults.next(faults.dropped(), route=CREATE)
    await desk.say(channel, "a")
    await desk.settle()
    fake.store.create(channel, fake.user("eve"), {"content": "a"}, files={})
    fake.store.create(channel, fake.bot, {"content": "another"}, files={})
    await desk.later(minutes=10)
    assert ["a", "another", "a"] == texts(fake, channel)
    assert 1 == len(fake.sent(HISTORY))


async def test_what_was_replaced_after_an_unseen_arrival_is_corrected(fake, desk, channel):
    """The nonce brings the old message back, which is then changed to what it should say."""
    fake.faults.next(faults.dropped(after=True), route=CREATE)
    await desk.say(channel, "a", "old")
    await desk.settle()
    new = {"payload": {"content": "new", "allowed_mentions": NOBODY}}
    await desk.post("a", f"discord:{channel.id}", body=new, replace=True)
    await desk.until_done()
    assert ["new"] == texts(fake, channel)


async def test_a_day_without_discord(fake, desk, channel):
    """After a day in which every call failed, a flood arrives as one message with a file, the rest in order."""
    other = fake.channel("other")
    fake.faults.every(faults.status(503), route="*")
    for number in range(60):
        await desk.say(channel, f"k{number}", f"message {number}")
    await desk.say(other, "calm")
    await desk.settle()
    for _ in range(96):
        await desk.later(minutes=15)
    assert len(fake.requests) < 300
    fake.faults.clear()
    await desk.until_done()
    first, summary = fake.messages(channel)
    assert ("message 0", ["calm"]) == (first.content, texts(fake, other))
    assert (True, set()) == (summary.content.startswith("59 messages from <t:"), summary.pings)
    assert all(f"message {number}\n" in summary.files["messages.txt"].decode() for number in range(1, 60))


async def test_two_hundred_messages_through_faults(fake, desk):
    """With a third of the calls going wrong, 200 messages to 4 targets arrive once each, in order."""
    chance = random.Random(5)
    places = [fake.channel(f"c{number}") for number in range(4)]
    kinds = [faults.dropped(), faults.dropped(after=True), faults.status(503), faults.rate_limited(0.001)]
    kinds += [faults.status(503, after=True), faults.rate_limited(30)]
    for fault in kinds:
        fake.faults.every(fault, route=CREATE, where=lambda _: chance.random() < 0.064)
    for number in range(200):
        await desk.say(places[number % 4], f"{number}")
    await desk.until_done()
    calls = fake.sent(CREATE)
    assert sum(call.status != 200 for call in calls) > len(calls) / 5
    for index, place in enumerate(places):
        assert [str(number) for number in range(index, 200, 4)] == texts(fake, place)


async def test_a_forum_gets_a_post_for_each_run(fake, desk):
    """The messages of one `reuse` go into one post, others into their own, by name or not."""
    forum = fake.channel("forum", kind=FORUM)
    for key, reuse in (("a1", "run:1"), ("a2", "run:1"), ("b1", "run:2")):
        await desk.say(forum, key, forum={"name": "prices", "tags": ["none"], "reuse": reuse})
    await desk.settle()
    threads = [one for one in fake.guilds[0].channels if one.parent_id == forum.id]
    assert [["a1", "a2"], ["b1"]] == [texts(fake, thread) for thread in threads]
    await desk.post("change", f"discord:{forum.id}", body={"edits": "a2", "payload": {"content": "new"}})
    await desk.settle()
    assert ["a1", "new"] == texts(fake, threads[0])


async def test_a_post_that_was_deleted_is_opened_anew(fake, desk):
    """Where the post of earlier messages is gone, a new one takes its place for good."""
    forum = fake.channel("forum", kind=FORUM)
    post = {"name": "prices", "tags": [], "reuse": "pipeline:prices"}
    await desk.say(forum, "a", forum=post)
    await desk.settle()
    fake.delete_channel(next(one for one in fake.guilds[0].channels if one.parent_id == forum.id))
    await desk.say(forum, "b", forum=post)
    await desk.say(forum, "c", forum=post)
    await desk.settle()
    (thread,) = [one for one in fake.guilds[0].channels if one.parent_id == forum.id]
    assert ["b", "c"] == texts(fake, thread)


@pytest.mark.parametrize("after", [False, True])
async def test_a_post_of_unknown_fate_is_looked_for(fake, desk, after):
    """A forum knows no nonce: before a new try, the post is looked for by its name, its author and its time."""
    forum = fake.channel("forum", kind=FORUM)
    post = {"name": "prices", "tags": [], "reuse": "run:1"}
    fake.faults.next(faults.dropped(after=after), route=POSTS)
    await desk.say(forum, "a", forum=post)
    await desk.say(forum, "b", forum=post)
    await desk.until_done()
    (thread,) = [one for one in fake.guilds[0].channels if one.parent_id == forum.id]
    assert ["a", "b"] == texts(fake, thread)


async def test_a_forum_that_is_a_channel_takes_messages(fake, desk, channel):
    """Where the place is no forum, the message is sent to it as it is."""
    await desk.say(channel, "a", forum={"name": "prices", "tags": [], "reuse": None})
    await desk.settle()
    assert ["a"] == texts(fake, channel)


def test_tags_go_by_name():
    """Case does not matter, unknown names are left out, and at most five are given."""
    known = [{"id": str(number), "name": f"Tag {number}"} for number in range(9)]
    assert ["3", "1"] == _tag_ids({"available_tags": known}, ["tag 3", "nope", "TAG 1"])
    assert 5 == len(_tag_ids({"available_tags": known}, [f"tag {number}" for number in range(9)]))


async def test_a_thread_takes_messages(fake, desk, channel):
    """The id of a thread is a target like a channel's."""
    thread = fake.thread("talk", channel)
    await desk.say(thread)
    await desk.settle()
    assert (["k"], []) == (texts(fake, thread), texts(fake, channel))


async def test_a_webhook_needs_no_token(fake, tmp_path, channel):
    """A message and its change go out by the address in the environment, with files and a name of their own."""
    url = fake.webhook(channel).url
    async with desk_of(fake, tmp_path, env={"NEWS": url}, discord_token=None) as desk:
        body = {"payload": {"content": "@everyone hi", "username": "Prices"}, "files": [{"name": "a.csv", "text": "1"}]}
        await desk.post("a", "webhook:NEWS", body=body)
        await desk.post("b", "webhook:NEWS", body={"edits": "a", "payload": {"content": "bye"}})
        await desk.settle()
        stored = str(await desk.letter("a"))
    (message,) = fake.messages(channel)
    assert ("bye", "Prices", {"a.csv": b"1"}, set()) == (message.content, message.name, message.files, message.pings)
    assert url not in stored


async def test_a_webhook_that_is_gone_is_left_alone(fake, tmp_path, channel, caplog):
    """After its 404 it is never asked again, and its messages die after a day; how to mend it is told once."""
    hook = fake.webhook(channel)
    del fake.webhooks[hook.id]
    async with desk_of(fake, tmp_path, env={"NEWS": hook.url}) as desk:
        await desk.post("a", "webhook:NEWS")
        await desk.until_done(hours=26)
        assert PostState.DEAD == (await desk.letter("a")).state
    assert 1 == len(fake.sent(HOOK))
    assert 1 == sum(
        "NEWS was deleted" in record.getMessage() for record in caplog.records if "given up" not in record.msg
    )
    assert hook.token not in caplog.text


@pytest.mark.parametrize("url", ["", "ftp://x", "https://discord.com/api/webhooks/1/t?x=1"])
async def test_a_webhook_without_an_address_waits(fake, tmp_path, url):
    """A variable that is missing or holds something else is told, without its value."""
    async with desk_of(fake, tmp_path, env={"NEWS": url}) as desk:
        await desk.post("a", "webhook:NEWS")
        await desk.settle()
        (state,) = desk.delivery.status()
    assert (True, True) == ("the webhook NEWS is not" in state.state, not url or url not in state.state)


@pytest.mark.parametrize(
    "fault",
    [faults.status(503), faults.dropped(), faults.rate_limited(5), faults.banned(), faults.error(50035), faults.hung()],
    ids=["503", "dropped", "429", "ban", "400", "hung"],
)
async def test_a_webhook_arrives_in_the_end(fake, tmp_path, channel, monkeypatch, fault):
    """What passes delays it; what is refused arrives as plain text."""
    monkeypatch.setattr("bot.rest.TIMEOUT_S", 0.3)
    async with desk_of(fake, tmp_path, env={"NEWS": fake.webhook(channel).url}) as desk:
        fake.faults.next(fault, route=HOOK)
        await desk.post("a", "webhook:NEWS")
        await desk.until_done()
        assert ["a"] == texts(fake, channel)
        fake.faults.release()


async def test_a_webhooks_thread(fake, tmp_path, channel):
    """The thread of the body is asked for."""
    async with desk_of(fake, tmp_path, env={"NEWS": fake.webhook(channel).url}) as desk:
        await desk.post("a", "webhook:NEWS", body={"payload": {"content": "x"}, "thread_id": "55"})
        await desk.settle()
    assert ["55"] == [call.query.get("thread_id") for call in fake.sent(HOOK)]


async def test_a_webhook_sends_messages_only(fake, tmp_path, channel):
    """What only the bot can render is refused."""
    async with desk_of(fake, tmp_path, env={"NEWS": fake.webhook(channel).url}) as desk:
        await desk.post("a", "webhook:NEWS", kind="alert")
        await desk.settle()
        assert PostState.DEAD == (await desk.letter("a")).state


async def test_rest_reads_and_writes(fake, channel):
    """Channels, messages in pages, oneself: what others build upon."""
    rest = a_rest(fake)
    for number in range(105):
        fake.store.create(channel, fake.bot, {"content": str(number)}, files={})
    found = await rest.messages_after(str(channel.id), "0", 1000)
    assert [str(number) for number in range(105)] == [message["content"] for message in found]
    assert 7 == len(await rest.messages_after(str(channel.id), "0", 7))
    made = await rest.create_message(str(channel.id), {"content": "x"})
    await rest.edit_message(str(channel.id), made, {"content": "y"})
    assert ("y", str(fake.bot.id)) == (fake.messages(channel)[-1].content, (await rest.me())["id"])
    assert "ops" == (await rest.channel(str(channel.id)))["name"]
    await rest.close()
    assert "ops" == (await rest.channel(str(channel.id)))["name"]
    await rest.close()


async def test_a_token_file_that_is_missing_is_told(fake, tmp_path, channel):
    """The setting that names it is in the text."""
    rest = a_rest(fake, discord_token=None, discord_token_file=tmp_path / "none")
    with pytest.raises(Unauthorised, match="DISCORD_TOKEN_FILE"):
        await rest.channel(str(channel.id))
    await rest.close()


async def test_nothing_listening_is_unsure(fake, channel):
    """A refused connection is told by its kind, not by its address."""
    rest = a_rest(fake, discord_api_base="http://127.0.0.1:9/api/v10")
    with pytest.raises(Unsure, match=r"^the connection failed"):
        await rest.channel(str(channel.id))
    await rest.close()


EMBEDS = st.fixed_dictionaries(
    {"title": st.text(max_size=300), "description": st.text(max_size=5000)},
    optional={
        "fields": st.lists(st.fixed_dictionaries({"name": st.text(max_size=9), "value": st.text(max_size=2000)}))
    },
)
PAYLOADS = st.fixed_dictionaries(
    {}, optional={"content": st.text(max_size=3000), "embeds": st.lists(EMBEDS, max_size=3), "flags": st.just(1 << 12)}
)


@given(payload=PAYLOADS)
def test_plain_forms_keep_discords_limits(payload):
    """Whatever was refused, its plain form is within the limits, and holds all of the text in its file."""
    plain = drafts.simpler(draft(payload), drafts.TooBig("x"))
    records = [{"name": each.name, "text": each.content.decode()} for each in plain.files]
    attachments = [{"id": number, "filename": each["name"]} for number, each in enumerate(records)]
    assert [] == limits.faults({**plain.payload, "attachments": attachments}, records)
    assert plain.files[0].content.decode() == (drafts.text_of(payload) or "(this message has no text)")


def test_the_library_is_the_one_that_was_studied():
    """What is said of discord.py here was measured with this version."""
    assert discord.__version__.startswith("2.7.")
