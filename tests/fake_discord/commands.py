"""The commands that a bot registered, and how Discord's own client turns what one typed into their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fake_discord.clock import Snowflakes
from tests.fake_discord.world import Channel, Guild, Member, Role, User

SUBCOMMAND, GROUP = 1, 2
KINDS: Mapping[int, tuple[type, ...]] = {
    3: (str,),
    4: (int,),
    5: (bool,),
    6: (Member, User),
    7: (Channel,),
    8: (Role,),
    9: (Member, User, Role),
    10: (float, int),
}
"""Kind of option to the Python values that a test gives for it."""


class Commands:
    """Registered commands by scope: a guild's id, or None for the global ones."""

    def __init__(self, ids: Snowflakes, application_id: int) -> None:
        self._ids, self._application_id = ids, application_id
        self._scopes: dict[int | None, list[dict[str, Any]]] = {}

    def within(self, scope: int | None) -> list[dict[str, Any]]:
        """The commands of a scope as Discord answers them."""
        return self._scopes.get(scope, [])

    def put(self, scope: int | None, commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Replace a scope; a command that keeps its name keeps its id."""
        ids = {(command["type"], command["name"]): command["id"] for command in self.within(scope)}
        self._scopes[scope] = [self._registered(command, scope, ids) for command in commands]
        return self._scopes[scope]

    def _registered(self, command: Mapping[str, Any], scope: int | None, ids: Mapping[Any, str]) -> dict[str, Any]:
        known = ids.get((command.get("type", 1), command["name"]))
        fixed: dict[str, Any] = {"id": known or str(self._ids.next()), "application_id": str(self._application_id)}
        fixed |= {"version": str(self._ids.next()), "default_member_permissions": None, "type": 1, "description": ""}
        told = {key: value for key, value in command.items() if value is not None}
        if isinstance(bits := told.get("default_member_permissions"), int):
            told["default_member_permissions"] = str(bits)
        return fixed | told | ({"guild_id": str(scope)} if scope else {})

    def find(self, name: str, guild: Guild | None) -> dict[str, Any]:
        """Raises: LookupError: nobody registered it, so that nobody could type it."""
        own = self.within(guild.id) if guild else []
        every = [*own, *self.within(None)]
        found = next((command for command in every if command["name"] == name), None)
        if found is None:
            raise LookupError(f"no command {name!r} is registered; there are {[command['name'] for command in every]}")
        return found


def invocation(
    command: Mapping[str, Any], path: Sequence[str], values: Mapping[str, Any], *, focused: str | None = None
) -> dict[str, Any]:
    """The `data` of a command or autocomplete interaction.

    Args:
        command: As registered.
        path: Names of the subcommand, outermost first.
        values: What was filled in, by option name.
        focused: The option that is being typed; nothing need be complete then.

    Raises:
        LookupError: An option or subcommand does not exist.
        ValueError: Discord's client would not have let one send this.
    """
    level: Mapping[str, Any] = command
    for name in path:
        level = _option(level, name)
    known = {option["name"] for option in level.get("options") or []}
    if unknown := set(values) - known:
        raise LookupError(f"/{command['name']} has no option {sorted(unknown)}; it has {sorted(known)}")
    resolved: dict[str, dict[str, Any]] = {}
    options = [
        _filled(option, values[option["name"]], focused, resolved)
        for option in level.get("options") or []
        if _given(option, values, focused)
    ]
    for name in reversed(path):
        options = [{"name": name, "type": GROUP if _is_group(options) else SUBCOMMAND, "options": options}]
    data = {"id": command["id"], "name": command["name"], "type": command["type"], "options": options}
    data |= {"guild_id": command["guild_id"]} if "guild_id" in command else {}
    return data | ({"resolved": resolved} if resolved else {})


def _option(level: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    options: Sequence[Mapping[str, Any]] = level.get("options") or []
    found = next((option for option in options if option["name"] == name), None)
    if found is None:
        raise LookupError(f"{level['name']!r} has no subcommand {name!r}")
    return found


def _is_group(options: Sequence[Mapping[str, Any]]) -> bool:
    return any(option["type"] == SUBCOMMAND for option in options)


def _given(option: Mapping[str, Any], values: Mapping[str, Any], focused: str | None) -> bool:
    if option["name"] in values:
        return True
    if option.get("required") and focused is None:
        raise ValueError(f"option {option['name']!r} is required")
    return False


def _filled(
    option: Mapping[str, Any], value: Any, focused: str | None, resolved: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    name, kind = option["name"], option["type"]
    if name == focused:
        return {"name": name, "type": kind, "value": str(value), "focused": True}
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != 5):
        raise ValueError(f"option {name!r} takes {KINDS[kind]}, not {value!r}")
    if focused is None:
        _within_bounds(option, value)
    if kind in {3, 4, 5, 10}:
        return {"name": name, "type": kind, "value": value}
    return {"name": name, "type": kind, "value": _resolve(value, resolved)}


def _within_bounds(option: Mapping[str, Any], value: Any) -> None:
    allowed = [choice["value"] for choice in option.get("choices") or []]
    if allowed and value not in allowed:
        raise ValueError(f"option {option['name']!r} is one of {allowed}, not {value!r}")
    size = len(value) if isinstance(value, str) else value
    kind = "length" if isinstance(value, str) else "value"
    low, high = option.get(f"min_{kind}"), option.get(f"max_{kind}")
    if (low is not None and size < low) or (high is not None and size > high):
        raise ValueError(f"option {option['name']!r}: {value!r} is not within {low} and {high}")


def _resolve(value: Any, resolved: dict[str, dict[str, Any]]) -> str:
    number = str(value.id)
    if isinstance(value, Member):
        resolved.setdefault("users", {})[number] = value.user.payload()
        member = {key: part for key, part in value.payload().items() if key != "user"}
        resolved.setdefault("members", {})[number] = member | {"permissions": str(value.permissions)}
        return number
    name = {User: "users", Role: "roles", Channel: "channels"}[type(value)]
    extra = {"permissions": "0"} if isinstance(value, Channel) else {}
    resolved.setdefault(name, {})[number] = value.payload() | extra
    return number
