"""Reading from and writing to SQL databases: `SqlQuery` and `SqlSink`, on SQLAlchemy.

The connection and its thread live in `database`, tables and their columns in `table`.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self

import sqlalchemy as sa

from pipelines.errors import PipecallError
from pipelines.transform import Fetcher, Transform, current_run
from pipelines.transforms.database import Database, SqlRefused, parsed_url
from pipelines.transforms.table import INSERTS, Target, created, existing


class SqlQuery(Fetcher):
    """Yields the rows of a query as dicts.

    ```yaml
    class: pipelines.transforms.SqlQuery
    kwargs:
      url: sqlite:///data/prices.db
      query: SELECT name, price FROM prices WHERE price > :least ORDER BY name
      params: {least: 100}
    ```

    Rows are read a batch at a time while the stages behind take them. Values are JSON: dates and times become ISO 8601
    text, whole decimals `int` and others `float`, intervals seconds, bytes base64, all else that is not JSON text.
    The transaction is rolled back at the end: a query reads.

    Args:
        url: URL of the database, as SQLAlchemy writes it; a path in it is relative to the working directory.
        query: One statement that gives rows. `:name` is a parameter, never put into the text; a backslash before
            another colon keeps it a colon.
        params: Values of the parameters; the run's own parameters of the same names win.
        batch: Rows read at once; default 500.

    Raises:
        SqlError: the database cannot be reached, or fails.
        SqlRefused: it refuses the statement, which gives no rows or two columns of one name, or whose parameter has
            no value or a list; a SQLite file that is not there.
        ValueError: no database URL, a batch below 1, a parameter that the query does not use.
    """

    def __init__(self, url: str, query: str, *, params: dict[str, Any] | None = None, batch: int = 500) -> None:
        """See the class."""
        parsed_url(url, "SqlQuery")
        if batch < 1:
            raise ValueError(f"SqlQuery: batch is {batch}, expected at least 1")
        self._url = url
        self._query = sa.text(query)
        self._names = sorted(self._query.compile().params)
        self._params = dict(params or {})
        self._batch = batch
        unused = sorted(self._params.keys() - set(self._names))
        if unused:
            names = ", ".join(self._names) or "none"
            raise ValueError(f"SqlQuery: params has {unused[0]!r}, which is not in the query; its parameters: {names}")

    async def fetch(self) -> AsyncIterator[Any]:
        """Yield the rows."""
        values = self._values({**self._params, **current_run().params})
        async with Database(self._url, stage="SqlQuery", writes=False) as database:
            batches = await database.call(partial(self._batches, values))
            try:
                while rows := await database.call(lambda _: next(batches, None)):
                    for row in rows:
                        yield row
            finally:
                await database.call(lambda _: batches.close())

    def _values(self, known: Mapping[str, Any]) -> dict[str, Any]:
        for name in self._names:
            if name not in known:
                raise SqlRefused(
                    f"SqlQuery: parameter :{name} has no value; give it in params or start the run with it"
                )
            if isinstance(known[name], list | dict):
                raise SqlRefused(f"SqlQuery: parameter :{name} is a {type(known[name]).__name__}, expected one value")
        return {name: known[name] for name in self._names}

    def _batches(
        self, values: dict[str, Any], connection: sa.Connection
    ) -> Generator[list[dict[str, Any]], None, None]:
        with connection.execution_options(yield_per=self._batch).execute(self._query, values) as result:
            if not result.returns_rows:
                raise SqlRefused("SqlQuery: the statement gives no rows; nothing was changed, since a query only reads")
            columns = list(result.keys())
            double = [name for name in columns if columns.count(name) > 1]
            if double:
                raise SqlRefused(f"SqlQuery: two columns are called {double[0]!r}; give one another name with AS")
            for rows in result.partitions():
                yield [{name: as_json(row[at]) for at, name in enumerate(columns)} for row in rows]


class SqlSink(Transform):
    """Writes items, which are dicts, into a table, then passes them on.

    ```yaml
    class: pipelines.transforms.SqlSink
    kwargs:
      url: sqlite:///data/prices.db
      table: prices
      key: name
      mode: upsert
    ```

    All is one transaction: it is committed when the whole chain has ended well, and rolled back when any stage fails,
    skips or is cancelled, so a run leaves all of its rows or none. Until then SQLite lets nobody else write to the
    file; two of these stages in one chain therefore need two files. Rows are written in batches, and items go on
    after theirs; a stage behind that stops early leaves the whole last batch written.

    A table that is not there is made from the first batch: a column for each field, by its values BOOLEAN, BIGINT,
    DOUBLE, NUMERIC, TIMESTAMP, DATE, TEXT, or JSON for lists and dicts. Nothing is added to a table that exists. A
    value must fit its column unchanged; ISO text fits a date or time, and times become UTC.

    Args:
        url: URL of the database, as SQLAlchemy writes it; a path in it is relative to the working directory.
        table: The table to write to.
        schema: The table's schema, where the database has such; None is the default one.
        key: Field or fields that tell rows apart; becomes the primary key of a table that is made.
        mode: `insert` (default; a row whose key is there already is an error) or `upsert` (it is updated, in the
            columns that the item has; needs `key` and SQLite or PostgreSQL).
        create: Make the table if it is not there (default); False makes that an error.
        batch: Items written at once; default 500.

    Raises:
        SqlError: the database cannot be reached, or fails.
        SqlRefused: an item that is not a dict, has a field that is no column, lacks the key, or a value that does not
            fit; no such table; what the database refuses.
        ValueError: no database URL, an empty table or key, a batch below 1, `upsert` without key or elsewhere.
    """

    outward = True

    def __init__(
        self,
        url: str,
        table: str,
        *,
        schema: str | None = None,
        key: str | list[str] | None = None,
        mode: Literal["insert", "upsert"] = "insert",
        create: bool = True,
        batch: int = 500,
    ) -> None:
        """See the class."""
        self._key = [key] if isinstance(key, str) else list(key or ())
        backend = parsed_url(url, "SqlSink").get_backend_name()
        if not table or not all(self._key) or batch < 1:
            raise ValueError(f"SqlSink: table, key and batch must not be empty or 0, found {table!r}, {key!r}, {batch}")
        if mode == "upsert" and (not self._key or backend not in INSERTS):
            raise ValueError(
                f"SqlSink: mode upsert needs a key, and {' or '.join(INSERTS)}; found {key!r} and {backend}"
            )
        self._url = url
        self._table = table
        self._schema = schema
        self._upsert = mode == "upsert"
        self._create = create
        self._batch = batch
        self._database: Database | None = None
        self._target: Target | None = None

    async def __aenter__(self) -> Self:
        """Make ready; the database is opened with the first batch."""
        self._database = Database(self._url, stage="SqlSink", writes=True)
        self._target = None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit if the chain ended well and anything was written, else roll back."""
        database, self._database = self._database, None
        if database is None:
            return
        async with database:
            if kind is None and self._target is not None:
                await database.call(lambda connection: connection.commit())

    async def __call__(self, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Write the items batch by batch; each goes on once its batch is written."""
        batch: list[Any] = []
        async for item in items:
            batch.append(checked(item))
            if len(batch) >= self._batch:
                await self._flush(batch)
                for written in batch:
                    yield written
                batch = []
        if batch:
            await self._flush(batch)
        for written in batch:
            yield written

    async def _flush(self, batch: Sequence[dict[str, Any]]) -> None:
        if self._database is None:
            raise PipecallError("SqlSink is used in a chain or in `async with`; it was not entered")
        await self._database.call(partial(self._write, batch))

    def _write(self, batch: Sequence[dict[str, Any]], connection: sa.Connection) -> None:
        if self._target is None:
            self._target = Target(self._opened(batch, connection), self._key, upsert=self._upsert)
        self._target.write(connection, batch)

    def _opened(self, batch: Sequence[dict[str, Any]], connection: sa.Connection) -> sa.Table:
        table = existing(connection, self._table, self._schema)
        if table is None and not self._create:
            raise SqlRefused(f"SqlSink: there is no table {self._table!r}; make it, or set create: true")
        if table is None:
            table = created(connection, self._table, self._schema, key=self._key, items=batch)
        return table


def checked(item: Any) -> dict[str, Any]:
    """Return `item` if it is a dict whose names are non-empty text.

    Raises:
        SqlRefused: it is not.
    """
    if not isinstance(item, dict) or not item or not all(isinstance(name, str) and name for name in item):
        raise SqlRefused(
            f"SqlSink: found {str(item)[:80]!r} ({type(item).__name__}), expected a dict with named fields"
        )
    return item


def as_json(value: Any) -> Any:
    """Return a database's value as JSON; see `SqlQuery` for what becomes of which type."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [as_json(part) for part in value]
    if isinstance(value, dict):
        return {str(name): as_json(part) for name, part in value.items()}
    read = next((read for kind, read in _READS if isinstance(value, kind)), str)
    return read(value)


def _from_decimal(value: Decimal) -> int | float:
    return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)


_READS: list[tuple[Any, Callable[[Any], Any]]] = [
    (datetime | date | time, lambda value: value.isoformat()),
    (Decimal, _from_decimal),
    (timedelta, timedelta.total_seconds),
    (bytes | bytearray | memoryview, lambda value: base64.b64encode(value).decode("ascii")),
]
