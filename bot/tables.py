"""Rows as a table of fixed-width text for a code block: columns aligned, wide characters counted as two."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from bot.lengths import units, visible_end
from bot.rows import Row, code_text, is_number

WIDE = 56
NARROW = 40
"""Cells of a line: in a window, and on a telephone, which would break a longer one."""
GAP = "  "
_NARROWEST = 3


@dataclass(frozen=True, slots=True)
class Table:
    """Lines of text: `head` to stand above each part of `lines`, one of which is a row."""

    head: tuple[str, str]
    lines: tuple[str, ...]
    whole: bool
    """False where a column or part of a cell was left out."""


def table(rows: Sequence[Row], names: Sequence[str], *, limit: int) -> Table:
    """Lay out `rows` with the columns `names` in lines of at most `limit` cells; what does not fit ends in `…`.

    Columns that hold nothing but numbers stand at the right. Columns too many for the line are left out.
    """
    shown = list(names)[: (limit + len(GAP)) // (_NARROWEST + len(GAP))] or ["item"]
    cells = [[code_text(row.cells.get(name)) for name in shown] for row in rows]
    heads = [code_text(name) for name in shown]
    natural = [max(map(width, column)) for column in zip(heads, *cells, strict=True)]
    widths = fitted(natural, limit - len(GAP) * (len(shown) - 1))
    right = [_is_numeric(rows, name) for name in shown]

    def line(texts: Sequence[str]) -> str:
        each = (padded(*one) for one in zip(texts, widths, right, strict=True))
        return GAP.join(each).rstrip()

    return Table(
        head=(line(heads), GAP.join("─" * wide for wide in widths)),
        lines=tuple(line(texts) or " " for texts in cells),
        whole=widths == natural and len(shown) >= len(names) and all(row.whole for row in rows),
    )


def fitted(natural: Sequence[int], limit: int) -> list[int]:
    """Return widths of at most `limit` in sum: the widest columns give way first."""
    widths = [max(1, min(wide, limit)) for wide in natural]
    while sum(widths) > limit:
        widths[widths.index(max(widths))] -= 1
    return widths


def padded(text: str, wide: int, right: bool) -> str:
    """Return `text` in exactly `wide` cells, cut with `…` or filled up with spaces before (`right`) or behind it."""
    short = _cut(text, wide)
    blank = " " * (wide - width(short))
    return blank + short if right else short + blank


def width(text: str) -> int:
    """Return how many cells of a fixed-width font `text` takes: wide characters two, accents none."""
    return len(text) if text.isascii() else sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cut(text: str, wide: int) -> str:
    """Cut to a width, and to a number of characters, since accents have no width."""
    most = 2 * wide + 4
    if width(text) <= wide and units(text) <= most:
        return text
    end = taken = 0
    while end < len(text) and taken + _char_width(text[end]) < wide and units(text[: end + 1]) < most:
        taken += _char_width(text[end])
        end += 1
    return text[: visible_end(text, end)] + "…"


def _is_numeric(rows: Sequence[Row], name: str) -> bool:
    values = [value for row in rows if (value := row.cells.get(name)) is not None]
    return bool(values) and all(map(is_number, values))
