"""What Discord refuses in commands, autocomplete choices and modals, beside what `limits` says of messages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fake_discord.limits import check_components
from tests.fake_discord.refusal import Mistakes

NAME = re.compile(r"^[-_'\w]{1,32}$")
SUBCOMMANDS = (1, 2)


def check_commands(commands: Any) -> None:
    """Check the whole list of a sync.

    Raises:
        Refusal: 50035 with each mistake under the command's index.
    """
    mistakes = Mistakes()
    mistakes.length((), commands, 0, 130)
    seen: set[tuple[int, str]] = set()
    for index, command in enumerate(commands):
        kind = command.get("type", 1)
        if kind == 1:
            _chat_command(command, (index,), mistakes)
        else:
            mistakes.length((index, "name"), command.get("name") or "", 1, 32)
        if (kind, command.get("name")) in seen:
            text = "Application command names must be unique"
            mistakes.add((index,), text, code="APPLICATION_COMMANDS_DUPLICATE_NAME")
        seen.add((kind, command.get("name")))
    for kind, most in ((1, 100), (2, 15), (3, 15)):
        if sum(command.get("type", 1) == kind for command in commands) > most:
            mistakes.add((), f"Maximum number of application commands reached ({most}).", code="30032")
    mistakes.refuse()


def _chat_command(command: Mapping[str, Any], at: tuple[str | int, ...], mistakes: Mistakes) -> None:
    _named(command, at, mistakes)
    _options(command.get("options") or [], at, mistakes)
    if sum(map(len, _texts(command))) > 8000:
        text = "Command exceeds maximum size (8000)"
        mistakes.add(at, text, code="APPLICATION_COMMAND_TOO_LARGE")


def _named(thing: Mapping[str, Any], at: tuple[str | int, ...], mistakes: Mistakes) -> None:
    name = thing.get("name") or ""
    if not NAME.fullmatch(name) or name != name.lower():
        text = "Command name is invalid"
        mistakes.add((*at, "name"), text, code="APPLICATION_COMMAND_INVALID_NAME")
    mistakes.length((*at, "description"), thing.get("description") or "", 1, 100)


def _options(options: Any, at: tuple[str | int, ...], mistakes: Mistakes) -> None:
    mistakes.length((*at, "options"), options, 0, 25)
    names = [option.get("name") for option in options]
    if len(set(names)) < len(names):
        mistakes.add((*at, "options"), "Option names must be unique", code="APPLICATION_COMMAND_OPTIONS_NAME_DUPLICATE")
    optional_seen = False
    for index, option in enumerate(options):
        path = (*at, "options", index)
        _named(option, path, mistakes)
        if option.get("type") in SUBCOMMANDS:
            _options(option.get("options") or [], path, mistakes)
            continue
        if option.get("required") and optional_seen:
            text = "Required options must be placed before non-required options"
            mistakes.add(path, text, code="APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID")
        optional_seen = optional_seen or not option.get("required")
        _choices(option.get("choices") or [], (*path, "choices"), mistakes)


def _texts(thing: Mapping[str, Any]) -> Iterator[str]:
    yield from (str(thing.get(name) or "") for name in ("name", "description", "value"))
    for inside in [*(thing.get("options") or []), *(thing.get("choices") or [])]:
        yield from _texts(inside)


def _choices(choices: Any, at: tuple[str | int, ...], mistakes: Mistakes) -> None:
    mistakes.length(at, choices, 0, 25)
    for index, choice in enumerate(choices):
        mistakes.length((*at, index, "name"), choice.get("name") or "", 1, 100)
        if isinstance(choice.get("value"), str):
            mistakes.length((*at, index, "value"), choice["value"], 1, 100)


def check_choices(choices: Any) -> None:
    """Raises: Refusal: 50035 where an autocomplete answer is too long."""
    mistakes = Mistakes()
    _choices(choices or [], ("data", "choices"), mistakes)
    mistakes.refuse()


def check_modal(modal: Mapping[str, Any]) -> None:
    """Raises: Refusal: 50035 where a modal is too long, empty, or lacks its custom id."""
    mistakes = Mistakes()
    mistakes.length(("data", "title"), modal.get("title") or "", 1, 45)
    mistakes.length(("data", "custom_id"), modal.get("custom_id") or "", 1, 100)
    rows = modal.get("components") or []
    mistakes.length(("data", "components"), rows, 1, 5)
    for index, row in enumerate(rows):
        at: tuple[str | int, ...] = ("data", "components", index)
        mistakes.length((*at, "label"), row.get("label"), 1, 45)
        mistakes.length((*at, "description"), row.get("description"), 0, 100)
        field = row.get("component") or {}
        mistakes.length((*at, "component", "placeholder"), field.get("placeholder"), 0, 100)
        mistakes.length((*at, "component", "value"), field.get("value"), 0, 4000)
    check_components(rows, mistakes)
    mistakes.refuse()
