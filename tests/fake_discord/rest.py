"""The routes that are about the application itself: who it is, its commands, its DMs and channels."""

from __future__ import annotations

from typing import Any

from tests.fake_discord.command_limits import check_commands
from tests.fake_discord.recording import Request
from tests.fake_discord.refusal import Refusal
from tests.fake_discord.state import State

Answer = tuple[int, Any]


def me(state: State, _call: Request) -> Answer:
    """`GET /users/@me`."""
    return 200, state.bot.payload() | {"mfa_enabled": True, "locale": "en-US", "verified": True}


def user(state: State, call: Request) -> Answer:
    """`GET /users/{user_id}`."""
    known = {str(number): user for number, user in state.users.items()}
    if call.params["user_id"] not in known:
        raise Refusal(10013)
    return 200, known[call.params["user_id"]].payload()


def application(state: State, _call: Request) -> Answer:
    """`GET /oauth2/applications/@me`."""
    return 200, {
        "id": str(state.bot.id),
        "name": "pipecall",
        "icon": None,
        "description": "",
        "type": None,
        "bot_public": False,
        "bot_require_code_grant": False,
        "verify_key": "00",
        "flags": 0,
        "flags_new": "0",
        "owner": state.bot.payload() | {"id": "1", "username": "owner", "bot": False},
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "approximate_guild_count": len(state.guilds),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "explicit_content_filter": 0,
        "team": None,
        "eligible_oauth2_scopes": ["bot", "applications.commands"],
    } | state.application_changes


def my_guilds(state: State, _call: Request) -> Answer:
    """`GET /users/@me/guilds`."""
    return 200, [
        {
            "id": str(guild.id),
            "name": guild.name,
            "icon": None,
            "banner": None,
            "owner": False,
            "permissions": str(guild.bot_permissions),
            "features": [],
        }
        for guild in state.guilds
    ]


def roles(state: State, call: Request) -> Answer:
    """`GET /guilds/{guild_id}/roles`."""
    return 200, [role.payload() for role in state.find_guild(call.params["guild_id"]).roles]


def member(state: State, call: Request) -> Answer:
    """`GET /guilds/{guild_id}/members/{user_id}`."""
    guild = state.find_guild(call.params["guild_id"])
    found = next((each for each in [guild.bot, *guild.members] if str(each.id) == call.params["user_id"]), None)
    if found is None:
        raise Refusal(10007)
    return 200, found.payload()


def gateway(state: State, _call: Request) -> Answer:
    """`GET /gateway`."""
    return 200, {"url": state.gateway_url}


def put_commands(state: State, call: Request) -> Answer:
    """`PUT /applications/{application_id}/commands`, and of a guild."""
    check_commands(call.body)
    return 200, state.registered.put(_scope(state, call), call.body)


def get_commands(state: State, call: Request) -> Answer:
    """`GET /applications/{application_id}/commands`, and of a guild."""
    return 200, state.registered.within(_scope(state, call))


def _scope(state: State, call: Request) -> int | None:
    if call.params["application_id"] != str(state.bot.id):
        raise Refusal(50001)
    return state.find_guild(call.params["guild_id"]).id if "guild_id" in call.params else None


def open_dm(state: State, call: Request) -> Answer:
    """`POST /users/@me/channels`."""
    found = state.users.get(int(call.body["recipient_id"]))
    if found is None or found is state.bot:
        raise Refusal(50033)
    return 200, state.open_dm(found).payload()


def channel(state: State, call: Request) -> Answer:
    """`GET /channels/{channel_id}`."""
    return 200, state.find_channel(call.params["channel_id"]).payload()


def typing(state: State, call: Request) -> Answer:
    """`POST /channels/{channel_id}/typing`."""
    state.typing.append(state.find_channel(call.params["channel_id"], needs=1 << 11))
    return 204, None
