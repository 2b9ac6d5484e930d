"""The routes for messages and threads that a bot makes with its own token."""

from __future__ import annotations

from tests.fake_discord.messages import Message
from tests.fake_discord.recording import Request
from tests.fake_discord.refusal import Mistakes, Refusal
from tests.fake_discord.rest import Answer
from tests.fake_discord.state import State
from tests.fake_discord.world import (
    ATTACH_FILES,
    DM,
    FORUM,
    PUBLIC_THREAD,
    READ_MESSAGE_HISTORY,
    SEND_MESSAGES,
    SEND_MESSAGES_IN_THREADS,
    Channel,
)


def create(state: State, call: Request) -> Answer:
    """`POST /channels/{channel_id}/messages`: a repeated, enforced nonce returns the first message."""
    channel = _writable(state, call)
    known = state.store.repeated(call.body)
    if known is not None:
        return 200, known.payload()
    reference = call.body.get("message_reference")
    if reference and reference.get("fail_if_not_exists", True):
        state.store.find(channel, str(reference["message_id"]))
    message = state.store.create(channel, state.bot, call.body, files=call.files)
    state.announce("MESSAGE_CREATE", message)
    return 200, message.payload()


def _writable(state: State, call: Request) -> Channel:
    channel = state.find_channel(call.params["channel_id"])
    sending = SEND_MESSAGES_IN_THREADS if channel.kind == PUBLIC_THREAD else SEND_MESSAGES
    return state.find_channel(str(channel.id), needs=sending | (ATTACH_FILES if call.files else 0))


def edit(state: State, call: Request) -> Answer:
    """`PATCH /channels/{channel_id}/messages/{message_id}`: only the bot's own."""
    message = _own(state, call)
    state.store.edit(message, call.body, files=call.files)
    state.announce("MESSAGE_UPDATE", message)
    return 200, message.payload()


def delete(state: State, call: Request) -> Answer:
    """`DELETE /channels/{channel_id}/messages/{message_id}`."""
    message = _found(state, call)
    message.deleted = True
    state.announce("MESSAGE_DELETE", message)
    return 204, None


def get(state: State, call: Request) -> Answer:
    """`GET /channels/{channel_id}/messages/{message_id}`."""
    return 200, _found(state, call).payload()


def history(state: State, call: Request) -> Answer:
    """`GET /channels/{channel_id}/messages`: newest first, or those next after `after`; 50 unless `limit` says."""
    channel = state.find_channel(call.params["channel_id"])
    if not channel.bot_permissions & READ_MESSAGE_HISTORY:
        return 200, []
    after, before = int(call.query.get("after", 0)), int(call.query.get("before", 1 << 63))
    limit = int(call.query.get("limit", 50))
    if not 1 <= limit <= 100:
        mistakes = Mistakes()
        mistakes.add(("limit",), "int value should be between 1 and 100.", code="NUMBER_TYPE_MAX")
        mistakes.refuse()
    found = [message for message in state.messages(channel) if after < message.id < before]
    page = found[:limit] if "after" in call.query else found[-limit:]
    return 200, [message.payload() for message in reversed(page)]


def thread_of_message(state: State, call: Request) -> Answer:
    """`POST /channels/{channel_id}/messages/{message_id}/threads`: the thread has the message's id."""
    message = _found(state, call)
    if message.id in state.channels:
        raise Refusal(160004)
    return 201, state.thread(call.body["name"], message.channel, number=message.id).payload()


def thread(state: State, call: Request) -> Answer:
    """`POST /channels/{channel_id}/threads`: in a forum with its first message."""
    parent = state.find_channel(call.params["channel_id"], needs=SEND_MESSAGES)
    if parent.kind == DM:
        raise Refusal(50001)
    mistakes = Mistakes()
    mistakes.length(("name",), call.body.get("name") or "", 1, 100)
    if parent.kind == FORUM and "message" not in call.body:
        mistakes.add(("message",), "This field is required", code="BASE_TYPE_REQUIRED")
    mistakes.refuse()
    if parent.kind != FORUM:
        return 201, state.thread(call.body["name"], parent).payload()
    number = state.ids.next()
    draft = Channel(number, call.body["name"], PUBLIC_THREAD, parent.guild, parent_id=parent.id)
    message = state.store.create(draft, state.bot, call.body["message"], files=call.files, number=number)
    message.channel = state.thread(call.body["name"], parent, number=number)
    return 201, message.channel.payload() | {"message": message.payload()}


def active_threads(state: State, call: Request) -> Answer:
    """`GET /guilds/{guild_id}/threads/active`: every thread that the bot can see; none is ever archived here."""
    guild = state.find_guild(call.params["guild_id"])
    threads = [one for one in guild.channels if one.kind == PUBLIC_THREAD]
    return 200, {"threads": [one.payload() for one in threads], "members": [], "has_more": False}


def archived_threads(state: State, call: Request) -> Answer:
    """`GET /channels/{channel_id}/threads/archived/public`."""
    state.find_channel(call.params["channel_id"], needs=READ_MESSAGE_HISTORY)
    return 200, {"threads": [], "members": [], "has_more": False}


def _found(state: State, call: Request) -> Message:
    message = state.store.find(state.find_channel(call.params["channel_id"]), call.params["message_id"])
    if message.ephemeral:
        raise Refusal(10008)
    return message


def _own(state: State, call: Request) -> Message:
    message = _found(state, call)
    if message.author is not state.bot:
        raise Refusal(50005)
    return message
