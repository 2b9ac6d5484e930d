"""What pydantic found wrong with a section of a pipelines file, in this program's own words.

Fields say themselves what they expected; here the rest is translated: unknown keys, missing keys, wrong shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipelines.errors import nearest
from pipelines.wording import found, one_of, quoted, suggestion
from pipelines.yaml_values import KeyPath


def faults(error: ValidationError, model: type[BaseModel]) -> Iterator[tuple[KeyPath, str]]:
    """Yield the way (from the section on) and the message of each mistake in a section that `model` refused.

    A key that is missing because it is misspelt is told once, as the misspelling.
    """
    found_errors = error.errors(include_url=False)
    misspelt = {_meant(details["loc"], model) for details in found_errors if details["type"] == "extra_forbidden"}
    for details in found_errors:
        if details["type"] != "missing" or details["loc"] not in misspelt:
            yield details["loc"], _message(details, model)


def _meant(loc: KeyPath, model: type[BaseModel]) -> KeyPath:
    return (*loc[:-1], nearest(str(loc[-1]), _keys(model, loc[:-1])) or "")


def _message(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, loc, value = details["type"], details["loc"], details["input"]
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "extra_forbidden":
        return f"unknown key {quoted(str(loc[-1]))}; {suggestion(str(loc[-1]), _keys(model, loc[:-1]))}"
    if kind == "missing":
        return f"the key {quoted(str(loc[-1]))} is missing"
    if kind in ("model_type", "model_attributes_type"):
        return f"found {found(value)}; expected a mapping with keys such as {one_of(_keys(model, loc)[:4])}"
    if kind == "dict_type":
        return f"found {found(value)}; expected a mapping"
    return f"found {found(value)}, which is not valid here"


def _keys(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """Return the keys that the mapping at `loc` may have."""
    for part in loc:
        fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
        inner = next(_models_in(fields.get(str(part))), None) if isinstance(part, str) else model
        model = inner or model
    return [field.alias or name for name, field in model.model_fields.items() if name != "name"]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models_in(each)
