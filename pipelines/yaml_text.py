"""A YAML file's text to a document: its values as JSON, and the line of any of them when somebody asks.

Only the safe parser is used, and of it only the part that makes nodes. Lines are looked up in the tree of nodes when a
problem needs one. What pipelines look like is not known here.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pipelines.errors import ConfigError, Problem
from pipelines.model import JSON
from pipelines.wording import suggestion
from pipelines.yaml_values import (
    LIST,
    MAPPING,
    MAX_DEPTH,
    MAX_VALUES,
    TEXT,
    KeyPath,
    TooMuch,
    Values,
    dotted,
    entries,
    line_of,
    plain_tag,
)

MAX_BYTES = 16 * 1024 * 1024

SYNTAX = {
    "\\t": "a tab; indent with spaces",
    "cannot start any token": "a character that nothing starts with (tab, @, ` or %): indent with spaces, quote texts",
    "mapping values are not allowed": "a ':' where none can stand: quote texts that hold ': ', check the indentation",
    "could not find expected ':'": "a key without ':' after it",
    "did not find expected key": "a line that does not fit those above it: check indentation and quotes",
    "expected '-' indicator": "a line that does not fit the list above it: check the indentation",
    "expected <block end>": "a line that does not fit those above it: check indentation and quotes",
    "expected ','": "a bracket that is never closed, a comma that is missing, or a text with { or [ that needs quotes",
    "expected alphabetic or numeric": 'a text that begins with * or &: put it into quotes, such as "*/5 * * * *"',
    "unexpected end of stream": "a quotation mark that is never closed",
    "unknown escape character": "a backslash that means nothing here: write \\\\ for one, or use single quotes",
    "undefined alias": "an alias (*name) whose anchor (&name) is not above it",
    "second occurrence": "an anchor (&name) whose name is already taken above",
    "another document": "a second document ('---'); one file holds one",
}
"""Words of the parser's own problems, and what people are told instead."""


@dataclass(slots=True)
class Document:
    """One file's content: `value` is JSON, `problems` what is wrong with the YAML itself (keys twice and the like)."""

    value: JSON
    problems: tuple[Problem, ...]
    _root: Node
    _indexes: dict[int, dict[str, tuple[Node, Node]]] = field(default_factory=dict)

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Make a problem of a message, at the line of the value at `path`.

        Steps of the path that the text does not have are left out: a missing key is a problem of the mapping around
        it, and the only entry of what may also be a list stands without its place.
        """
        node, line, shown = self._root, line_of(self._root), []
        for step in path:
            if isinstance(step, int) and isinstance(node, SequenceNode) and step < len(node.value):
                node = node.value[step]
                line = line_of(node)
            elif isinstance(step, str) and isinstance(node, MappingNode) and step in self._index(node):
                key_node, node = self._index(node)[step]
                line = line_of(node if isinstance(node, ScalarNode) and node.value else key_node)
            else:
                continue
            shown.append(step)
        return Problem(message, path=dotted(tuple(shown)), line=line)

    def _index(self, node: MappingNode) -> dict[str, tuple[Node, Node]]:
        if id(node) not in self._indexes:
            index: dict[str, tuple[Node, Node]] = {}
            for key, key_node, value_node in entries(node):
                index.setdefault(key, (key_node, value_node))
            self._indexes[id(node)] = index
        return self._indexes[id(node)]


def read_text(path: Path, what: str = "pipelines file", endings: tuple[str, ...] = (".yml", ".yaml")) -> str:
    """Return a file's text; people are told it is a `what`, and of others beside it that have one of its `endings`.

    Raises:
        ConfigError: it is missing, not a file, too large, unreadable, or not UTF-8.
    """
    try:
        data = _bytes(path, what)
    except FileNotFoundError:
        raise _refusal(path, f"there is no such file; {_beside(path, endings)}") from None
    except (OSError, ValueError) as error:
        raise _refusal(path, f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _refusal(path, "the file is not UTF-8 text; save it as UTF-8", line) from None


def parse(text: str, file: str) -> Document:
    """Return the document in `text`; `file` is the name that problems carry.

    Raises:
        ConfigError: the text is empty or not YAML, or is built to exhaust; one problem.
    """
    try:
        root = _compose(text, file)
    except TooMuch as error:
        raise _too_much(error, file) from None
    return document(root, file)


def document(root: Node, file: str) -> Document:
    """Return the document of a tree of nodes; `file` is the name that problems carry.

    Raises:
        ConfigError: it is built to exhaust; one problem.
    """
    values = Values()
    try:
        value = values.read(root)
    except TooMuch as error:
        raise _too_much(error, file) from None
    return Document(value, tuple(replace(problem, file=file) for problem in values.problems), root)


def _too_much(error: TooMuch, file: str) -> ConfigError:
    return ConfigError([Problem(f"the file is refused: {error}", file=file, line=error.line)])


class _Composing:
    """What both parsers share: the core schema's tags, and a limit to depth and size while the tree grows.

    PyYAML calls `descend_resolver` before each node and `ascend_resolver` after it, to resolve tags by path, which
    nothing here needs; the C parser recurses without a limit of its own.
    """

    depth = 0
    nodes = 0

    def descend_resolver(self, parent: Node | None, _index: Any) -> None:
        """Count one more node, inside `parent`."""
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH + 1:
            raise TooMuch(f"nested more than {MAX_DEPTH} deep", line_of(parent) if parent else 1)
        if self.nodes > MAX_VALUES:
            raise TooMuch(f"more than {MAX_VALUES:,} values", line_of(parent) if parent else 1)

    def ascend_resolver(self) -> None:
        """Leave a node."""
        self.depth -= 1

    def resolve(self, kind: type[Node], value: str | None, implicit: Any) -> str:
        """Return the tag of a node that names none itself."""
        if kind is ScalarNode:
            return plain_tag(value or "") if implicit[0] else TEXT
        return LIST if kind is SequenceNode else MAPPING


class PythonComposer(_Composing, yaml.SafeLoader):
    """PyYAML's own safe parser, for where libyaml is missing."""


