"""How long a text is to Discord, and how it is cut without breaking a character in two; and what is too long."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sized
from typing import Any

_STEPS_BACK = 32
"""How far a cut moves back for the sake of one visible character; beyond that it is no character anyone can read."""


def units(text: str) -> int:
    """Return the length of `text` in UTF-16 units; an emoji has two or more."""
    return len(text) if text.isascii() else len(text) + sum(char > "\uffff" for char in text)


def cut(text: str, limit: int) -> str:
    """Return `text` in at most `limit` UTF-16 units, with `…` at its end if anything was left out.

    What belongs to one visible character (accents, skin tones, joined emoji, flags) stays together. An empty text is
    returned for a limit below 1.
    """
    if units(text) <= limit:
        return text
    if limit < 1:
        return ""
    end = spent = 0
    while (spent := spent + units(text[end])) < limit:
        end += 1
    return text[: visible_end(text, end)].rstrip() + "…"


def visible_end(text: str, end: int) -> int:
    """Return the nearest place at or before `end` where a visible character begins."""
    for at in range(end, max(0, end - _STEPS_BACK), -1):
        if not _joined(text, at):
            return at
    return end if end > _STEPS_BACK else 0


def _joined(text: str, at: int) -> bool:
    """Tell whether the character at `at` belongs to the one before it."""
    char, before = text[at], text[at - 1]
    if "\u200d" in (char, before) or "\U0001f3fb" <= char <= "\U0001f3ff":
        return True
    if _is_flag_half(char) and _is_flag_half(before):
        halves = len(text[:at]) - len(text[:at].rstrip("".join(map(chr, range(0x1F1E6, 0x1F200)))))
        return halves % 2 == 1
    return unicodedata.category(char) in ("Mn", "Me", "Mc")


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def length_faults(name: str, text: Any, most: int, *, least: int = 0) -> Iterator[str]:
    """Yield what is wrong with the length of a text, if it is one, in UTF-16 units."""
    if isinstance(text, str) and not least <= units(text) <= most:
        yield f"{name} has {units(text)} characters; from {least} to {most} are allowed"


def number_faults(name: str, parts: Sized, most: int, *, least: int = 0) -> Iterator[str]:
    """Yield what is wrong with the number of some parts."""
    if not least <= len(parts) <= most:
        yield f"{name}: found {len(parts)}; from {least} to {most} are allowed"
