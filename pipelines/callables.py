"""What a program hands over in Python: its callables, and how they are called with the context of a run.

A callable is called once for each item that comes in, which is once in a run where it stands alone. Where it is found
by its path is the registry's matter; pipelines made of callables are in `pipeline`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipelines.errors import BadParameter, PipecallError
from pipelines.keywords import Keywords, keywords_of
from pipelines.references import Reference, reference_to
from pipelines.transform import current_run

PREFIX = "callable:"
"""Begins the class path of what a program registered itself; no importable thing has a name like it."""
CONTEXT = "context"
"""A parameter of this name is given all values of the run, as a mapping."""


@dataclass(frozen=True, slots=True)
class Own:
    """Something that the program registered: a stage's function or class, or (`called`) a callable of its own.

    `args` and `kwargs` are handed to a callable at each call. `reference` is where worker processes find it, None where
    they need not or cannot.
    """

    target: Any
    called: bool = False
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    reference: Reference | None = None

    def build(self, kwargs: Mapping[str, Any]) -> Any:
        """Return the stage; `kwargs` are those of the chain."""
        if self.called:
            return Called(self.target, self.args, {**self.kwargs, **kwargs})
        if isinstance(self.target, type):
            return self.target(**kwargs)
        return partial(self.target, **kwargs) if kwargs else self.target

    @property
    def keywords(self) -> Keywords | None:
        """The keyword arguments that the chain may give it; None where that cannot be told."""
        if self.called:
            return None
        return keywords_of(self.target, item_first=not isinstance(self.target, type))

    def as_json(self) -> dict[str, Any]:
        """Return what a worker process must know of it, as JSON.

        Raises:
            PipecallError: a worker process could not find it.
        """
        reference = self.reference or reference_to(self.target)
        return {
            "called": self.called,
            "args": list(self.args),
            "kwargs": dict(self.kwargs),
            "reference": reference.as_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Own:
        """Find what `as_json` described; its module is imported. Raises what that does."""
        reference = Reference.from_json(data["reference"])
        return cls(reference.load(), data["called"], tuple(data["args"]), data["kwargs"], reference)


class OwnStages:
    """What the program registered itself, by class path. May be used from any thread."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._own: dict[str, Own] = {}
        self._referred: dict[str, Mapping[str, Any]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._own or path in self._referred

    def register(self, path: str, own: Own) -> None:
        """Let `path` stand for this; what it stood for before is forgotten."""
        self._own[path] = own

    def discard(self, path: str) -> None:
        """Forget it; a path that is not there is fine."""
        self._own.pop(path, None)

    def refer(self, path: str, data: Mapping[str, Any]) -> None:
        """Let `path` stand for what `as_json` of another process described; it is looked for when it is needed."""
        if self._referred.get(path) != data:
            self._referred[path] = data
            self._own.pop(path, None)

    def get(self, path: str) -> Own | None:
        """Return what `path` stands for, or None. Raises whatever importing it raises."""
        if path not in self._own and path in self._referred:
            self._own[path] = Own.from_json(self._referred[path])
        return self._own.get(path)

    def as_json(self, paths: Iterable[str]) -> dict[str, Any]:
        """Return what a worker process must know of those of `paths` that are registered.

        Raises:
            PipecallError: a worker process could not find one of them.
        """
        return {path: own.as_json() for path in paths if (own := self._own.get(path)) is not None}


class Called:
    """A stage that calls a callable for each item, with the values of the run; what it returns is an item, or yields.

    A value that is not None counts as one item. What an async function returns is awaited, of a generator all is taken.
    """

    def __init__(self, target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Call `target` with `args`, `kwargs`, and what it takes of the run's values."""
        self.__name__ = name_of(target)
        self._target, self._args, self._kwargs = target, args, kwargs

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield what the calls give."""
        async for _ in items:
            given = arguments(self._target, self._args, self._kwargs, current_run().params)
            result = self._target(*self._args, **given)
            if inspect.isawaitable(result):
                result = await result
            if inspect.isasyncgen(result):
                async for out in result:
                    yield out
            elif inspect.isgenerator(result):
                for out in result:
                    yield out
            elif result is not None:
                yield result


def arguments(
    target: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], context: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the keyword arguments of a call: `kwargs`, and the context, whole or by name, where they do not say it."""
    takes = keywords_of(target, item_first=False)
    if takes is None:
        return {**context, **kwargs}
    free = list(takes.parameters)[len(args) :]
    given = {name: value for name, value in context.items() if name in free or takes.open_ended}
    if CONTEXT in free and CONTEXT not in context:
        given[CONTEXT] = dict(context)
    return {**given, **kwargs}


def check_call(name: str, own: Own, context: Mapping[str, Any]) -> None:
    """Let a context pass that a callable can be called with.

    Raises:
        BadParameter: all that is missing or unknown, or of another type than the callable's annotations say.
    """
    takes = keywords_of(own.target, item_first=False) if own.called else None
    problems = list(_problems(takes, own, context)) if takes is not None else []
    if problems:
        raise BadParameter(problems, pipeline=name)


def _problems(takes: Keywords, own: Own, context: Mapping[str, Any]) -> Iterator[str]:
    parameters = dict(list(takes.parameters.items())[len(own.args) :])
    if CONTEXT in parameters and CONTEXT not in context:
        # It is given everything, so nothing is unknown; what else it asks for must be there.
        context = {**{key: value for key, value in context.items() if key in parameters}, CONTEXT: dict(context)}
    given = {**context, **own.kwargs}
    for _, message in Keywords(parameters, takes.open_ended).faults(given):
        yield message.replace("the keyword", "the parameter").replace("unknown keyword", "unknown parameter")


def name_of(target: Any) -> str:
    """Return the name of a function or class, or of an object's class."""
    while isinstance(target, partial):
        target = target.func
    return str(getattr(target, "__name__", None) or type(target).__name__)


def same(one: Any, other: Any) -> bool:
    """Tell whether two callables are the same, or the newer and the older of one definition."""
    if one == other:
        return True
    code, another = getattr(one, "__code__", None), getattr(other, "__code__", None)
    if "<" in getattr(one, "__qualname__", "<"):  # lambdas and inner functions share their names
        return code is not None and code == another
    home = (one.__module__, one.__qualname__)
    return home == (getattr(other, "__module__", None), getattr(other, "__qualname__", None))


def check_callable(target: Any) -> None:
    """Let pass what can be called for a run.

    Raises:
        PipecallError: it is no callable, or a class of stages.
    """
    if not callable(target) or isinstance(target, type):
        raise PipecallError(
            f"found {'the class ' if isinstance(target, type) else ''}{name_of(target)}; expected a function or "
            "another callable. A class of stages belongs into a Pipeline(...).add_step(...)"
        )
