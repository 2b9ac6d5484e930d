"""Rows as the bodies of messages: embeds, a table, a list, or texts of a template; what shape suits them.

Pure functions of what was gathered. What stands around the bodies, and files, are put together in `posts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from bot import tables
from bot.lengths import cut, units
from bot.limits import EMBED_DESCRIPTION, EMBED_FIELDS, EMBED_TITLE, embed_size
from bot.packing import EMBEDS_ROOM, Part, packed_embeds, packed_lines
from bot.rows import CELL_UNITS, Row, Scalar, fits, markdown_text, names_of
from bot.safe_text import NOTHING, inline_cut

Format: TypeAlias = Literal["auto", "embed", "table", "list", "template", "csv", "jsonl"]
Shape: TypeAlias = Literal["embed", "table", "preview", "list", "template", "file"]

FEW_ROWS = 3
FEW_FIELDS = 12
TABLE_ROWS = 25
PREVIEW_ROWS = 10
COLUMNS = 6
"""Columns of a table or list when none are named."""
_FIELD_NAME = 100
_INLINE_FIELD = 60
_LIST_VALUE = 250


@dataclass(frozen=True, slots=True)
class Look:
    """How rows are to be shown; see the keywords of `DiscordSink`."""

    format: Format = "auto"
    named: bool = False
    """The columns were named, so that none of them may be left out for brevity."""
    templated: bool = False
    mobile: bool = False
    max_rows: int | None = None
    max_messages: int = 5


@dataclass(frozen=True, slots=True)
class Body:
    """The bodies of messages, and whether they show all there is: each row, each field, each text to its end."""

    parts: tuple[Part, ...]
    whole: bool

    @property
    def shown(self) -> int:
        """How many rows are in them."""
        return sum(part.rows for part in self.parts)


def body_of(rows: Sequence[Row], texts: Sequence[str], total: int, *, look: Look, room: int) -> Body:
    """Return how rows are shown, in texts of at most `room` UTF-16 units.

    `rows` are the first of `total`, `texts` the template filled for them.
    """
    shape = shape_of(rows, total, look)
    if shape == "file":
        return Body((), whole=False)
    most = PREVIEW_ROWS if shape == "preview" else look.max_rows
    first = rows[:most]
    if shape == "embed":
        body = _embeds(first, texts if look.templated else ())
    elif shape == "template":
        parts = packed_lines(texts[:most], room=room)
        body = Body(tuple(parts), whole=all(units(text) < room for text in texts[:most]))
    elif shape == "list":
        body = _listed(first, _columns(rows, look), room)
    else:
        body = _table(first, _columns(rows, look), look, room)
    kept = body.parts[: 1 if shape == "preview" else look.max_messages]
    return Body(kept, whole=body.whole and sum(part.rows for part in kept) == total)


def shape_of(rows: Sequence[Row], total: int, look: Look) -> Shape:
    """Return the shape that was asked for; for `auto` the one that suits the number of rows and their width."""
    if look.format in ("csv", "jsonl"):
        return "file"
    if look.format != "auto":
        shapes: Mapping[str, Shape] = {"embed": "embed", "table": "table", "list": "list", "template": "template"}
        return shapes[look.format]
    if look.templated:
        return "template"
    if total <= FEW_ROWS and all(len(row.cells) <= FEW_FIELDS for row in rows):
        return "embed"
    return "table" if total <= TABLE_ROWS and _table(rows, names_of(rows), look, 10**6).whole else "preview"


def _columns(rows: Sequence[Row], look: Look) -> list[str]:
    names = names_of(rows)
    return names if look.named else names[:COLUMNS]


def _table(rows: Sequence[Row], names: Sequence[str], look: Look, room: int) -> Body:
    made = tables.table(rows, names, limit=tables.NARROW if look.mobile else tables.WIDE)
    parts = packed_lines(made.lines, head=made.head, room=room, fenced=True)
    return Body(tuple(parts), whole=made.whole and _all_named(rows, names))


def _listed(rows: Sequence[Row], names: Sequence[str], room: int) -> Body:
    first, *others = names or ["item"]
    lines = []
    for row in rows:
        values = [markdown_text(row.cells.get(name), _LIST_VALUE) for name in others]
        lines.append(" · ".join([f"**{markdown_text(row.cells.get(first), _LIST_VALUE)}**", *values]))
    fit = all(fits(value, _LIST_VALUE) for row in rows for value in row.cells.values())
    parts = packed_lines(lines, room=room)
    whole = fit and all(row.whole for row in rows) and _all_named(rows, names) and all(units(x) < room for x in lines)
    return Body(tuple(parts), whole=whole)


def _all_named(rows: Sequence[Row], names: Sequence[str]) -> bool:
    known = set(names)
    return all(row.cells.keys() <= known for row in rows)


def _embeds(rows: Sequence[Row], texts: Sequence[str]) -> Body:
    if texts:
        embeds: list[Mapping[str, Any]] = [{"description": cut(text, EMBED_DESCRIPTION) or NOTHING} for text in texts]
        made = embeds[: len(rows)]
        return Body(tuple(packed_embeds(made)), whole=all(units(text) <= EMBED_DESCRIPTION for text in texts))
    each = [_embed(row) for row in rows]
    return Body(tuple(packed_embeds([embed for embed, _ in each])), whole=all(whole for _, whole in each))


def _embed(row: Row) -> tuple[Mapping[str, Any], bool]:
    """Return a row as an embed, its first value as the title, and whether all of it is in there."""
    (_, head), *others = list(row.cells.items()) or [("item", None)]
    whole = row.whole and fits(head, EMBED_TITLE) and len(others) <= EMBED_FIELDS
    embed: dict[str, Any] = {"title": markdown_text(head, EMBED_TITLE), "fields": []}
    size = embed_size(embed)
    for name, value in others[:EMBED_FIELDS]:
        field = _field(name, value)
        size += units(field["name"]) + units(field["value"])
        if size > EMBEDS_ROOM:
            return embed, False
        embed["fields"].append(field)
        whole = whole and fits(value, CELL_UNITS)
    return embed, whole


def _field(name: str, value: Scalar) -> dict[str, Any]:
    shown = markdown_text(value, CELL_UNITS)
    return {"name": inline_cut(name, _FIELD_NAME), "value": shown, "inline": units(shown) <= _INLINE_FIELD}
