"""Can what one pipeline names be used? Class paths, keyword arguments and variables, looked at before any run.

Values are checked as the file has them; `${NAME}` is text whatever it stands for, and what it stands for is never
shown. Built-in stages are built as well, since their constructors do nothing but check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines import variables
from pipelines.definition import StageDefinition
from pipelines.errors import PipecallError
from pipelines.model import StageSpec
from pipelines.registry import BUILT_IN, Registry
from pipelines.yaml_values import KeyPath


class StageChecks:
    """The checks of one loading; a class path that failed is not imported again in it."""

    def __init__(self, registry: Registry, env: Mapping[str, str]) -> None:
        """`env` is what `${NAME}` is read from."""
        self._registry = registry
        self._env = env
        self._failed: dict[str, str] = {}

    def faults(self, stage: StageDefinition) -> Iterator[tuple[KeyPath, str]]:
        """Yield the way (from the stage on) and the message of each thing that keeps it from being built."""
        reason = self._why_unusable(stage.path)
        if reason is not None:
            yield ("class",), reason
            return
        complaints = self._registry.faults(stage.path, stage.kwargs)
        for name, message in complaints:
            yield ("class",) if name is None else ("kwargs", name), message
        if not complaints and stage.path.startswith((f"{BUILT_IN}.", "bot.sink.")):
            yield from self._build_faults(stage)

    def fault_of_commands(self, path: str) -> str | None:
        """Return why this class path cannot add commands to the chat, or None."""
        try:
            self._registry.commands(path)
        except PipecallError as error:
            return str(error)
        return None

    def _why_unusable(self, path: str) -> str | None:
        if path not in self._failed:
            try:
                self._registry.resolve(path)
            except PipecallError as error:
                self._failed[path] = str(error)
        return self._failed.get(path)

    def _build_faults(self, stage: StageDefinition) -> Iterator[tuple[KeyPath, str]]:
        uses = variables.uses(stage.kwargs, self._env)
        if uses.faults:
            return
        try:
            self._registry.build(StageSpec(stage.path, variables.filled(stage.kwargs, self._env)))
        except PipecallError as error:
            message = variables.masked(str(error), self._env, uses.names)
            yield _nearest_place(message.removeprefix(f"{stage.path}: "), stage.kwargs), message


def _nearest_place(said: str, kwargs: Mapping[str, Any]) -> KeyPath:
    """Return the keyword that a constructor's text begins with, else the stage's class."""
    words = said.split(maxsplit=1)
    name = words[0].strip("'\":=") if words else ""
    return ("kwargs", name) if name in kwargs else ("class",)
