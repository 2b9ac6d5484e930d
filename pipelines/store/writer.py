"""Who talks to the database: one thread that writes for everybody, and a few that read. The event loop never does.

Whatever waits when the writer gets to work goes into one transaction, the items of one kind in one call. That is what
makes a durable row cheap: the disk is asked to keep a group, not each. What is written and read lives in the other
modules; how a transaction is made, retried and judged in `transactions`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pipelines.errors import StoreError
from pipelines.store.batches import Answer, Item, Write, grouped
from pipelines.store.postgresql import READERS
from pipelines.store.transactions import Transactions, Unavailable, as_told

A = TypeVar("A")
R = TypeVar("R")
P = ParamSpec("P")
First: TypeAlias = Callable[[Connection], None]

BATCH_S = 0.02
"""A transaction that has worked this long takes no further group in."""
ANSWERS = 20
"""So many callers learn of their result between two turns of the event loop: each has work to do then."""
HURRY_S = 5.0
"""So long a database out of reach is waited for by a process that stops."""
PATIENCE_S = 30.0
"""So long a read waits for its turn behind those that get no answer."""

_log = logging.getLogger(__name__)


class Writer:
    """The one thread that writes, with group commit.

    `pending` counts the writes that somebody waits for plus those that nobody does; `dropped` counts posted ones that
    were refused because `bound` of them were waiting already.
    """

    def __init__(
        self, engine: Engine, *, max_batch: int = 2000, bound: int = 10_000, first: Mapping[Any, First] | None = None
    ) -> None:
        """At most `max_batch` writes share a transaction; beyond `bound` waiting ones, callers wait for room.

        A transaction in which there is a write of `first` begins with what stands beside it there, such as a lock that
        nobody may wait for who has changed rows already. What came while that was waited for goes into it as well.
        """
        self._first = first or {}
        self._engine = engine
        self._transactions = Transactions(engine)
        self._max_batch = max_batch
        self._bound = bound
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._room = asyncio.Semaphore(bound)
        self._calls = 0
        self._posts = 0
        self._posts_lock = threading.Lock()
        self._dropped = 0
        self._closed = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def pending(self) -> int:
        """How many writes are on their way."""
        return self._calls + self._posts

    @property
    def dropped(self) -> int:
        """How many posted writes were refused because too many were waiting."""
        return self._dropped

    async def start(self) -> None:
        """Start the thread; call it once, in the loop that will call the rest."""
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Wait only a while from now on for a database that is out of reach: this process is about to stop."""
        self._transactions.hurry(HURRY_S)

    async def close(self) -> None:
        """Write what waits, then end the thread. What comes later is refused."""
        if self._closed or self._thread is None:
            return
        self._closed = True
        await self._room.acquire()  # the end of the line: those who came before are in the queue now
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        self._room.release()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[Writer]:
        """Within the block there is a writer whose writes wait for none of these, with a connection of its own.

        On SQLite, where one can write at a time, it is this one. At the end what it cannot write soon is given up.
        """
        if self._engine.dialect.name != "postgresql":
            yield self
            return
        other = Writer(self._engine, max_batch=self._max_batch, bound=self._bound)
        await other.start()
        try:
            yield other
        finally:
            other.hurry()
            await other.close()

    async def call(self, fn: Write[A, R], arg: A, *, durable: bool = True) -> R:
        """Write, and return the result once it is committed; `durable` means that it outlives a loss of power.

        Cancelling the caller takes nothing back: what is in the queue is written.

        Raises:
            StoreError: the database refused, was out of reach for a minute, or the writer is closed.
            Exception: whatever `fn` raised for this argument.
        """
        if self._closed or self._loop is None:
            raise StoreError("the store is not open: nothing can be written")
        await self._room.acquire()
        self._calls += 1
        done: asyncio.Future[R] = self._loop.create_future()
        self._queue.put(Item(fn, arg, durable, done))
        return await done

    def post(self, fn: Write[A, Any], arg: A, *, durable: bool = False) -> None:
        """Write some time soon, from any thread; nobody waits. Dropped, and counted, where too many wait already."""
        with self._posts_lock:
            if self._closed or self._posts >= self._bound:
                self._dropped += 1
                return
            self._posts += 1
        self._queue.put(Item(fn, arg, durable, None))

    def _work(self) -> None:
        """The thread's whole life."""
        try:
            while batch := self._take():
                while batch:
                    answers, batch = self._write(batch)
                    self._answer(answers)
        finally:
            self._transactions.close()

    def _take(self) -> list[Item]:
        """Wait for work, then take all there is; nothing means that the writer was closed."""
        item = self._queue.get()
        if item is None:
            return []
        batch = [item]
        self._fill(batch)
        return batch

    def _fill(self, batch: list[Item]) -> None:
        """Add all that waits and has room."""
        with suppress(Empty):
            while len(batch) < self._max_batch:
                item = self._queue.get_nowait()
                if item is None:
                    self._queue.put(None)  # for the next time
                    return
                batch.append(item)

    def _write(self, batch: list[Item]) -> tuple[list[Answer], list[Item]]:
        """Write in one transaction what fits into its time. Returns the answers, and what is left over."""
        try:
            return self._together(batch)
        except Unavailable as error:
            told = as_told(error)
            return [Answer(item, error=told) for item in batch], []
        except BaseException as error:  # noqa: BLE001 -- goes to whoever waits; the thread serves the others
            if len(batch) == 1:
                return [Answer(batch[0], error=as_told(error))], []
        return [answer for item in batch for answer in self._write([item])[0]], []

    def _together(self, batch: list[Item]) -> tuple[list[Answer], list[Item]]:
        durable = any(item.durable for item in batch)

        def work(conn: Connection) -> tuple[list[Answer], list[Item]]:
            answers: list[Answer] = []
            self._begin(conn, batch, may_grow=durable)
            groups = grouped(batch)
            until = monotonic() + BATCH_S
            for number, items in enumerate(groups, start=1):
                results = items[0].fn(conn, [item.arg for item in items])
                answers += [Answer(item, result) for item, result in zip(items, results, strict=True)]
                if monotonic() > until:
                    return answers, [item for rest in groups[number:] for item in rest]
            return answers, []

        return self._transactions.run(work, durable=durable)

    def _begin(self, conn: Connection, batch: list[Item], *, may_grow: bool) -> None:
        """Do what comes before all writes; those that came while it waited need not wait for the next transaction."""
        begun: set[First] = set()
        while missing := {self._first[item.fn] for item in batch if item.fn in self._first} - begun:
            for begin in missing:
                begin(conn)
            begun |= missing
            if may_grow:
                self._fill(batch)

    def _answer(self, answers: Sequence[Answer]) -> None:
        posted = [answer for answer in answers if answer.item.done is None]
        if posted:
            with self._posts_lock:
                self._posts -= len(posted)
        for answer in posted:
            if answer.error is not None:
                _log.error("a write that nobody waits for failed: %s", answer.error)
        waited = [answer for answer in answers if answer.item.done is not None]
        if waited and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolve, waited)

    def _resolve(self, answers: Sequence[Answer]) -> None:
        now, later = answers[:ANSWERS], answers[ANSWERS:]
        if later and self._loop is not None:
            self._loop.call_soon(self._resolve, later)
        self._calls -= len(now)
        for answer in now:
            self._room.release()
            done = answer.item.done
            if done is None or done.done():
                continue
            if answer.error is not None:
                done.set_exception(answer.error)
            else:
                done.set_result(answer.result)


class Reader:
    """A few threads that read, each on a connection of the pool, so that a slow question holds nobody up."""

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`."""
        self._engine = engine
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")

    async def read(self, fn: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what a read function finds; all that it reads is of one instant on SQLite.

        When the connection breaks amid it, the function is called once more on another.

        Raises:
            StoreError: the database refused, could not be reached, or kept others waiting too long.
        """
        until = monotonic() + PATIENCE_S

        def once() -> R:
            with self._engine.connect() as conn:
                return fn(conn, *args, **kwargs)

        def ask() -> R:
            if monotonic() > until:
                raise StoreError(f"the database is out of reach or busy: a read has waited {PATIENCE_S:.0f} s in line")
            try:
                try:
                    return once()
                except DBAPIError as error:
                    if not error.connection_invalidated:
                        raise
                return once()
            except SQLAlchemyError as error:
                raise as_told(error) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def close(self) -> None:
        """End the threads once they have answered."""
        await asyncio.to_thread(self._threads.shutdown)
