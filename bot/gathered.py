"""What a sink keeps of the items that pass: the first as rows, a count, and all of them in a temporary file.

Memory stays bounded however many items pass: the file is in memory while it is small and on disk beyond that, and
there is a size at which nothing more is written to it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Self, cast

from bot.lengths import units
from bot.rows import Columns, Record, Row, row_of, scalar
from bot.safe_text import NOTHING
from bot.templates import MarkdownTemplate
from pipelines import readable

MOST_ROWS = 1_000
"""Rows kept to be shown."""
MOST_FIELDS = 500
"""Columns that a CSV file can have."""
IN_MEMORY = 2 * 2**20
ON_DISK = 256 * 2**20
"""Bytes of the temporary file in memory, and in all."""


class Gathered:
    """Collects items; use it as a context manager, which ends the temporary file."""

    def __init__(
        self, columns: Columns, template: MarkdownTemplate | None, *, text_units: int, hide: Callable[[Any], Any]
    ) -> None:
        """Keep values as `columns` reads them; fill `template` for the first items, up to `text_units` in sum.

        `hide` takes the secrets out of a value.
        """
        self._hide = hide
        self.rows: list[Row] = []
        self.texts: list[str] = []
        self.total = 0
        self.fields: dict[str, None] = {}
        self.complete = True
        self._columns = columns
        self._template = template
        self._text_units = text_units
        self._file = cast(IO[bytes], SpooledTemporaryFile(max_size=IN_MEMORY))  # noqa: SIM115  # closed by __exit__

    def __enter__(self) -> Self:
        """Nothing is on disk yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Throw the temporary file away."""
        self._file.close()

    def add(self, item: Any) -> None:
        """Take an item.

        Raises:
            ValueError: a column's expression or a placeholder does not go with it.
            OSError: the disk is full.
        """
        item = self._hide(item)
        record = self._columns.record(item)
        if not isinstance(item, Mapping):
            record = self._hide(record)
        self.total += 1
        if len(self.rows) < MOST_ROWS:
            self.rows.append(row_of(record))
            self._fill(item)
        if len(self.fields) <= MOST_FIELDS:
            self.fields.update(dict.fromkeys(record))
        self._spool(record)

    def lines(self) -> Iterator[bytes]:
        """Yield each record kept in the temporary file as a line of JSON, from the first on."""
        self._file.seek(0)
        yield from iter(self._file.readline, b"")  # not the file itself, which an end halfway would close

    def _fill(self, item: Any) -> None:
        if self._template is not None and self._text_units > 0:
            text = self._template.fill(item)
            self.texts.append(text if text.strip() else NOTHING)
            self._text_units -= units(self.texts[-1])

    def _spool(self, record: Record) -> None:
        if self.complete:
            self._file.write(_line(record))
            self.complete = self._file.tell() <= ON_DISK


def _line(record: Record) -> bytes:
    """Return a record as one line of JSON; where JSON has no word for a value, each value as its cell's text."""
    try:
        text = _ENCODER.encode(dict(record))
    except (ValueError, RecursionError, TypeError):
        text = _ENCODER.encode({name: _known(scalar(value)) for name, value in record.items()})
    return text.encode("utf-8", "replace") + b"\n"


def _known(value: Any) -> Any:
    """Return a value that JSON does not know as what it does: times as text, sets as lists."""
    return json.loads(readable(value))


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_known)
