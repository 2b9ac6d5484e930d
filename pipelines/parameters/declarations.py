"""Declarations of parameters, read from the `params` of a pipeline, and all that is wrong with them.

A mapping with one of the known types is a declaration; everything else is a plain default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic.json_schema import JsonSchemaValue

from pipelines.errors import BadParameter, nearest
from pipelines.fields import JsonMapping
from pipelines.model import JSON
from pipelines.parameters.parameter import BOUNDED, EXPECTED, LONGEST, READERS, TYPES, Parameter
from pipelines.wording import found, one_of, quoted, suggestion
from pipelines.yaml_values import KeyPath

KEYS = ("type", "default", "choices", "min", "max", "longest", "required", "description")
"""What a declaration may say."""


class Declarations(JsonMapping):
    """The `params` of a pipeline: plain defaults and declarations; the loader checks the latter, line by line."""

    __slots__ = ()

    def schema(self) -> JsonSchemaValue:
        """An object; what editors may offer for a declaration."""
        bound = {"type": ["number", "string"]}
        keys: dict[str, JsonSchemaValue] = {
            "type": {"enum": list(TYPES)},
            "default": {},
            "choices": {"type": "array", "minItems": 1},
            "min": bound,
            "max": bound,
            "longest": {"type": "integer", "minimum": 1, "maximum": LONGEST},
            "required": {"type": "boolean"},
            "description": {"type": "string"},
        }
        declaration = {"type": "object", "properties": keys, "required": ["type"], "additionalProperties": False}
        return {**super().schema(), "additionalProperties": {"anyOf": [declaration, {}]}}


def read(params: Mapping[str, Any]) -> tuple[dict[str, Parameter], list[tuple[KeyPath, str]]]:
    """Return the declarations among `params`, and way and message of all that is wrong with them."""
    declared: dict[str, Parameter] = {}
    faults: list[tuple[KeyPath, str]] = []
    for name, value in params.items():
        if not _is_declaration(value):
            continue
        reading = _Declaration(name, value)
        declared[name] = reading.parameter()
        faults += reading.faults
    return declared, faults


def declared(params: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters that `params` declares, by name.

    Raises:
        BadParameter: a declaration is wrong.
    """
    result, faults = read(params)
    if faults:
        raise BadParameter(f"{'.'.join(map(str, way))}: {message}" for way, message in faults)
    return result


def defaults(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a run for which nothing is given: plain ones and declared defaults.

    Raises:
        BadParameter: a declaration is wrong.
    """
    known = declared(params)
    values = {name: known[name].default if name in known else value for name, value in params.items()}
    return {name: value for name, value in values.items() if name not in known or value is not None}


def _is_declaration(value: Any) -> bool:
    """Tell declarations from plain mappings; one with a slip of the keyboard is a declaration, and wrong."""
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        return False
    unknown = [key for key in value if key not in KEYS]
    if value["type"] in TYPES:
        return all(nearest(key, KEYS) for key in unknown)
    return not unknown and nearest(value["type"], TYPES) is not None


class _Declaration:
    """One declaration on its way to be a `Parameter`: gathers what is wrong with it."""

    def __init__(self, name: str, raw: Mapping[str, Any]) -> None:
        self._name = name
        self._raw = raw
        self.faults: list[tuple[KeyPath, str]] = []

    def parameter(self) -> Parameter:
        for key in self._raw:
            if key not in KEYS:
                self._tell(f"unknown key {quoted(key)}; {suggestion(key, KEYS)}", key)
        kind = self._raw["type"]
        if kind not in TYPES:
            self._tell(f"there is no type {quoted(kind)}; {suggestion(kind, TYPES)}", "type")
            return Parameter(self._name, "text")
        lowest, highest = self._bound("min"), self._bound("max")
        if lowest is not None and highest is not None and lowest > highest:
            self._tell(f"min is above max: {lowest:g} > {highest:g}", "min")
        plain = Parameter(
            name=self._name,
            type=kind,
            lowest=lowest,
            highest=highest,
            longest=self._longest(),
            description=self._description(),
        )
        parameter = replace(plain, choices=self._choices(plain))
        default = self._default(parameter)
        return replace(parameter, default=default, required=self._required())

    def _tell(self, message: str, *way: str | int) -> None:
        self.faults.append(((self._name, *way), message))

    def _bound(self, key: str) -> float | None:
        value, kind = self._raw.get(key), self._raw["type"]
        if value is None:
            return None
        if kind not in BOUNDED:
            self._tell(f"{key} is for {one_of(BOUNDED)}, not for {kind}; leave it out", key)
            return None
        bound = READERS[kind](value)
        if isinstance(bound, int | float):
            return bound
        self._tell(f"found {found(value)}; expected {EXPECTED[kind]}", key)
        return None

    def _longest(self) -> int:
        value = self._raw.get("longest", LONGEST)
        if self._raw["type"] != "text" and "longest" in self._raw:
            self._tell(f"longest is for text, not for {self._raw['type']}; leave it out", "longest")
        elif not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LONGEST:
            self._tell(f"found {found(value)}; expected a whole number from 1 to {LONGEST:,}", "longest")
        else:
            return value
        return LONGEST

    def _description(self) -> str:
        value = self._raw.get("description", "")
        if isinstance(value, str):
            return value
        self._tell(f"found {found(value)}; expected text", "description")
        return ""

    def _choices(self, plain: Parameter) -> tuple[JSON, ...]:
        if "choices" not in self._raw:
            return ()
        value = self._raw["choices"]
        if not isinstance(value, list) or not value:
            self._tell(f"found {found(value)}; expected a list of at least one value", "choices")
            return ()
        read = [self._checked(plain, each, "choices", place) for place, each in enumerate(value)]
        return tuple(each for each in read if each is not None)

    def _default(self, parameter: Parameter) -> JSON:
        value = self._raw.get("default")
        return None if value is None else self._checked(parameter, value, "default")

    def _checked(self, parameter: Parameter, value: Any, *way: str | int) -> JSON:
        try:
            return parameter.read(value)
        except ValueError as error:
            self._tell(str(error), *way)
            return None

    def _required(self) -> bool:
        without = self._raw.get("default") is None
        value = self._raw.get("required", without)
        if not isinstance(value, bool):
            self._tell(f"found {found(value)}; expected true or false", "required")
        elif value and not without:
            self._tell("it has a default, so it is not required; leave one of the two out", "required")
        return value is True and without
