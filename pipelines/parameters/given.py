"""Values that people and schedules give for the parameters of a pipeline: read from text, checked, completed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from pipelines.errors import BadParameter
from pipelines.model import JSON
from pipelines.parameters.declarations import declared, defaults
from pipelines.parameters.parameter import LONGEST, Parameter, named
from pipelines.schedule_definition import ScheduleDefinition
from pipelines.wording import quoted, suggestion

_PLAIN_TYPES = MappingProxyType({bool: "flag", int: "int", float: "number", str: "text"})
_PAIR = re.compile(
    r"""(?P<name>[A-Za-z_][\w.-]*)=(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|“(?P<curly>[^”]*)”"""
    r"""|‘(?P<curl>[^’]*)’|(?P<bare>[^\s"'“‘][^\s]*)?)(?=\s|$)""",
    re.DOTALL,
)


class Takes(Protocol):
    """A pipeline's definition, as far as its parameters go."""

    @property
    def name(self) -> str:
        """The pipeline's name."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Its declarations and plain defaults."""

    @property
    def schedules(self) -> tuple[ScheduleDefinition, ...]:
        """Its schedules, whose parameters go over its own."""

    @property
    def open_params(self) -> bool:
        """Whether its runs take any values, known or not."""


def complete(params: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a run: the defaults, and over them those that were given and checked before.

    Raises:
        BadParameter: a declaration is wrong, or a required value is missing.
    """
    values = {**defaults(params), **given}
    missing = [message for name, message in faults(params, {}) if name not in values]
    if missing:
        raise BadParameter(missing)
    return values


def faults(params: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and message of each value in `given` that does not fit `params`, and of each that is missing."""
    known = declared(params)
    for name, value in given.items():
        if name not in params:
            yield name, f"there is no parameter {quoted(name)}; {suggestion(name, list(params))}"
            continue
        try:
            _value(name, value, known, params)
        except ValueError as error:
            yield name, f"parameter {quoted(name)}: {error}"
    for name, parameter in known.items():
        if parameter.required and name not in given:
            yield name, f"the parameter {quoted(name)} is missing: {parameter.expected}"


def check(params: Mapping[str, Any], given: Mapping[str, Any], *, pipeline: str = "") -> dict[str, JSON]:
    """Return the values in `given` as JSON of the declared types; of undeclared ones, of the type of their default.

    Args:
        params: as the pipeline has them: declarations and plain defaults.
        given: names and values, which may be text as it was typed.
        pipeline: the pipeline's name, for people.

    Raises:
        BadParameter: names that are not known, values that do not fit, required ones that are missing: all at once.
    """
    problems = [message for _, message in faults(params, given)]
    if problems and not params:
        problems = [f"it takes no parameters; leave out {', '.join(map(quoted, given))}"]
    if problems:
        raise BadParameter(problems, pipeline=pipeline)
    known = declared(params)
    return {name: _value(name, value, known, params) for name, value in given.items()}


def check_for(definition: Takes, given: Mapping[str, Any]) -> dict[str, JSON]:
    """Return the values that somebody gives for a run of a pipeline, as `check` does.

    Raises:
        BadParameter: see `check`.
    """
    if definition.open_params:
        return dict(given)
    more = {name: value for each in definition.schedules for name, value in each.params.items()}
    return check({**more, **definition.params}, given, pipeline=definition.name)


def parse_text(text: str) -> dict[str, str]:
    """Return names and values of a text such as `region=eu note='two words'`; quotes are for values with spaces.

    Raises:
        BadParameter: it cannot be read; the message names the place. Nothing of it is ever a command.
    """
    if len(text) > LONGEST:
        raise BadParameter([f"{len(text):,} characters are too many; at most {LONGEST:,} can be read"])
    values: dict[str, str] = {}
    place = len(text) - len(text.lstrip())
    while place < len(text):
        pair = _PAIR.match(text, place)
        if pair is None:
            where = f"character {place + 1}, {quoted(text[place : place + 20])}"
            raise BadParameter([f"{where}: expected name=value without spaces, or with the value in quotes"])
        if pair["name"] in values:
            raise BadParameter([f"character {place + 1}: {quoted(pair['name'])} is given twice; leave one out"])
        double = re.sub(r"\\(.)", r"\1", pair["double"], flags=re.DOTALL) if pair["double"] is not None else None
        written = (double, *pair.group("single", "curly", "curl", "bare"))
        values[pair["name"]] = next((each for each in written if each is not None), "")
        place = pair.end()
        place += len(text[place:]) - len(text[place:].lstrip())
    return values


def _value(name: str, value: Any, known: Mapping[str, Parameter], params: Mapping[str, Any]) -> JSON:
    if name in known:
        return known[name].read(value)
    plain = params[name]
    if type(plain) in _PLAIN_TYPES:
        return Parameter(name, _PLAIN_TYPES[type(plain)]).read(value)
    if plain is None or type(value) is type(plain):
        result: JSON = value
        return result
    raise ValueError(f"found {named(value)}; expected a {'mapping' if isinstance(plain, dict) else 'list'}")
