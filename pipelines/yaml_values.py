"""Nodes of a YAML tree to JSON values: the core schema's scalars, keys once each, merge keys, and an end to bombs.

Scalars are read as YAML 1.2's core schema says (https://yaml.org/spec/1.2.2/#103-core-schema): null, true and false,
integers, floats; no dates, no base 60, no yes and no. How text becomes nodes is `yaml_text`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import inf, isinf
from typing import TypeAlias

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.errors import Problem
from pipelines.model import JSON
from pipelines.wording import quoted

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: keys of mappings, places in lists counted from 0."""

MAX_DEPTH = 100
MAX_VALUES = 2_000_000
MAX_CHARACTERS = 64 * 1024 * 1024
"""Characters of all texts together, those that aliases repeat counted each time."""

_PREFIX = "tag:yaml.org,2002:"
TEXT, LIST, MAPPING, MERGE = (_PREFIX + kind for kind in ("str", "seq", "map", "merge"))
_PLAIN = re.compile(
    r"(?P<null>null|Null|NULL|~|)"
    r"|(?P<bool>true|True|TRUE|false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
    r"|(?P<merge><<)"
)
_FIRST = frozenset("nNtTfF~-+.0123456789<")
"""What a plain scalar that is not text can begin with."""
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_PLAIN_KEY = re.compile(r"[\w.$<-]+")


class TooMuch(Exception):
    """The tree is too deep or too large to be meant; `args[0]` says how, `line` where (from 1)."""

    def __init__(self, message: str, line: int) -> None:
        """Take what people are told and the line."""
        super().__init__(message)
        self.line = line


def plain_tag(text: str) -> str:
    """Return the tag that the core schema gives to an unquoted scalar."""
    if text and text[0] not in _FIRST:
        return TEXT
    match = _PLAIN.fullmatch(text)
    return f"{_PREFIX}{match.lastgroup}" if match else TEXT


def line_of(node: Node) -> int:
    """Return the line on which a node starts, from 1."""
    return int(node.start_mark.line) + 1


def dotted(path: KeyPath) -> str:
    """Write a path for people: `pipelines.prices.chain[0].class`."""
    words = ""
    for part in path:
        if isinstance(part, int):
            words += f"[{part}]"
        else:
            name = part if _PLAIN_KEY.fullmatch(part) else quoted(part)
            words += f".{name}" if words else name
    return words


class Values:
    """One reading of a tree; `problems` gathers what is wrong, and the value beside it is left out or None."""

    def __init__(self) -> None:
        """Start with nothing read and nothing wrong."""
        self.problems: list[Problem] = []
        self._values = 0
        self._characters = 0
        self._told: set[int] = set()

    def read(self, node: Node, path: KeyPath = ()) -> JSON:
        """Return a node's value.

        Raises:
            TooMuch: nested too deeply (an anchor that contains itself is), or too much after aliases are followed.
        """
        self._values += 1
        if self._values > MAX_VALUES:
            raise TooMuch(f"more than {MAX_VALUES:,} values, counting what aliases repeat", line_of(node))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        if len(path) >= MAX_DEPTH:
            raise TooMuch(f"nested more than {MAX_DEPTH} deep, or an anchor that contains itself", line_of(node))
        if isinstance(node, SequenceNode):
            self._expect_tag(node, LIST, path)
            return [self.read(item, (*path, place)) for place, item in enumerate(node.value)]
        self._expect_tag(node, MAPPING, path)
        return self._mapping(node, path)

    def _tell(self, node: Node, path: KeyPath, message: str) -> None:
        # A mapping that several aliases name is read several times; its mistake is one.
        if id(node) not in self._told:
            self._told.add(id(node))
            self.problems.append(Problem(message, path=dotted(path), line=line_of(node)))

    def _expect_tag(self, node: Node, tag: str, path: KeyPath) -> None:
        if node.tag != tag:
            self._tell(node, path, f"the tag {quoted(node.tag)} is not supported; leave it out")

    def _mapping(self, node: Node, path: KeyPath) -> JSON:
        values: dict[str, JSON] = {}
        lines: dict[str, int] = {}
        merged: dict[str, JSON] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key in lines:
                self._tell(key_node, (*path, key), f"the key {quoted(key)} is already there in line {lines[key]}")
                continue
            lines[key] = line_of(key_node)
            if key_node.tag == MERGE:
                merged = self._merged(value_node, (*path, key))
            else:
                values[key] = self.read(value_node, (*path, key))
        return {**merged, **values}

    def _key(self, node: Node, path: KeyPath) -> str | None:
        if node.tag == MERGE:
            return "<<"
        if not isinstance(node, ScalarNode):
            self._tell(node, path, "a list or mapping is used as a key; keys are text")
        elif node.tag != TEXT:
            kind = node.tag.removeprefix(_PREFIX)
            self._tell(node, path, f"the key {quoted(node.value)} is not text ({kind}); put it into quotes")
        elif self._characters_fit(node, path):
            return str(node.value)
        return None

    def _merged(self, node: Node, path: KeyPath) -> dict[str, JSON]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        merged: dict[str, JSON] = {}
        for source in sources:
            values = self.read(source, path)
            if isinstance(values, dict):
                merged = {**values, **merged}
            else:
                self._tell(source, path, "'<<' takes a mapping or a list of mappings, such as *name")
        return merged

    def _scalar(self, node: ScalarNode, path: KeyPath) -> JSON:
        if node.tag in (TEXT, MERGE):
            return str(node.value) if self._characters_fit(node, path) else None
        match = _PLAIN.fullmatch(node.value)
        kind, meant = match.lastgroup if match else "str", node.tag.removeprefix(_PREFIX)
        if meant not in ("null", "bool", "int", "float"):
            self._expect_tag(node, TEXT, path)
        elif kind != meant and (kind, meant) != ("int", "float"):
            self._tell(node, path, f"{quoted(node.value)} is no {meant}")
        elif kind == "bool":
            return bool(node.value[0] in "tT")
        elif kind != "null":
            return self._number(node, meant, path)
        return None

    def _number(self, node: ScalarNode, kind: str, path: KeyPath) -> JSON:
        text = node.value
        if kind == "int":
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            if len(text) < 30 and abs(whole := int(text, base)) < 2**63:
                return whole
            self._tell(node, path, f"{quoted(text)} is too large for a number; put it into quotes")
            return None
        number = inf if text[-1] in "fFnN" else float(text)
        if isinf(number):
            self._tell(node, path, f"{quoted(text)} is not a number that can be kept; expected a finite one")
            return None
        return number

    def _characters_fit(self, node: ScalarNode, path: KeyPath) -> bool:
        self._characters += len(node.value)
        if self._characters > MAX_CHARACTERS:
            raise TooMuch(f"more than {MAX_CHARACTERS:,} characters, counting what aliases repeat", line_of(node))
        if _NOT_STORABLE.search(node.value):
            self._tell(node, path, "this text contains a NUL or half a character (a surrogate), which cannot be kept")
            return False
        return True


def entries(node: MappingNode) -> Iterator[tuple[str, Node, Node]]:
    """Yield key, key's node and value's node of a mapping that was read: its own entries first, then merged ones."""
    merges = []
    for key_node, value_node in node.value:
        if key_node.tag == MERGE:
            merges.append(value_node)
        elif key_node.tag == TEXT:
            yield key_node.value, key_node, value_node
    for merge in merges:
        for source in merge.value if isinstance(merge, SequenceNode) else [merge]:
            if isinstance(source, MappingNode):
                yield from entries(source)
