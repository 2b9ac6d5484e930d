"""What a class or function must look like to be used: as a stage of a chain, or as commands of the chat.

Looked at only; nothing is called. Where things are found and imported is the registry's matter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pipelines.keywords import takes
from pipelines.transform import Fetcher, Sink
from pipelines.wording import suggestion

METHODS = {"__call__": ("self", "items"), "fetch": ("self",), "handle": ("self", "item")}
"""The methods of a stage's class that a run calls, with their arguments."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One way to be used: its `noun` for people, and `why_not`, which says why something does not qualify, or None."""

    noun: str
    why_not: Callable[[Any], str | None]

    def offer(self, module: ModuleType, name: str) -> str:
        """Say what a module has of this kind, the one nearest to `name` first of all."""
        names = sorted({*dir(module), *getattr(module, "__all__", ())})
        known = [each for each in names if self._is_offered(module, each)]
        return suggestion(name, known) if known else "it has none"

    def _is_offered(self, module: ModuleType, name: str) -> bool:
        value = vars(module).get(name)
        if name.startswith("_") or (value is None and name not in getattr(module, "__all__", ())):
            return False
        home = getattr(value, "__module__", module.__name__)
        return value is None or (home.startswith(module.__name__) and self.why_not(value) is None)


def _why_no_stage(target: Any) -> str | None:
    """Return why this is neither a stage's class nor a function that can be a stage, or None.

    A class counts when it is a `Transform`, or when its instances have `fetch`, `handle`, or a `__call__` that is not a
    plain generator: it may have been written against another codebase with the same contract.
    """
    if isinstance(target, type):
        return _why_no_stage_class(target)
    if not inspect.isfunction(target):
        return f"it is {_article(type(target).__name__)}, neither a class nor a function"
    parameters = list(inspect.signature(target).parameters.values())
    if not parameters or parameters[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        return "a function's first parameter is the item, and it has none"
    return None


def _why_no_stage_class(target: type) -> str | None:
    name = _entry(target)
    if name is None:
        return "a class needs an async iterator __call__(self, items), or fetch, or handle"
    method = getattr(target, name)
    remedy = f"write 'async def {name}({', '.join(METHODS[name])})'"
    if name == "__call__" and inspect.isgeneratorfunction(method):
        return f"its __call__ is a plain generator; {remedy}"
    return None if takes(method, len(METHODS[name])) else f"its {name} takes other arguments; {remedy}"


def _entry(target: type) -> str | None:
    """Return the name of the method of a class's own that a run calls, or None."""
    home = next((each for each in target.__mro__ if "__call__" in vars(each)), None)
    if home is not None:
        inherited: dict[type, str] = {Fetcher: "fetch", Sink: "handle"}
        return inherited.get(home, "__call__")
    return next((name for name in ("fetch", "handle") if callable(getattr(target, name, None))), None)


def _why_no_commands(target: Any) -> str | None:
    if not isinstance(target, type):
        return f"it is {_article(type(target).__name__)}, not a class"
    # Looked up in the classes themselves: every abstract one has another `register`, of its metaclass.
    register = next((vars(each)["register"] for each in target.__mro__ if "register" in vars(each)), None)
    if register is None or not takes(register, 2):
        return "a class of commands needs 'def register(self, bot)'"
    if inspect.iscoroutinefunction(register):
        return "its register is async; what has to wait belongs into 'async def setup(self, bot)'"
    try:
        inspect.signature(target).bind()
    except TypeError:
        return "its constructor must need no arguments"
    except ValueError:  # its signature is not known
        return None
    return None


def _article(word: str) -> str:
    return f"an {word}" if word[0].lower() in "aeiou" else f"a {word}"


STAGE = Contract("stage", _why_no_stage)
COMMANDS = Contract("class of commands", _why_no_commands)
