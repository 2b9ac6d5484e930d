"""Lines packed into as few messages as hold them, each with its head and within its length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.lengths import cut, units
from bot.limits import EMBEDS, embed_size

FENCE = ("```\n", "\n```")
"""What a code block begins and ends with; Discord knows it best on lines of its own."""
EMBEDS_ROOM = 5900
"""Characters of all embeds of one message; a little under Discord's own sum."""


@dataclass(frozen=True, slots=True)
class Part:
    """The body of one message: text or embeds, and how many rows are in it."""

    text: str = ""
    embeds: tuple[Mapping[str, Any], ...] = ()
    rows: int = 0


def packed_lines(lines: Sequence[str], *, room: int, head: Sequence[str] = (), fenced: bool = False) -> list[Part]:
    """Return parts of at most `room` UTF-16 units each, every one with `head` above, in a code block if `fenced`.

    Each of `lines` is a row and stays in one piece; one that is too long for a whole part is cut.
    """
    top = "".join(f"{cut(line, room // 6)}\n" for line in head)
    before, after = FENCE if fenced else ("", "")
    space = room - units(before + top + after)
    groups: list[list[str]] = []
    left = 0
    for line in lines:
        short = cut(line, space)
        if not groups or units(short) + 1 > left:
            groups.append([])
            left = space + 1
        groups[-1].append(short)
        left -= units(short) + 1
    return [Part(f"{before}{top}{chr(10).join(group)}{after}", rows=len(group)) for group in groups]


def packed_embeds(embeds: Sequence[Mapping[str, Any]]) -> list[Part]:
    """Return parts of up to ten embeds whose texts have at most 5900 UTF-16 units in sum; each embed is a row."""
    groups: list[list[Mapping[str, Any]]] = []
    left = 0
    for embed in embeds:
        size = embed_size(embed)
        if not groups or size > left or len(groups[-1]) == EMBEDS:
            groups.append([])
            left = EMBEDS_ROOM
        groups[-1].append(embed)
        left -= size
    return [Part(embeds=tuple(group), rows=len(group)) for group in groups]
