"""Pipelines made in Python: steps in a chain, functions by name, and how both become definitions like those of a file.

Nothing runs here: `scheduler` registers what is made here and runs it through the engine, like all pipelines.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self, TypedDict, TypeVar, Unpack

from pydantic import ValidationError

from pipelines.callables import CONTEXT, PREFIX, Own, check_callable, name_of, same
from pipelines.contracts import STAGE
from pipelines.definition import PipelineDefinition
from pipelines.errors import ConfigError, InvalidTransition, PipecallError, Problem, nearest
from pipelines.faults import faults
from pipelines.references import reference_to
from pipelines.wording import one_of, quoted

Function = TypeVar("Function", bound=Callable[..., Any])


class PipelineOptions(TypedDict, total=False):
    """What holds for the runs of a pipeline made in Python; the names and values are those of a pipelines file."""

    executor: str
    """`thread` (the default), `process` or `inline`."""
    timeout: float | str | timedelta
    """Longest time for one attempt: seconds, text such as `5m`, or a timedelta."""
    retry: int | Mapping[str, Any]
    """Tries in all, or `{"attempts": 3, "delay": 60, "backoff": 2, …}`; what is not said is as the settings have it."""
    max_instances: int
    """Runs of it that may go on at once."""
    overlap: str
    """`queue`, `skip`, `queue_all`, `cancel_running` or `allow`."""
    pool: str
    """The pool that its runs take a place in."""
    queue: str
    """The queue its runs wait in: workers serve all queues, or those that they name."""
    priority: int
    """Of the runs that wait, those of a higher priority start first; from -100 to 100."""
    on_crash: str
    """After its process died: `retry` or `fail`."""
    description: str
    """What it is for, for people."""


OPTIONS = tuple(PipelineOptions.__annotations__)


class Definition(PipelineDefinition):
    """The definition of a pipeline made in Python: any values may be given to its runs."""

    @property
    def open_params(self) -> bool:
        """Its callables say what they take, and are asked."""
        return True


@dataclass(frozen=True, slots=True)
class Made:
    """A pipeline as the engine takes it: its definition, and what the class paths in its chain stand for."""

    definition: Definition
    own: Mapping[str, Own] = field(default_factory=dict)

    @property
    def first(self) -> Own | None:
        """What is called with the values of a run; None where that is a stage which takes none."""
        own = self.own.get(self.definition.chain[0].path)
        return own if own is not None and own.called else None


class Pipeline:
    """A chain of steps made in Python: `Pipeline("etl").add_step(extract).add_step(clean).add_step(store)`.

    Register it with `PipelineScheduler.register`, then schedule or run it by its name.
    """

    def __init__(self, name: str, **options: Unpack[PipelineOptions]) -> None:
        """Name it; `options` are `PipelineOptions`. What is wrong with them is told when it is registered."""
        self.name = name
        self._options = options
        self._steps: list[tuple[str, Own | None, Mapping[str, Any]]] = []

    def add_step(self, step: Callable[..., Any] | type | str, /, **kwargs: Any) -> Self:
        """Add a step to the end of the chain, and return the pipeline.

        Args:
            step: a function of an item (plain, async, or with `yield`; None drops the item), a class of stages such as
                a `Fetcher`, `Transform` or `Sink`, or the class path of one, as in a pipelines file. The first step may
                be a function without parameters, or with one called `context`, which is given the run's values.
            kwargs: its keyword arguments: JSON values, `${NAME}` in them is read from the environment at each run.

        Raises:
            PipecallError: it cannot be a step, or a keyword argument is no JSON.
        """
        check_json(f"step {step if isinstance(step, str) else name_of(step)}", kwargs)
        if isinstance(step, str):
            self._steps.append((step, None, kwargs))
            return self
        called = self._is_called(step)
        why_not = None if called else STAGE.why_not(step)
        if why_not is not None:
            raise PipecallError(f"{name_of(step)} cannot be a step: {why_not}")
        path = f"{PREFIX}{self.name}.{len(self._steps) + 1}.{name_of(step)}"
        self._steps.append((path, Own(step, called=called), kwargs))
        return self

    def _is_called(self, step: Any) -> bool:
        """Tell whether a step takes no item but, at most, the run's values: only the first one may."""
        if self._steps or not inspect.isroutine(step):
            return False
        parameters = list(inspect.signature(step).parameters)
        return not parameters or parameters[0] == CONTEXT

    def made(self) -> Made:
        """Return it as the engine takes it.

        Raises:
            ConfigError: all that is wrong with its name and options.
            PipecallError: with `executor="process"`, a step that a worker process could not find.
        """
        chain = [{"class": path, "kwargs": dict(kwargs)} for path, _, kwargs in self._steps]
        own = {path: own for path, own, _ in self._steps if own is not None}
        return _made(self.name, chain, own, self._options)


