"""Texts of the configuration with `{placeholders}`: the text may format and link, what is filled in may not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from string import Formatter
from typing import Any, TypeAlias
from urllib.parse import quote

from bot.rows import markdown_text, scalar
from bot.safe_text import inline_cut, url
from pipelines import Placeholders, getter

VALUE_UNITS = 1000
"""Characters of one value that are filled in; what is beyond is cut."""

_BEGUN = re.compile(r"(?P<mark>\]\(|<)(?P<begun>(?:https?://[^\s()<>]*)?)$", re.IGNORECASE)
"""The beginning of a link's address, at the end of a text."""

Filler: TypeAlias = Callable[[Any], str]


class MarkdownTemplate:
    """A markdown text with placeholders as in `pipelines.transforms.Template`, whose values come out inert.

    A time with its zone is shown in the reader's own. A placeholder that is the whole address of a link, as in
    `[{title}]({link})` or `<{link}>`, takes web addresses, and nothing else; one inside an address that the text
    begins, as in `<https://example.org/{id}>`, is encoded for it.
    """

    def __init__(self, text: str, *, argument: str, known: Iterable[str] | None = None) -> None:
        """Read the text given as keyword argument `argument`; `known` are the only names allowed (None: any).

        Raises:
            ValueError: a brace without its other half, an empty or unknown placeholder, a wrong expression.
        """
        names = None if known is None else list(known)
        Placeholders(text, argument=argument, known=names)
        self._parts: list[tuple[str, Filler | None]] = []
        parsed = list(Formatter().parse(text))
        so_far = ""
        for (before, name, spec, _), (after, *_) in zip(parsed, [*parsed[1:], ("", None, None, None)], strict=True):
            so_far += before
            address = _address_of(so_far, after)
            filler = None if name is None else _filler(name, spec or "", argument, address)
            self._parts.append((before, filler))
            so_far += "" if name is None else "x"

    def fill(self, item: Any) -> str:
        """Return the text with the item's values in it.

        Raises:
            ValueError: a value does not go with its format specification.
        """
        return "".join(text if filler is None else text + filler(item) for text, filler in self._parts)


def _address_of(before: str, after: str) -> str | None:
    """Return how a link's address begins that a placeholder between two texts is part of; None if it is in none."""
    match = _BEGUN.search(before)
    if match is None or not (match["begun"] or after.startswith(")" if match["mark"] == "](" else ">")):
        return None
    return match["begun"]


def _filler(name: str, spec: str, argument: str, address: str | None) -> Filler:
    write = Placeholders(f"{{{name}:{spec}}}" if spec else f"{{{name}}}", argument=argument).fill
    if address is not None:
        return partial(_address, write, bool(address))
    if spec:
        return lambda item: _inert(write(item))
    return partial(_value, getter(name, argument=argument), name)


def _address(write: Filler, begun: bool, item: Any) -> str:
    """Return an address, or a part of one, in which nothing can end it."""
    return quote(write(item)[:VALUE_UNITS], safe="", errors="replace") if begun else url(write(item)) or ""


def _inert(text: str) -> str:
    return inline_cut(text, VALUE_UNITS) if text else ""


def _value(read: Callable[[Any], Any], name: str, item: Any) -> str:
    value = read(item)
    if value is None and name == "item":
        value = item
    return "" if value is None or value == "" else markdown_text(scalar(value), VALUE_UNITS)
