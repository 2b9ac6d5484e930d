"""The sink that writes items to a file: FileSink, and the two forms a line can have, CSV and JSON Lines.

How the file is put in place lives in `spool`; reading such files, in `files`.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from pipelines.model import utcnow
from pipelines.transform import RunContext, Transform, current_run
from pipelines.transforms.spool import Spool
from pipelines.transforms.values import Placeholders, as_list, plain, readable, shortened

SLICE = 256 * 1024
"""Characters that are gathered before a thread writes them."""


class Rows(Protocol):
    """The form of a file's rows."""

    @property
    def header(self) -> str:
        """The line before all others, with its newline, for a file that is still empty; empty when there is none."""

    def add(self, item: Any) -> None:
        """Write an item's line."""


class LineFeeds:
    """Takes the rows of a `csv.writer` and ends each with a line feed alone.

    Told to do so itself, Python 3.11's writer no longer quotes a carriage return within a cell, and the cell is lost.
    """

    def __init__(self, out: io.StringIO) -> None:
        """Write to `out`."""
        self._out = out

    def write(self, row: str) -> None:
        """Write a row that ends in carriage return and line feed."""
        self._out.write(row.removesuffix("\r\n") + "\n")


class CsvRows:
    """CSV lines, RFC 4180 but for the newline, which is a single line feed."""

    def __init__(self, out: io.StringIO, columns: list[str] | None, *, given: bool, headed: bool) -> None:
        """Write to `out`.

        `columns` None takes the first item's; `given` leaves out the fields that are no column, else they are an
        error; `headed` writes the columns before the first item.
        """
        self._writer = csv.writer(LineFeeds(out))
        self._headed = headed
        self._given = given
        self._columns: list[str] | None = None
        if columns is not None:
            self._set_columns(columns)

    def _set_columns(self, columns: list[str]) -> list[str]:
        self._columns = columns
        self._known = frozenset(columns)
        if self._headed:
            self._writer.writerow(columns)
        return columns

    @property
    def header(self) -> str:
        """The line of the columns; empty while they are not known."""
        line = io.StringIO()
        if self._columns is not None:
            csv.writer(LineFeeds(line)).writerow(self._columns)
        return line.getvalue()

    def add(self, item: Any) -> None:
        """Write an item's cells.

        Raises:
            ValueError: the item is not a dict, or has a field that is no column.
        """
        if not isinstance(item, Mapping):
            raise ValueError(f"a CSV line needs a dict, found {shortened(item)}; use Select before, or format: jsonl")
        columns = self._set_columns([str(name) for name in item]) if self._columns is None else self._columns
        if not self._given and not item.keys() <= self._known:
            extra = ", ".join(repr(name) for name in item if name not in self._known)
            raise ValueError(
                f"an item has {extra}, which is not among the file's columns ({', '.join(columns)}); "
                "name the columns with the argument columns, or use Select before"
            )
        self._writer.writerow([cell(item.get(name)) for name in columns])


class JsonRows:
    """One JSON value on each line."""

    header = ""

    def __init__(self, out: io.StringIO) -> None:
        """Write to `out`."""
        self._out = out

    def add(self, item: Any) -> None:
        """Write an item.

        Raises:
            ValueError: it cannot be written as JSON.
        """
        self._out.write(readable(item) + "\n")


