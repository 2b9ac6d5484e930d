"""The fake Discord answers the real discord.py as Discord does: messages, threads, files, webhooks, rights."""

from __future__ import annotations

import io

import discord
import pytest

from tests.fake_discord import FakeDiscord
from tests.fake_discord.world import FORUM, SEND_MESSAGES, VIEW_CHANNEL
from tests.small_bot import logged_in, online


@pytest.fixture
async def fake():
    started = await FakeDiscord.start()
    started.guild()
    started.channel("ops")
    yield started
    await started.stop()


async def test_a_repeated_nonce_makes_no_second_message(fake):
    """Within minutes a nonce returns its first message, 10008 where that is gone, and later a new one."""
    channel = fake.channel("alerts")
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(channel.id)
        first = await place.send("one", nonce="n1")
        again = await place.send("changed", nonce="n1")
        assert (first.id, "one") == (again.id, again.content)
        await first.delete()
        with pytest.raises(discord.NotFound) as caught:
            await place.send("one", nonce="n1")
        fake.clock.advance(301)
        await place.send("one", nonce="n1")
    assert (10008, 1) == (caught.value.code, len(fake.messages(channel)))


async def test_messages_are_made_changed_found_and_removed(fake):
    """Create, get, edit, list after and delete do what they say, and every state is kept."""
    channel = fake.channel("alerts")
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(channel.id)
        sent = [await place.send(f"m{number}") for number in range(4)]
        await sent[1].edit(content="edited")
        await sent[2].delete()
        reply = await place.send("re", reference=sent[0])
        assert "edited" == (await place.fetch_message(sent[1].id)).content
        after = [one.content async for one in place.history(after=discord.Object(sent[0].id), limit=2)]
        newest = [one.content async for one in place.history(limit=2)]
    assert (["edited", "m3"], ["re", "m3"]) == (after, newest)
    assert ["m0", "edited", "m3", "re"] == [one.content for one in fake.messages(channel)]
    assert ["m0", "edited", "m2", "m3", "re"] == [one.content for one in fake.messages(channel, deleted=True)]
    assert reply.reference.message_id == sent[0].id


async def test_files_are_kept_and_served(fake):
    """Uploaded files hang on the message, can be fetched, and go when an edit leaves them out."""
    channel = fake.channel("alerts")
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(channel.id)
        files = [discord.File(io.BytesIO(text), name) for text, name in ((b"a", "a.csv"), (b"b", "b.csv"))]
        sent = await place.send("files", files=files)
        assert b"b" == await sent.attachments[1].read()
        fresh = discord.File(io.BytesIO(b"c"), "c.csv")
        await sent.edit(attachments=[sent.attachments[0], fresh])
    assert {"a.csv": b"a", "c.csv": b"c"} == fake.messages(channel)[0].files
    assert [b"a", b"b"] == [
        file.content for file in fake.sent("POST /channels/{channel_id}/messages")[0].files.values()
    ]


async def test_direct_messages_threads_forums_and_typing(fake):
    """A DM opens once, a message starts a thread, a forum takes a post, and typing is seen."""
    channel, forum, ada = fake.channel("alerts"), fake.channel("posts", kind=FORUM), fake.member("ada")
    async with online(fake) as bot:
        user = await bot.fetch_user(ada.id)
        await user.send("hello")
        place = bot.get_channel(channel.id)
        async with place.typing():
            thread = await (await place.send("start")).create_thread(name="run 7")
        await thread.send("inside")
        posted = await bot.get_channel(forum.id).create_thread(name="report", content="body")
        assert "posts" == (await bot.fetch_channel(forum.id)).name
    assert ["hello"] == [one.content for one in fake.messages(fake.open_dm(ada.user))]
    assert ["inside"] == [one.content for one in fake.messages(fake.channels[thread.id])]
    assert ["body"] == [one.content for one in fake.messages(fake.channels[posted.thread.id])]
    assert [channel] == fake.typing


async def test_a_webhook_posts_edits_and_deletes(fake):
    """An incoming webhook needs no bot: it posts under its own name, edits and deletes; its loss is 10015."""
    channel = fake.channel("alerts")
    hook = fake.webhook(channel, "Pipecall")
    async with logged_in(fake) as bot:
        webhook = discord.Webhook.partial(hook.id, hook.token, client=bot)
        assert "Pipecall" == (await webhook.fetch()).name
        sent = await webhook.send("one", wait=True, username="Nightly")
        await webhook.send("two")
        await webhook.edit_message(sent.id, content="edited")
        assert "edited" == (await webhook.fetch_message(sent.id)).content
        await webhook.delete_message(sent.id)
        fake.delete_channel(channel)
        with pytest.raises(discord.NotFound) as caught:
            await webhook.send("three")
    assert (10015, "Nightly") == (caught.value.code, sent.author.name)
    assert ["two"] == [one.content for one in fake.messages(channel)]


async def test_rights_are_checked(fake):
    """A channel that the bot may not see is 50001, one in which it may not write 50013, none 10003."""
    hidden, silent = fake.channel("hidden", denied=VIEW_CHANNEL), fake.channel("silent", denied=SEND_MESSAGES)
    codes = []
    async with logged_in(fake) as bot:
        for number in (hidden.id, silent.id, 1):
            with pytest.raises(discord.HTTPException) as caught:
                await bot.get_partial_messageable(number).send("x")
            codes.append(caught.value.code)
    assert [50001, 50013, 10003] == codes


async def test_whom_a_message_notifies(fake):
    """Pings follow allowed_mentions; an edit that does not name them falls back to Discord's own default."""
    channel, ops = fake.channel("alerts"), fake.role("ops")
    async with logged_in(fake) as bot:
        place = bot.get_partial_messageable(channel.id)
        only = discord.AllowedMentions(everyone=False, users=False, roles=[ops])
        sent = await place.send(f"@everyone <@&{ops.id}>", allowed_mentions=only)
        quiet = await place.send("@everyone")
        assert [{f"role:{ops.id}"}, set()] == [one.pings for one in fake.messages(channel)]
        await quiet.edit(suppress=True)
    assert {"everyone"} == fake.messages(channel)[1].pings
    assert sent.id == fake.messages(channel)[0].id
