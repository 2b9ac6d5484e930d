"""Reading values out of items: fields and JMESPath expressions, canonical JSON, and `{placeholder}` texts.

The stages that look into items share this; what they do with what they find lives with each of them.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias
from uuid import UUID

import jmespath
from jmespath.exceptions import JMESPathError

from pipelines.model import JSON

Getter: TypeAlias = Callable[[Any], Any]

FIELD = re.compile(r"[\w -]+")
"""Letters, digits, `_`, `-` and spaces are a field's name as it stands; anything else is a JMESPath expression."""

SHORT = 200
"""Characters of an item that an error message shows."""


def field(name: str) -> Getter:
    """Return a function that reads one field of a dict; None when it is missing or the item is not a dict."""

    def read(item: Any) -> Any:
        return item.get(name) if isinstance(item, Mapping) else None

    return read


def getter(expression: str, *, argument: str) -> Getter:
    """Return a function that reads a value out of an item; None when it is not there.

    `expression` is a field's name (`price`, `GICS Sector`) or a JMESPath expression (`seller.name`, `tags[0]`).
    `argument` is the keyword argument it was given as, for the messages.

    Raises:
        ValueError: it is neither; or, from the function returned, an item on which the expression fails.
    """
    if not isinstance(expression, str) or not expression.strip():
        raise ValueError(f"{argument}: found {expression!r}, expected a field's name or a JMESPath expression")
    if FIELD.fullmatch(expression):
        return field(expression)
    try:
        compiled = jmespath.compile(expression)
    except JMESPathError as error:
        raise ValueError(
            f"{argument}: {expression!r} is not a JMESPath expression: {' '.join(str(error).split())}; "
            "a field whose name has other characters than letters, digits, - and _ goes in double quotes"
        ) from None
    return partial(_search, compiled.search, expression, argument)


def _search(search: Getter, expression: str, argument: str, item: Any) -> Any:
    try:
        return search(item)
    except JMESPathError as error:
        raise ValueError(
            f"{argument}: {expression!r} failed: {' '.join(str(error).split())}; the item is {shortened(item)}"
        ) from error


def as_list(value: str | list[str], *, argument: str) -> list[str]:
    """Return one text or a list of texts as a list.

    Raises:
        ValueError: the list is empty, or it is neither.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{argument}: found {value!r}, expected a text or a list of at least one text")
    return names


def check_count(value: int, *, argument: str, at_least: int) -> int:
    """Return `value` if it is a whole number of at least `at_least`.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ValueError(f"{argument}: found {value!r}, expected a whole number of at least {at_least}")
    return value


def plain(value: Any) -> JSON:
    """Turn what JSON does not know into what it does: times to ISO 8601, decimals and UUIDs to text, sets to lists.

    Raises:
        TypeError: there is no such form.
    """
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset | tuple):
        return sorted(value, key=str) if isinstance(value, set | frozenset) else list(value)
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)
_READABLE = json.JSONEncoder(ensure_ascii=False, default=plain)


def canonical(value: Any) -> str:
    """Return the JSON text that is the same for equal values: sorted keys, no blanks.

    Raises:
        ValueError: the value cannot be written as JSON.
    """
    return _encoded(_CANONICAL, value)


def readable(value: Any) -> str:
    """Return JSON text for people and files: keys in their own order, on one line.

    Raises:
        ValueError: the value cannot be written as JSON.
    """
    return _encoded(_READABLE, value)


def _encoded(encoder: json.JSONEncoder, value: Any) -> str:
    try:
        return encoder.encode(value)
    except TypeError as error:
        raise ValueError(f"{error}; the item is {shortened(value)}") from error


def shortened(value: Any, length: int = SHORT) -> str:
    """Return what a message shows of a value: its first `length` characters on one line."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 1]}…"


class Placeholders:
    """A text with `{placeholders}`, read once; filling one in reaches data only, never a Python attribute.

    A placeholder is a field's name or a JMESPath expression, with a format specification if wanted: `{price:.2f}`,
    `{seller.name:>20}`. Braces are doubled to stand for themselves. What is missing or None becomes empty text, lists
    and dicts become JSON.
    """

    def __init__(self, text: str, *, argument: str, known: Iterable[str] | None = None) -> None:
        """Read the text given as keyword argument `argument`; `known` are the only names allowed (None: any).

        Raises:
            ValueError: a brace without its other half, an empty or unknown placeholder, a wrong expression.
        """
        self._argument = argument
        self._known = None if known is None else sorted(known)
        try:
            parsed = list(string.Formatter().parse(text))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{argument}: {text!r}: {error}; a brace that stands for itself is doubled") from None
        self._parts = [(literal, self._placeholder(name, spec, how)) for literal, name, spec, how in parsed]

    def _placeholder(self, name: str | None, spec: str | None, conversion: str | None) -> Getter | None:
        if name is None:
            return None
        if conversion is not None or "{" in (spec or ""):
            raise ValueError(f"{self._argument}: {{{name}}} has a conversion or a nested brace; use a plain one")
        if self._known is not None and name not in self._known:
            raise ValueError(f"{self._argument}: {{{name}}} is not known; known are {', '.join(self._known)}")
        read = getter(name, argument=f"{self._argument}: {{{name}}}")
        return partial(self._written, read, name, spec or "")

    def _written(self, read: Getter, name: str, spec: str, item: Any) -> str:
        value = read(item)
        if value is None and name == "item":
            value = item
        if value is None:
            return ""
        try:
            return format(readable(value) if isinstance(value, list | dict) else value, spec)
        except (ValueError, TypeError) as error:
            found = f"{{{name}:{spec}}} cannot write {shortened(value)}: {error}"
            raise ValueError(f"{self._argument}: {found}; the item is {shortened(item)}") from error

    def fill(self, item: Any) -> str:
        """Return the text with the item's values in it; `{item}` is the item itself, unless it has such a field.

        Raises:
            ValueError: a value does not go with its format specification.
        """
        return "".join([literal if write is None else literal + write(item) for literal, write in self._parts])