if yaml.__with_libyaml__:

    class FastComposer(_Composing, yaml.CSafeLoader):
        """libyaml's safe parser, ten times as fast."""


def _compose(text: str, file: str) -> Node:
    try:
        composer = FastComposer(text) if yaml.__with_libyaml__ else PythonComposer(text)
        root = composer.get_single_node()
    except yaml.reader.ReaderError:
        raise ConfigError([_unprintable(text, file)]) from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, file)]) from None
    except (ValueError, OverflowError) as error:
        # Half characters, and escapes that name no character: PyYAML lets Python speak.
        raise ConfigError([Problem(f"cannot be read as YAML: {error}", file=file)]) from None
    if root is None:
        raise ConfigError([Problem("the file is empty; it needs a mapping 'pipelines:'", file=file, line=1)])
    return root


def _beside(path: Path, endings: tuple[str, ...]) -> str:
    names = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    near = sorted(name for name in names if name.endswith(endings))
    return suggestion(path.name, near) if near else f"{path.parent} holds no {endings[0]} file"


def _bytes(path: Path, what: str) -> bytes:
    if path.is_dir():
        raise _refusal(path, f"this is a folder; name the {what} in it")
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, "this is not a regular file")
    if status.st_size > MAX_BYTES:
        size, limit = status.st_size / 2**20, MAX_BYTES // 2**20
        raise _refusal(path, f"the file is too large: {size:.1f} MiB; at most {limit} MiB are read")
    return path.read_bytes()


def _refusal(path: Path, message: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem(message, file=str(path), line=line)])


def _unprintable(text: str, file: str) -> Problem:
    match = yaml.reader.Reader.NON_PRINTABLE.search(text)
    start, character = (match.start(), match.group()) if match else (0, "")
    message = f"a control character (U+{ord(character or chr(0)):04X}), which YAML does not allow; take it out"
    return Problem(message, file=file, line=text.count("\n", 0, start) + 1)


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> Problem:
    said = error.problem or error.context or "unknown syntax"
    words = next((words for part, words in SYNTAX.items() if part in said), said)
    mark, begun = error.problem_mark, error.context_mark
    if begun is not None and mark is not None and begun.line < mark.line:
        words += f" (it began in line {begun.line + 1})"
    return Problem(f"cannot be read as YAML: {words}", file=file, line=mark.line + 1 if mark else None)