def cell(value: Any) -> Any:
    """Return how a value stands in a CSV cell: None is empty, truth is `true` or `false`, lists and dicts are JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | list | dict):
        return readable(value)
    return plain(value) if isinstance(value, datetime) else value


class FileSink(Transform):
    """Writes the items to a file, as CSV or JSON Lines in UTF-8, and passes them on.

    The file is there whole or not at all: lines go to a hidden file beside it, which takes its place (or is added to
    its end) once all stages have ended well. If one fails, or the run is cancelled, the file stays as it was.

    CSV takes its columns from the first item, or in append mode from the file's own first line. None and missing
    fields are empty cells, truth is `true` or `false`, lists and dicts are JSON.

    ```yaml
    class: pipelines.transforms.FileSink
    kwargs:
      path: output/{pipeline}-{date}.csv
    ```

    Args:
        path: The file, seen from the service's working folder; missing folders are made. `{date}` is the day the run
            was due, or is done when it has no schedule (UTC, 2026-01-31), `{run_id}` the run's number, `{pipeline}`
            its pipeline's name.
        format: `csv` or `jsonl`. Default: auto, by the ending of the path: .csv, .jsonl or .ndjson.
        columns: The columns of a CSV file, in order; fields that are not among them are left out. Default: the first
            item's fields, and a field that comes up later is an error.
        mode: `replace` writes the file anew, `append` adds to its end. Two runs must not append to one file at the
            same time. Default: replace.

    Raises:
        ValueError: an argument is wrong, an item cannot be written, or `columns` differ from those of the file to
            append to.
        OSError: the file cannot be written.
    """

    outward = True

    def __init__(
        self,
        path: str,
        *,
        format: Literal["auto", "csv", "jsonl"] = "auto",  # noqa: A002  # the word people look for in the file
        columns: list[str] | None = None,
        mode: Literal["replace", "append"] = "replace",
    ) -> None:
        """Check the arguments; nothing is opened before the first item is asked for."""
        self._path = Placeholders(path, argument="path", known=["date", "pipeline", "run_id"])
        self._is_csv = file_format(path, format) == "csv"
        if mode not in ("replace", "append"):
            raise ValueError(f"mode: found {mode!r}, expected replace or append")
        if columns is not None and not self._is_csv:
            raise ValueError("columns: only a CSV file has columns; use Select before, to choose fields")
        self._columns = None if columns is None else as_list(columns, argument="columns")
        self._append = mode == "append"
        self._out = io.StringIO()
        self._spool: Spool | None = None
        self._rows: Rows = JsonRows(self._out)
        self._failed = False

    async def __aenter__(self) -> Self:
        """Nothing is opened yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the file in place if all went well, else throw it away.

        Raises:
            OSError: it cannot be put in place; it is thrown away then.
        """
        if self._spool is None:
            return
        if kind is None and not self._failed:
            await asyncio.to_thread(self._finish, self._spool)
        else:
            await asyncio.to_thread(self._spool.discard)

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Write each item, then pass it on.

        A later stage that asks for no more items closes this one; what was written until then counts.
        """
        self._spool = spool = Spool(Path(self._path.fill(path_values(current_run()))))
        try:
            self._rows = await asyncio.to_thread(self._open, spool)
            async for item in items:
                self._rows.add(item)
                if self._out.tell() >= SLICE:
                    await asyncio.to_thread(spool.write, self._taken())
                yield item
        except GeneratorExit:
            raise
        except BaseException:
            self._failed = True
            raise

    def _open(self, spool: Spool) -> Rows:
        columns = self._file_columns(spool.target) if self._append and self._is_csv else self._columns
        spool.open()
        if not self._is_csv:
            return JsonRows(self._out)
        return CsvRows(self._out, columns, given=self._columns is not None, headed=not self._append)

    def _file_columns(self, target: Path) -> list[str] | None:
        if not target.exists() or not target.stat().st_size:
            return self._columns
        with target.open(encoding="utf-8-sig", newline="") as file:
            there = next(csv.reader(file), [])
        if self._columns is not None and self._columns != there:
            raise ValueError(
                f"columns: {target} has the columns {', '.join(there)}, but those given are "
                f"{', '.join(self._columns)}; move the file away, or give its own"
            )
        return there

    def _taken(self) -> str:
        text = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        return text

    def _finish(self, spool: Spool) -> None:
        spool.write(self._taken())
        if self._append:
            spool.append(self._rows.header)
        else:
            spool.replace()


def file_format(path: str, given: str) -> str:
    """Return `csv` or `jsonl`: what was given, or for `auto` what the path's ending says.

    Raises:
        ValueError: neither says so.
    """
    endings = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    if given not in ("auto", "csv", "jsonl"):
        raise ValueError(f"format: found {given!r}, expected auto, csv or jsonl")
    found = endings.get(Path(path).suffix.lower()) if given == "auto" else given
    if found is None:
        raise ValueError(f"path: {path!r} does not end in {', '.join(endings)}; say format: csv or format: jsonl")
    return found


def path_values(run: RunContext) -> dict[str, Any]:
    """Return what the placeholders in a path stand for; a slash in a pipeline's name makes no folder."""
    pipeline = run.pipeline.replace("/", "_").replace("\\", "_")
    return {"date": (run.due_at or utcnow()).date(), "pipeline": pipeline, "run_id": run.run_id}
