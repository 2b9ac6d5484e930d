"""How things that were found in a file are named to people: values, lists of words, suggestions. Text only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pipelines.errors import nearest

LONGEST = 60
"""Characters of a value that a message quotes before it cuts."""


def found(value: Any) -> str:
    """Name a JSON value by its content and kind: `'abc' (text)`, `2.5 (a number)`, `a list`, `nothing`."""
    if isinstance(value, str):
        return f"{quoted(value)} (text)"
    if isinstance(value, dict | list | tuple):
        kind = "mapping" if isinstance(value, dict) else "list"
        return f"a {kind}" if value else f"an empty {kind}"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return f"{_short(str(value))} (a number)"
    return f"a value of type {type(value).__name__}"


def quoted(text: str) -> str:
    """Put text into single quotes on one line, control characters escaped and anything long cut."""
    return f"'{_short(json.dumps(text[: LONGEST + 1], ensure_ascii=False)[1:-1])}'"


def one_of(words: Iterable[str]) -> str:
    """Join words for a choice: `a, b or c`."""
    *front, last = words
    return f"{', '.join(front)} or {last}" if front else last


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return `did you mean 'x'?`, or the list of what is known where nothing is near."""
    close = nearest(word, known)
    if close is not None:
        return f"did you mean '{close}'?"
    return f"known are: {', '.join(known)}" if known else "none is known here"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def installing(extra: str) -> str:
    """Return how an optional part of the program is installed."""
    return f"pip install pipecall[{extra}], or in a clone pip install -r requirements-distributed.lock"