def made_of(name: str, own: Own, options: PipelineOptions) -> Made:
    """Return the pipeline whose one stage calls a callable.

    Raises:
        ConfigError: all that is wrong with its name and options.
        PipecallError: it is no callable, or one that a worker process could not find.
    """
    check_callable(own.target)
    if options.get("executor") == "process":
        check_json(f"what {name} is called with", {"args": list(own.args), **own.kwargs})
    called = name_of(own.target)
    path = f"{PREFIX}{name}.{called if called.isidentifier() else 'lambda'}"
    return _made(name, [{"class": path}], {path: own}, options)


def _made(name: str, chain: list[dict[str, Any]], own: Mapping[str, Own], options: PipelineOptions) -> Made:
    check_known(options, OPTIONS, f"pipeline {name}")
    retry = options.get("retry")
    given: dict[str, Any] = {"executor": "thread", **options, "name": name, "chain": chain}
    if retry is not None:
        given["retry"] = {"attempts": retry} if isinstance(retry, int) else retry
    if isinstance(given.get("timeout"), timedelta):
        given["timeout"] = given["timeout"].total_seconds()
    try:
        definition = Definition.model_validate(given)
    except ValidationError as error:
        found = faults(error, Definition)
        raise ConfigError(Problem(words, path=".".join(map(str, (name, *way)))) for way, words in found) from None
    if definition.executor == "process":
        for each in own.values():
            reference_to(each.target)
    return Made(definition, own)


def check_known(options: Mapping[str, Any], known: tuple[str, ...], what: str) -> None:
    """Let options pass whose names are known.

    Raises:
        PipecallError: one is not; the nearest is named.
    """
    for name in options:
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean '{close}'?" if close else f"known are {one_of(known)}"
            raise PipecallError(f"{what}: unknown option {quoted(name)}; {hint}")


def check_json(what: str, values: Mapping[str, Any]) -> None:
    """Let values pass that are JSON.

    Raises:
        PipecallError: one is not, or its name is no text; `what` says whose it is.
    """
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise PipecallError(f"{what}: expected a mapping of names to values, found {values!r:.80}")
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise PipecallError(
                f"{what}: '{name}' is {type(value).__name__}, not JSON; make it inside the function, or give text, "
                "numbers, lists and mappings of them"
            ) from None


# A decorator runs when its module is imported, before any scheduler is there to be told: nowhere else to keep it.
_REGISTERED: dict[str, Made] = {}


def register_pipeline(name: str, **options: Unpack[PipelineOptions]) -> Callable[[Function], Function]:
    """Make a function a pipeline that every `PipelineScheduler` of this program knows by `name`.

    It is called once in each run: with the run's values by the names of its parameters, or all of them as a mapping in
    a parameter called `context`. `options` are `PipelineOptions`.

    Raises:
        ConfigError: all that is wrong with name and options.
        InvalidTransition: another function has that name.
    """

    def registered(function: Function) -> Function:
        before = _REGISTERED.get(name)
        if before is not None and before.first is not None and not same(before.first.target, function):
            raise InvalidTransition(f"a pipeline is registered as '{name}' already; give this one another name")
        _REGISTERED[name] = made_of(name, Own(function, called=True), options)
        return function

    return registered


def registered_pipelines() -> Mapping[str, Made]:
    """Return what `register_pipeline` has made pipelines so far, by name."""
    return dict(_REGISTERED)
