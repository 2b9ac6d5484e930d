"""Rows as a file to go along with a message: CSV for spreadsheets, or JSON Lines; compressed where it is large."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.gathered import MOST_FIELDS, Gathered
from bot.rows import Scalar, scalar
from bot.safe_text import filename

AS_TEXT = 256 * 2**10
"""Bytes up to which a file stands as text in the message's record."""

_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_CHUNK = 2**16
_STEM = 60


@dataclass(frozen=True, slots=True)
class File:
    """A file of a message; `name` is safe to use anywhere."""

    name: str
    content: bytes

    def record(self) -> dict[str, str]:
        """Return how the file stands in a message's body: its `text`, or `base64` where it is compressed or large."""
        if len(self.content) <= AS_TEXT and not self.name.endswith(".gz"):
            return {"name": self.name, "text": self.content.decode("utf-8")}
        return {"name": self.name, "base64": base64.b64encode(self.content).decode("ascii")}


def rows_file(gathered: Gathered, *, kind: str, name: str, max_bytes: int) -> File | None:
    """Return all rows as a file, or None if it would be larger than `max_bytes` even when compressed.

    `kind` is `csv` or `jsonl`; rows with more fields than a spreadsheet's reader would follow become JSON Lines
    anyway. `name` is without ending. Call it in a thread: it may take seconds.
    """
    if not gathered.complete:
        return None
    is_csv = kind == "csv" and len(gathered.fields) <= MOST_FIELDS

    def chunks() -> Iterator[bytes]:
        return csv_chunks(gathered) if is_csv else gathered.lines()

    full_name = f"{filename(name)[:_STEM]}.{'csv' if is_csv else 'jsonl'}"
    content = _up_to(max_bytes, chunks, compress=False)
    if content is not None:
        return File(full_name, content)
    packed = _up_to(max_bytes, chunks, compress=True)
    return None if packed is None else File(f"{full_name}.gz", packed)


def csv_chunks(gathered: Gathered) -> Iterator[bytes]:
    """Yield a CSV file in UTF-8 with the mark at its start by which spreadsheets know it.

    None is an empty cell, truth is `true` or `false`, lists and mappings are JSON. A text that a spreadsheet would take
    for a formula has an apostrophe before it.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    out.write("\ufeff")
    writer.writerow([_guarded(name) for name in gathered.fields])
    for line in gathered.lines():
        record = json.loads(line)
        writer.writerow([_cell(scalar(record.get(name))) for name in gathered.fields])
        if out.tell() >= _CHUNK:
            yield _taken(out)
    yield _taken(out)


def _cell(value: Scalar) -> Scalar:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _guarded(value) if isinstance(value, str) else value


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8", "replace")


def _up_to(most: int, chunks: Callable[[], Iterator[bytes]], *, compress: bool) -> bytes | None:
    """Return the chunks as one, or None as soon as they are more than `most` bytes."""
    out = io.BytesIO()
    file = gzip.GzipFile(fileobj=out, mode="wb", mtime=0) if compress else out
    for chunk in chunks():
        file.write(chunk)
        if out.tell() > most:
            return None
    if file is not out:
        file.close()
    content = out.getvalue()
    return content if len(content) <= most else None
