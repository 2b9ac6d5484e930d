"""A large pipelines file read again: its text cut into that of each pipeline and the rest, only what changed parsed.

The text is cut without parsing it, and only where that is certain: what YAML lets one part mean for another (anchors,
tags, directives) forbids it, and so does any line that could be something else than it looks like. What changed is held
against the parser, part by part, before it is believed; whatever is in doubt is left to a reading of the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.errors import ConfigError
from pipelines.yaml_text import Document, parse

SMALL = 100_000
"""Characters up to which a file is always read whole: that takes a few milliseconds."""
SAME: Any = object()
"""Stands in a document for the value of a pipeline whose text is as it was."""

_LINKED = re.compile(r"(?m)(?:^|[\s\[{,])(?:[&*][\w-]|!|<<)|^(?:---|\.\.\.|%)|[\t\r]")
_SECTION = re.compile(r"(?m)^pipelines:[ ]*(?:#.*)?$\n")
_NEXT = re.compile(r"(?m)^[^\s#]")
_NAME = re.compile(r"""(?m)^(?P<indent>[ ]+)(?:(?P<plain>[A-Za-z_][\w.-]*)|"(?P<quoted>[\w.-]+)")[ ]*:(?=[ \n]|$)""")
_LINE = re.compile(r"(?m)^(?P<indent>[ ]*)(?P<first>[^\s#])")
_NOT_TEXT = frozenset({"null", "true", "false"})


@dataclass(frozen=True, slots=True)
class Blocks:
    """The text of each pipeline by its name, in the order of the file, and that of all other lines."""

    rest: str
    pipelines: Mapping[str, str]

    def text(self, names: Iterable[str]) -> str:
        """Return the text of some pipelines and of all that belongs to none."""
        return "".join((self.rest, *(self.pipelines[name] for name in names)))


def cut(text: str) -> Blocks | None:
    """Return the parts of a large file's text as they look; None where that says nothing."""
    sections = list(_SECTION.finditer(text)) if len(text) > SMALL else []
    if len(sections) != 1:
        return None
    begin = sections[0].end()
    after = _NEXT.search(text, begin)
    end = after.start() if after else len(text)
    pipelines = _pipelines(text[begin:end])
    return Blocks(text[:begin] + text[end:], pipelines) if pipelines is not None else None


def certain(blocks: Blocks | None, names: Iterable[str]) -> Blocks | None:
    """Return the parts of a text in which the parser found just these pipelines; None where one may touch another."""
    if blocks is None or list(blocks.pipelines) != list(names):
        return None
    return blocks if not any(map(_LINKED.search, (blocks.rest, *blocks.pipelines.values()))) else None


def changed(now: Blocks | None, before: Blocks | None) -> tuple[Document, str] | None:
    """Return a document in which what is as it was is `SAME`, and the text of all else.

    `before` are parts that were certain. None where a part is not by itself what it must be, or there are no parts.
    """
    if now is None or before is None:
        return None
    others = [name for name, text in now.pipelines.items() if before.pipelines.get(name) != text]
    text = now.text(others)
    rest = _alone(now.rest)
    if rest is None or rest.value.get("pipelines", SAME) is not None or _LINKED.search(text):
        return None
    read: dict[str, Any] = {}
    for name in others:
        one = _alone(now.pipelines[name])
        if one is None or list(one.value) != [name]:
            return None
        read |= one.value
    pipelines = {name: read.get(name, SAME) for name in now.pipelines}
    return replace(rest, value={**rest.value, "pipelines": pipelines}), text


def _alone(text: str) -> Any:
    """Return the document in a part of the text, if it is a mapping and nothing is wrong with it."""
    try:
        document = parse(text, "")
    except ConfigError:
        return None
    return document if isinstance(document.value, dict) and not document.problems else None


def _pipelines(text: str) -> dict[str, str] | None:
    """Return the text of each pipeline; None where a line is neither a name nor deeper than one."""
    first = _LINE.search(text)
    if first is None or not first["indent"]:
        return None
    indent = len(first["indent"])
    heads = [line for line in _LINE.finditer(text) if len(line["indent"]) <= indent]
    ends = [*(line.start() for line in heads[1:]), len(text)]
    found: dict[str, str] = {}
    for line, end in zip(heads, ends, strict=True):
        name = _name(text, line.start(), indent)
        if name is None or name in found:
            return None
        found[name] = text[line.start() : end]
    return found


def _name(text: str, at: int, indent: int) -> str | None:
    named = _NAME.match(text, at)
    if named is None or len(named["indent"]) != indent:
        return None
    name = named["plain"] or named["quoted"]
    return None if named["plain"] and name.lower() in _NOT_TEXT else name
