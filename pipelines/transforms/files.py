"""Reading CSV and JSON lines, from files or from fetched text: `Csv` and `JsonLines`. Writing lives in `file_sink`."""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
import json
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from pipelines.errors import PipecallError
from pipelines.transform import Transform
from pipelines.transforms.cells import READERS, Kind

SLICE = 1000
"""How many items a thread reads before the event loop gets its turn."""
MAX_LINE = 16 * 1024 * 1024
"""Characters of the longest line that is read; a longer one is no table but a file of another kind."""


class FileError(PipecallError):
    """A file that cannot be read, or a line in it that is not what it should be; the text names both."""

    retryable = False


class LineReader(Transform):
    """A stage that turns text files into items, slice by slice in a thread, so that the event loop stays free.

    The text is the file `path`, read once, or where there is none each incoming item's own: text, or a dict with
    `text` and perhaps `url`.
    """

    def __init__(self, path: str | None, encoding: str) -> None:
        """Keep where to read; an encoding that Python does not know raises ValueError."""
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError(
                f"{type(self).__name__}: encoding {encoding!r} is not known; try utf-8 or cp1252"
            ) from None
        self._path = path
        self._encoding = encoding

    @abstractmethod
    def read(self, name: str, lines: Iterator[str]) -> Iterator[Any]:
        """Yield the items in `lines`, which keep their line ends; `name` is the file as errors name it."""

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield what is in the file, or in each incoming text."""
        number = 0
        async for item in items:
            number += 1
            name, text = (self._path, None) if self._path is not None else self._text(item, number)
            async for found in self._sliced(name, text):
                yield found
            if self._path is not None:
                break

    def _text(self, item: Any, number: int) -> tuple[str, str]:
        text = item.get("text") if isinstance(item, dict) else item
        if not isinstance(text, str):
            raise FileError(
                f"{type(self).__name__}: item {number} is {type(item).__name__} without text; give a path, or let a "
                "stage before this one yield text or dicts with 'text', such as HttpFetch with format: text"
            )
        url = item.get("url") if isinstance(item, dict) else None
        return str(url or f"item {number}"), text

    async def _sliced(self, name: str, text: str | None) -> AsyncIterator[Any]:
        with closing(self._lines(name, text)) as lines:
            rows = self.read(name, lines)
            error: FileError | None = None
            while error is None:
                part, error, ended = await _uninterrupted(rows)
                for row in part:
                    yield row
                if ended:
                    return
            raise error

    def _lines(self, name: str, text: str | None) -> Generator[str, None, None]:
        number = 0
        try:
            with self._opened(name) if text is None else io.StringIO(text, newline="") as file:
                while line := file.readline(MAX_LINE + 1):
                    number += 1
                    if len(line) > MAX_LINE:
                        raise FileError(f"{name}:{number}: the line is longer than {MAX_LINE} characters")
                    yield line
        except UnicodeError as error:
            reason = getattr(error, "reason", error)
            raise FileError(
                f"{name}:{number + 1}: on or after this line the text is not {self._encoding} ({reason}); "
                "name the right encoding, such as cp1252 or latin-1"
            ) from None
        except OSError as error:
            raise FileError(f"{name}:{number + 1}: cannot be read: {error.strerror or error}") from error

    def _opened(self, name: str) -> TextIO:
        if not Path(name).is_file():
            what = "is not a file" if Path(name).exists() else "does not exist"
            raise FileError(f"{name}: {what}; a path is relative to the folder the service runs in, {Path.cwd()}")
        return Path(name).open(encoding=self._encoding, newline="")


class Csv(LineReader):
    """Yields each row of a CSV file as a dict.

    ```yaml
    class: pipelines.transforms.Csv
    kwargs:
      path: companies.csv
      types: {CIK: int, Date added: date}
    ```

    Without `path` the incoming items are read, so that `HttpFetch` with `format: text` may come before. Rows stream;
    the file is never held as a whole. A column without a name is called `column1`, `column2`, … by its place.

    Args:
        path: Path of the file, relative to the working directory; None takes the text of the incoming items.
        delimiter: One character between the cells; default is the comma.
        quote: The character around cells that hold a delimiter or line end; default `"`.
        encoding: Encoding of the file; default UTF-8, with or without byte order mark.
        columns: The names of the columns; None (default) takes them from the first row.
        types: What the texts of a column become: `int`, `float`, `bool` (true/false, yes/no, 1/0), `date` and
            `datetime` (ISO 8601 in, ISO text out, with an offset turned into UTC). In these columns an empty cell is
            None. All others are `str`.

    Raises:
        FileError: no such file, the wrong encoding, a row with more or fewer cells than there are columns, a cell
            that is not of its type, two columns of one name, a type for a column that is not there; names the line.
        ValueError: a delimiter or quote that is not one character, an unknown encoding or type.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        delimiter: str = ",",
        quote: str = '"',
        encoding: str = "utf-8-sig",
        columns: list[str] | None = None,
        types: dict[str, Kind] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(path, encoding)
        for what, sign in (("delimiter", delimiter), ("quote", quote)):
            if len(sign) != 1 or sign in "\r\n" or delimiter == quote:
                raise ValueError(f"Csv: {what} is {sign!r}, expected one character that is used for nothing else")
        unknown = [kind for kind in (types or {}).values() if kind not in READERS]
        if unknown:
            raise ValueError(f"Csv: type {unknown[0]!r} is not known, expected one of {', '.join(READERS)}")
        self._delimiter = delimiter
        self._quote = quote
        self._columns = columns
        self._types = dict(types or {})

    def read(self, name: str, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
        """Yield the rows as dicts."""
        reader = csv.reader(lines, delimiter=self._delimiter, quotechar=self._quote, strict=True)
        try:
            header = self._columns or next((row for row in reader if row), None)
            if header is None:
                return
            columns = self._checked(header, f"{name}:{reader.line_num or 1}")
            reads = [(at, READERS[self._types[column]]) for at, column in enumerate(columns) if column in self._types]
            for row in reader:
                if row:
                    yield _row(columns, reads, row, f"{name}:{reader.line_num}")
        except csv.Error as error:
            raise FileError(f"{name}:{reader.line_num}: not CSV: {error}; is a quote left open?") from None

    def _checked(self, header: list[str], where: str) -> list[str]:
        columns = [column.strip() or f"column{place}" for place, column in enumerate(header, 1)]
        double = {column for column in columns if columns.count(column) > 1}
        if double:
            raise FileError(f"{where}: more than one column is called {min(double)!r}; name them with 'columns'")
        absent = [column for column in self._types if column not in columns]
        if absent:
            raise FileError(f"{where}: there is no column {absent[0]!r} to type; found {', '.join(columns)[:300]}")
        return columns


class JsonLines(LineReader):
    """Yields the JSON value on each line of a file; empty lines are passed over.

    ```yaml
    class: pipelines.transforms.JsonLines
    kwargs:
      path: readings.jsonl
    ```

    Without `path` the incoming items are read, so that `HttpFetch` with `format: text` may come before.

    Args:
        path: Path of the file, relative to the working directory; None takes the text of the incoming items.
        encoding: Encoding of the file; default UTF-8, with or without byte order mark.

    Raises:
        FileError: no such file, the wrong encoding, or a line that is not JSON (NaN and Infinity are not); names the
            line.
        ValueError: an unknown encoding.
    """

    def __init__(self, path: str | None = None, *, encoding: str = "utf-8-sig") -> None:
        """See the class."""
        super().__init__(path, encoding)

    def read(self, name: str, lines: Iterator[str]) -> Iterator[Any]:
        """Yield the value on each line."""
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield json.loads(line, parse_constant=_no_constant)
                except (ValueError, RecursionError) as error:
                    raise FileError(f"{name}:{number}: not JSON: {error}; the line is {line.strip()[:80]!r}") from None


async def _uninterrupted(rows: Iterator[Any]) -> tuple[list[Any], FileError | None, bool]:
    """Take a slice in a thread; a cancel waits for that thread, since the file must not be closed under its hands."""
    reading = asyncio.ensure_future(asyncio.to_thread(_slice, rows))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        await asyncio.wait([reading])
        raise


def _slice(rows: Iterator[Any]) -> tuple[list[Any], FileError | None, bool]:
    """Return the next rows, the error behind them if there is one, and whether the end was reached."""
    part: list[Any] = []
    try:
        for row in islice(rows, SLICE):
            part.append(row)  # noqa: PERF402 - what came before an error is kept, which extend does not promise
    except FileError as error:
        return part, error, False
    return part, None, len(part) < SLICE


def _row(
    columns: list[str], reads: list[tuple[int, Callable[[str], Any]]], row: list[str], where: str
) -> dict[str, Any]:
    if len(row) != len(columns):
        raise FileError(f"{where}: found {len(row)} cells, expected {len(columns)}: {', '.join(columns)[:200]}")
    values: list[Any] = list(row)
    for at, read in reads:
        cell = row[at].strip()
        try:
            values[at] = read(cell) if cell else None
        except (ValueError, OverflowError) as error:
            raise FileError(f"{where}: column {columns[at]!r} is {cell[:80]!r}: {error}") from None
    return dict(zip(columns, values, strict=True))


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
