"""The routes that carry a token in their path: answers to interactions, and incoming webhooks."""

from __future__ import annotations

from typing import Any

from tests.fake_discord.command_limits import check_choices, check_modal
from tests.fake_discord.interactions import (
    AUTOCOMPLETE,
    CHOICES,
    COMMAND,
    COMPONENT,
    DEFER,
    DEFER_UPDATE,
    FIRST_ANSWER_S,
    MODAL,
    SEND,
    SUBMIT,
    TOKEN_S,
    UPDATE,
    Interaction,
)
from tests.fake_discord.limits import EPHEMERAL
from tests.fake_discord.messages import Message
from tests.fake_discord.recording import Request
from tests.fake_discord.refusal import Mistakes, Refusal
from tests.fake_discord.rest import Answer
from tests.fake_discord.state import State
from tests.fake_discord.world import Webhook

MAY_ANSWER = {
    COMMAND: {SEND, DEFER, MODAL},
    COMPONENT: {SEND, DEFER, DEFER_UPDATE, UPDATE, MODAL},
    AUTOCOMPLETE: {CHOICES},
    SUBMIT: {SEND, DEFER, DEFER_UPDATE, UPDATE},
}


def respond(state: State, call: Request) -> Answer:
    """`POST /interactions/{interaction_id}/{interaction_token}/callback`: once, and within three seconds."""
    token = call.params["interaction_token"]
    interaction = next((one for one in state.interactions if one.token == token), None)
    if interaction is None or str(interaction.id) != call.params["interaction_id"]:
        raise Refusal(10062)
    if interaction.response is not None:
        raise Refusal(40060)
    if state.clock.now() - interaction.at > FIRST_ANSWER_S:
        raise Refusal(10062)
    _check_kind(interaction, call.body["type"])
    resource = _carry_out(state, interaction, call)
    interaction.response = call.body
    told: dict[str, Any] = {"id": str(interaction.id), "type": interaction.kind}
    told |= {"channel_id": str(interaction.channel.id)}
    if interaction.original is not None:
        told |= {"response_message_id": str(interaction.original.id)}
        told |= {"response_message_loading": interaction.original.loading}
        told |= {"response_message_ephemeral": interaction.original.ephemeral}
    if call.query.get("with_response") not in {"1", "true"}:
        return 204, None
    return 200, {"interaction": told} | ({"resource": resource} if resource else {})


def _check_kind(interaction: Interaction, kind: int) -> None:
    allowed = MAY_ANSWER[interaction.kind]
    if interaction.source is None:
        allowed = allowed - {DEFER_UPDATE, UPDATE}
    if kind not in allowed:
        mistakes = Mistakes()
        mistakes.add(("type",), f"Value must be one of {sorted(allowed)}.", code="BASE_TYPE_CHOICES")
        mistakes.refuse()


def _carry_out(state: State, interaction: Interaction, call: Request) -> dict[str, Any] | None:
    kind, data = call.body["type"], call.body.get("data") or {}
    if kind == CHOICES:
        check_choices(data.get("choices"))
    elif kind == MODAL:
        check_modal(data)
    elif kind == DEFER:
        flags = data.get("flags") or 0
        interaction.original = state.store.loading(
            interaction.channel, state.bot, flags=flags & EPHEMERAL, webhook_id=state.bot.id
        )
    elif kind == SEND:
        interaction.original = _say(state, interaction, data, call)
        return {"type": kind, "message": interaction.original.payload()}
    elif interaction.source is not None:
        interaction.original = interaction.source
        if kind == UPDATE:
            _change(state, interaction.source, data, call)
            return {"type": kind, "message": interaction.source.payload()}
    return None


def _say(state: State, interaction: Interaction, data: dict[str, Any], call: Request) -> Message:
    channel = interaction.channel
    message = state.store.create(channel, state.bot, data, files=call.files, webhook_id=state.bot.id)
    state.announce("MESSAGE_CREATE", message)
    return message


def _change(state: State, message: Message, data: dict[str, Any], call: Request) -> None:
    state.store.edit(message, data, files=call.files)
    state.announce("MESSAGE_UPDATE", message)


def _door(state: State, call: Request) -> Interaction | Webhook:
    number, token = call.params["webhook_id"], call.params["webhook_token"]
    if number == str(state.bot.id):
        return _answered(state, token)
    webhook = state.webhooks.get(int(number))
    if webhook is None or webhook.channel.id not in state.channels:
        raise Refusal(10015)
    if webhook.token != token:
        raise Refusal(50027)
    return webhook


def _answered(state: State, token: str) -> Interaction:
    interaction = next((one for one in state.interactions if one.token == token), None)
    if interaction is None or interaction.response is None:
        raise Refusal(10015)
    if state.clock.now() - interaction.at > TOKEN_S:
        raise Refusal(50027)
    return interaction


def execute(state: State, call: Request) -> Answer:
    """`POST /webhooks/{webhook_id}/{webhook_token}`: a follow-up, or a webhook's message."""
    door = _door(state, call)
    if isinstance(door, Webhook):
        author = state.bot if door.id == state.bot.id else _author(door, state)
        message = state.store.create(door.channel, author, call.body, files=call.files, webhook_id=door.id)
        message.name = message.name or door.name
        state.announce("MESSAGE_CREATE", message)
        return (200, message.payload()) if call.query.get("wait") in {"1", "true"} else (204, None)
    if door.original is not None and door.original.loading and not door.original.deleted:
        _change(state, door.original, call.body, call)
        return 200, door.original.payload()
    message = _say(state, door, call.body, call)
    door.followups.append(message)
    return 200, message.payload()


def _author(webhook: Webhook, state: State) -> Any:
    return state.users.setdefault(webhook.id, type(state.bot)(webhook.id, webhook.name, bot=True))


def _reached(state: State, call: Request) -> Message:
    door = _door(state, call)
    number = call.params.get("message_id", "@original")
    if isinstance(door, Webhook):
        message = state.store.find(door.channel, number)
        if message.webhook_id != door.id:
            raise Refusal(10008)
        return message
    every = [*([door.original] if door.original else []), *door.followups]
    wanted = door.original if number == "@original" else next((one for one in every if str(one.id) == number), None)
    if wanted is None or wanted.deleted:
        raise Refusal(10008)
    return wanted


def get_message(state: State, call: Request) -> Answer:
    """`GET /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}`, `@original` too."""
    return 200, _reached(state, call).payload()


def edit_message(state: State, call: Request) -> Answer:
    """`PATCH` of the same."""
    message = _reached(state, call)
    _change(state, message, call.body, call)
    return 200, message.payload()


def delete_message(state: State, call: Request) -> Answer:
    """`DELETE` of the same."""
    message = _reached(state, call)
    message.deleted = True
    state.announce("MESSAGE_DELETE", message)
    return 204, None


def webhook(state: State, call: Request) -> Answer:
    """`GET /webhooks/{webhook_id}/{webhook_token}`."""
    door = _door(state, call)
    if not isinstance(door, Webhook):
        raise Refusal(10015)
    return 200, door.payload()
