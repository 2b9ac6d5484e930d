"""How commands speak: lines, tables, JSON. A terminal gets a drawn table, any other reader one record a line.

Everything goes to standard output, except `note`: what is said beside the answer goes to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.log import printable

Cell = str | Text | None

_JSON = (str, bool, int, float)


def on_terminal() -> bool:
    """Say whether the output is read by a person on a terminal."""
    return sys.stdout.isatty()


def console() -> Console:
    """Return the terminal as rich sees it; `NO_COLOR` and `TERM=dumb` are respected."""
    return Console(highlight=False)


def line(text: str | Text = "") -> None:
    """Print one line, at once; control characters in it cannot steer the terminal, and it is never cut off."""
    if isinstance(text, Text) and on_terminal():
        console().print(text, soft_wrap=True)
        return
    print(printable(str(text)), flush=True)  # noqa: T201 - the user's terminal is whom this is for


def note(text: str) -> None:
    """Print one line to standard error: what is said beside the answer."""
    print(printable(text), file=sys.stderr)  # noqa: T201 - as above


def table(titles: Sequence[str], rows: Iterable[Sequence[Cell]], *, empty: str) -> None:
    """Print a table: drawn with its titles on a terminal, else one line a row with tabs between the cells.

    `empty` is said on a terminal where there are no rows; any other reader gets nothing then.
    """
    cells = [[_text(cell) for cell in row] for row in rows]
    if not on_terminal():
        for row in cells:
            print("\t".join(" ".join(cell.plain.split()) for cell in row))  # noqa: T201 - as above
        return
    if not cells:
        line(empty)
        return
    drawn = Table(box=None, pad_edge=False)
    for title in titles:
        drawn.add_column(title.upper(), overflow="fold")
    for row in cells:
        drawn.add_row(*row)
    console().print(drawn)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Print headings with what is to say under each: in two columns on a terminal, else with a tab between them."""
    if not on_terminal():
        for heading, said in pairs:
            print(f"{heading}\t{' '.join(printable(said).split())}")  # noqa: T201 - as above
        return
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for heading, said in pairs:
        drawn.add_row(Text(heading), Text(printable(said)))
    console().print(drawn)


def _text(cell: Cell) -> Text:
    if isinstance(cell, Text) and printable(cell.plain) == cell.plain:
        return cell
    return Text(printable(str(cell or "")))


def document(value: Any) -> None:
    """Print a value as one indented JSON document; instants become ISO 8601 in UTC, durations seconds."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=_few_letters()))  # noqa: T201 - as above


def json_line(value: Any) -> None:
    """Print a value as JSON on one line, at once."""
    print(json.dumps(plain(value), ensure_ascii=_few_letters()), flush=True)  # noqa: T201 - as above


def _few_letters() -> bool:
    """Say whether the output takes other letters than Unicode's, so that JSON must do with escapes."""
    return not (sys.stdout.encoding or "utf-8").lower().startswith("utf")


def plain(value: Any) -> Any:
    """Return a value as what JSON knows."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str):
        return [plain(each) for each in value]
    return value if value is None or type(value) in _JSON else _spelled(value)


def _spelled(value: Any) -> Any:
    """Return an instant as ISO 8601 in UTC, a duration in seconds, anything else as its text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
