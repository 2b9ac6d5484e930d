"""`${NAME}` in values: which names a value asks for, and the value with them filled in. `$${` stands for `${` itself.

Only whole texts inside lists and mappings are looked at, never their keys. Which values may use variables is for those
who call to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.errors import PipecallError
from pipelines.wording import quoted
from pipelines.yaml_values import KeyPath

_USE = re.compile(r"\$(?P<escape>\$)?\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})?")


@dataclass(frozen=True, slots=True)
class Uses:
    """What a value asks of the environment: names, and way and message for each that cannot be had."""

    names: frozenset[str] = frozenset()
    faults: tuple[tuple[KeyPath, str], ...] = ()


NO_USES = Uses()


def uses(value: Any, env: Mapping[str, str], path: KeyPath = ()) -> Uses:
    """Find each `${NAME}` in `value`; at fault are names that `env` does not have and `${` not followed by a name."""
    texts: list[tuple[KeyPath, str]] = []
    _gather(value, path, texts)
    if not texts:
        return NO_USES
    names, faults = set(), []
    for where, text in texts:
        for use in _USE.finditer(text):
            if use["name"] and not use["escape"]:
                names.add(use["name"])
            fault = _fault(use, env)
            if fault is not None:
                faults.append((where, fault))
    return Uses(frozenset(names), tuple(faults))


def _fault(use: re.Match[str], env: Mapping[str, str]) -> str | None:
    if use["escape"] or (use["name"] and use["name"] in env):
        return None
    if use["name"]:
        return f"the environment variable {use['name']} is not set; set it, or write $${{ for ${{ itself"
    return f"found {quoted(use.string[use.start() :])}; expected ${{NAME}}, or $${{ for the characters ${{"


def filled(value: Any, env: Mapping[str, str]) -> Any:
    """Return a copy of `value` in which each `${NAME}` is replaced by what `env` has.

    Raises:
        PipecallError: a name is not set.
    """
    if isinstance(value, str):
        return _USE.sub(lambda use: _replacement(use, env), value) if "${" in value else value
    if isinstance(value, dict):
        return {key: filled(each, env) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [filled(each, env) for each in value]
    return value


def masked(text: str, env: Mapping[str, str], used: Iterable[str]) -> str:
    """Return `text` with the values of the `used` names turned back into `${NAME}`, for showing it."""
    for name in sorted(used, key=lambda name: -len(env.get(name, ""))):
        if env.get(name):
            text = text.replace(env[name], f"${{{name}}}")
    return text


def _replacement(use: re.Match[str], env: Mapping[str, str]) -> str:
    if use["escape"]:
        return use.group()[1:]
    if not use["name"]:
        return use.group()
    if use["name"] not in env:
        raise PipecallError(f"the environment variable {use['name']} is not set")
    return env[use["name"]]


def _gather(value: Any, path: KeyPath, texts: list[tuple[KeyPath, str]]) -> None:
    if isinstance(value, str):
        if "${" in value:
            texts.append((path, value))
    elif isinstance(value, dict):
        for key, each in value.items():
            _gather(each, (*path, key), texts)
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            _gather(each, (*path, place), texts)
