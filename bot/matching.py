"""Which names people may mean by what they typed, best first, and how names are offered to them.

Pure: names in, names out. Matching looks at names alone, so that ten thousand of them cost no more than a blink;
whoever calls makes labels for the few that are shown.
"""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from bot.safe_text import plain

MOST = 25
"""So many choices Discord shows, and takes."""

LABEL = 100
"""The longest label of a choice, in characters."""

BETWEEN = " · "
"""Stands between a name and what a label says about it."""

_NEAR = 0.6
"""From this ratio of `difflib` on, a name may be a misspelling of another."""

_COMPARED = 200
"""So many names of similar letters are compared with a misspelling in earnest."""

_LONGEST = 100
"""No name is longer; what is typed beyond that is not looked at."""

_APART = re.compile(r"[-_.\s]+")


class Interest(NamedTuple):
    """Why somebody may want a name before they typed anything. `recency` counts from 0, the newest; None: never used.

    `due_at` is when it is due next, None if it is not. A tuple, because ten thousand are made for one key pressed.
    """

    name: str
    failing: bool = False
    recency: int | None = None
    due_at: datetime | None = None


def by_interest(known: Iterable[Interest]) -> list[str]:
    """Return names, what fails first, then what the person used last, then what is due next, then the rest by name."""
    return [each.name for each in sorted(known, key=_interest)]


def _interest(each: Interest) -> tuple[int, float, str]:
    if each.failing:
        return 0, 0.0, each.name
    if each.recency is not None:
        return 1, each.recency, each.name
    if each.due_at is not None:
        return 2, each.due_at.timestamp(), each.name
    return 3, 0.0, each.name


def meant(typed: str) -> str:
    """Return the name in what was typed: a label becomes its name, quotes and blanks around it are taken away."""
    return typed.partition(BETWEEN)[0].strip().strip("`'\"“”‘’*").strip()[:_LONGEST]


def matching(typed: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the names that `typed` may mean, best first.

    Exact ones come first, then those that begin with it, those with a word that begins with it, those that contain it,
    each in the order of `names`; only where there are none, those that are near it. Case does not count, and blanks,
    `-`, `_` and `.` are one. Nothing typed matches all.
    """
    parts = [re.escape(part) for part in _APART.split(meant(typed).casefold()) if part]
    if not parts:
        yield from names
        return
    text = r"[-_.\s]+".join(parts)
    anywhere, at_word = re.compile(text), re.compile(rf"(?<![^\W_]){text}")
    ranked: list[list[str]] = [[], [], [], []]
    for name in names:
        folded = name.casefold()
        found = anywhere.search(folded)
        if found is not None:
            ranked[_rank(folded, found, at_word)].append(name)
    if any(ranked):
        for rank in ranked:
            yield from rank
    else:
        yield from near(typed, names)


def _rank(folded: str, found: re.Match[str], at_word: re.Pattern[str]) -> int:
    if found.start() == 0:
        return 0 if found.end() == len(folded) else 1
    return 2 if at_word.search(folded, found.start()) else 3


def near(typed: str, names: Sequence[str], limit: int = MOST) -> list[str]:
    """Return the names that `typed` may be a misspelling of, nearest first."""
    word = meant(typed).casefold()
    letters = frozenset(word)

    def strangeness(name: str) -> int:
        return len(letters.symmetric_difference(name)) + abs(len(word) - len(name))

    if not word:
        return []
    folded = {name.casefold(): name for name in heapq.nsmallest(_COMPARED, names, key=strangeness)}
    return [folded[each] for each in difflib.get_close_matches(word, folded, n=limit, cutoff=_NEAR)]


def found(typed: str, names: Sequence[str]) -> str | None:
    """Return the one name that `typed` is: as it stands, as a label begins, or but for its case. None if none is."""
    for word in (typed, meant(typed)):
        if word in names:
            return word
    folded = meant(typed).casefold()
    same = [name for name in names if name.casefold() == folded]
    return same[0] if len(same) == 1 else None


def label(name: str, *details: str) -> str:
    """Return what a choice shows: `etl-sales · ✅ 2h ago · next 14:00`, cut to what Discord takes; never empty."""
    text = " ".join(plain(BETWEEN.join([name, *(each for each in details if each)])).split())
    return text if 0 < len(text) <= LABEL else f"{text[: LABEL - 1].rstrip()}…"


def since(seconds: float) -> str:
    """Return a time span for a label, in one unit: `now`, `5m ago`, `2h ago`, `3d ago`. Takes seconds."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return "now"


def until(at: datetime, now: datetime) -> str:
    """Return a moment to come for a label: `14:00` today, else `Mon 14:00`, `Mon 23 Nov 14:00`, `5 Jan 2027 08:00`.

    Both are in the time zone of the reader.
    """
    days = (at.date() - now.date()).days
    if days == 0:
        return f"{at:%H:%M}"
    if 0 < days < 7:
        return f"{at:%a %H:%M}"
    return f"{at:%a} {at.day} {at:%b %H:%M}" if at.year == now.year else f"{at.day} {at:%b %Y %H:%M}"
