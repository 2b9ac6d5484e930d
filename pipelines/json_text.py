"""A JSON file's text to a document: its values, and the line of any of them when somebody asks.

Python's own parser says whether it is JSON, and where it is not; then the same kind of tree is made that a YAML file
gives, so that lines, keys that stand twice and what cannot be kept are told alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

from yaml import Mark
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.errors import ConfigError, Problem
from pipelines.wording import quoted
from pipelines.yaml_text import Document, document
from pipelines.yaml_values import LIST, MAPPING, MAX_DEPTH, TEXT, plain_tag

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
_NOT_A_NUMBER = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(?P<word>NaN|-?Infinity)', re.DOTALL)
_WORD = re.compile(r"[^\s,:\]}]+")

_SAID = {
    "Expecting ',' delimiter": "a comma is missing before this",
    "Expecting ':' delimiter": "a ':' is missing after the key",
    "Unterminated string": "a quotation mark that is never closed",
    "Invalid control character": "a line break, tab or control character inside a text; write \\n or \\t",
    "escape": "a backslash that means nothing here; write \\\\ for one",
    "Extra data": "something stands after the end; one file holds one value",
    "property name": 'a key is expected here, in double quotes such as "job_id"',
}
"""Words of the parser's own problems, and what people are told instead."""
_PYTHON = {"True": "true", "False": "false", "None": "null"}


class _NotANumber(Exception):
    """NaN or an infinity, which Python's parser would take."""


def parse(text: str, file: str) -> Document:
    """Return the document in `text`; `file` is the name that problems carry.

    Raises:
        ConfigError: the text is not JSON, or is built to exhaust; one problem, with line and column.
    """
    _check(text, file)
    return document(_compose(text), file)


def _check(text: str, file: str) -> None:
    """Raise ConfigError where the text is not JSON. Numbers stay text: what cannot be kept is told with its place."""
    try:
        json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        place, words = _fault(text, error)
        raise _problem(text, place, words, file) from None
    except _NotANumber:
        place, word = next((each.start(), each["word"]) for each in _NOT_A_NUMBER.finditer(text) if each["word"])
        raise _problem(
            text, place, f"{word} is not a number that JSON has; write a finite one, or null", file
        ) from None
    except RecursionError:
        raise ConfigError([Problem(f"the file is refused: nested more than {MAX_DEPTH} deep", file=file)]) from None


def _refuse(_: str) -> NoReturn:
    raise _NotANumber


def _problem(text: str, place: int, words: str, file: str) -> ConfigError:
    line = text.count("\n", 0, place) + 1
    column = place - text.rfind("\n", 0, place)
    return ConfigError([Problem(f"cannot be read as JSON: {words} (column {column})", file=file, line=line)])


def _fault(text: str, error: json.JSONDecodeError) -> tuple[int, str]:
    """Return where the text stops being JSON, counted from 0, and what to tell people."""
    place = error.pos
    before = text[:place].rstrip()
    rest = text[place:]
    if rest.startswith(",") and rest[1:].lstrip()[:1] in ("]", "}"):
        return place, "a comma before the closing bracket; take it out"
    if rest[:1] in ("]", "}") and before.endswith(","):
        return len(before) - 1, "a comma before the closing bracket; take it out"
    if rest.startswith(("//", "/*", "#")):
        return place, "a comment, which JSON does not have; take it out, or write it as a 'description'"
    if not rest.strip():
        ended = "the file is empty" if not before else "the file ends in the middle: a bracket is never closed"
        return max(len(before) - 1, 0), ended
    return place, _words(rest, error.msg)


def _words(rest: str, said: str) -> str:
    if rest.startswith("'"):
        return "a single quotation mark; texts stand in double ones"
    for part, words in _SAID.items():
        if part in said:
            return words
    word = (_WORD.match(rest) or re.match(".", rest, re.DOTALL) or [""])[0]
    if word in _PYTHON:
        return f"{quoted(word)}; write {_PYTHON[word]}"
    return f"{quoted(word)}; expected a value: text in double quotes, a number, true, false, null, [ or {{"


def _compose(text: str) -> Node:
    """Return the tree of a text that is JSON."""
    around: list[tuple[str, Mark, list[Node]]] = [("", Mark("", 0, 0, 0, None, 0), [])]
    for token, mark in _tokens(text):
        if token in ("{", "["):
            around.append((token, mark, []))
        elif token in ("}", "]"):
            node = _collection(*around.pop())
            around[-1][2].append(node)
        elif token not in (",", ":"):
            around[-1][2].append(_scalar(token, mark))
    return around[0][2][0]


def _tokens(text: str) -> Iterator[tuple[str, Mark]]:
    line, counted = 0, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", counted, found.start())
        counted = found.start()
        yield found.group(), Mark("", counted, line, 0, None, 0)


def _collection(bracket: str, mark: Mark, inside: list[Node]) -> Node:
    if bracket == "[":
        return SequenceNode(LIST, inside, mark, mark)
    return MappingNode(MAPPING, list(zip(inside[::2], inside[1::2], strict=True)), mark, mark)


def _scalar(token: str, mark: Mark) -> Node:
    if token[0] == '"':
        return ScalarNode(TEXT, json.loads(token), mark, mark)
    return ScalarNode(plain_tag(token), token, mark, mark)
