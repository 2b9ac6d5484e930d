"""Takes tickets from procrastinate's queue for one worker, whatever becomes of the server in between.

A ticket is fetched only when there is room for its run, and is done with as soon as its claim is under way: how long
procrastinate thinks that a job or a worker lives says nothing about a run. So a restart of PostgreSQL ends the
fetching, which begins again, and no run.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.connector import Notify
from procrastinate.exceptions import ProcrastinateException
from procrastinate.worker import Worker
from psycopg import AsyncConnection, Error
from psycopg_pool import PoolTimeout

from pipelines.store import conninfo
from pipelines.store.ticket_tables import TASK
from pipelines.store.tickets import queue_of

logger = logging.getLogger(__name__)

POLL_S = 1.5
"""So often, in seconds, tickets are looked for that nobody told of."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
"""So long, in seconds, until fetching begins again after the server was out of reach; twice as long each time."""
HEARTBEAT_S, FORGOTTEN_S = 10.0, 120.0
"""How often procrastinate's worker says that it is there, and after how long without it is taken off its list."""
_LOOK_S = 1.0
"""So often, in seconds, it is looked whether the number of slots has changed."""
_CONNECTIONS = 3
_PATIENCE_S = 2.0
"""So long, in seconds, a connection is waited for."""
_LIBRARIES = ("procrastinate", "psycopg.pool")
_WANTED = {
    "application_name": "pipecall worker",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class _Connector(PsycopgConnector):
    """Says, by `ending`, when procrastinate's worker lays down what it does beside fetching: it is about to end."""

    def __init__(self, ending: Callable[[], None], **given: Any) -> None:
        super().__init__(**given)
        self._ending = ending

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        try:
            await super().listen_notify(on_notification, channels)
        finally:
            self._ending()


class Fetching:
    """Fetches tickets while fewer than `slots()` runs are under way.

    `take` is called with the run and the ticket of each; it returns once the run's attempt, if it began, is over.
    """

    def __init__(
        self,
        url: str,
        *,
        queues: frozenset[str] | None,
        slots: Callable[[], int],
        take: Callable[[int, int], Awaitable[None]],
    ) -> None:
        """Fetch from `queues` (None: all) of the PostgreSQL at `url`, once `run` is called.

        Raises:
            StoreError: the URL cannot be read.
        """
        self._where = _WANTED | conninfo.arguments(url)
        self._queues = None if queues is None else sorted(map(queue_of, queues))
        self._slots, self._take = slots, take
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._worker: Any = None
        self._ending = False
        self._stopped = asyncio.Event()
        self.trouble: str | None = None
        """Why no runs can be fetched just now; None where they can, as far as is known."""

    async def run(self) -> None:
        """Fetch until `stop` is called. What was taken goes on beyond it."""
        for name in _LIBRARIES:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what they say of lost connections is said here
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while not self._stopped.is_set():
            began_s = loop.time()
            why = await self._fetch()
            if self._stopped.is_set():
                return
            self.trouble = why
            pause_s = FIRST_PAUSE_S if loop.time() - began_s > LONGEST_PAUSE_S else pause_s
            logger.warning("no runs can be fetched: %s; tried again in %g s", why, pause_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopped.wait()
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _fetch(self) -> str:
        """Fetch as long as the server is there; return what ended it."""
        connector = _Connector(
            self._end,
            kwargs=self._where,
            configure=_prepare,
            min_size=1,
            max_size=_CONNECTIONS,
            timeout=_PATIENCE_S,
        )
        app = App(connector=connector)
        app.task(name=TASK, pass_context=True)(self._ticket)
        self._ending = False
        try:
            async with app.open_async():
                await self._room()
                self._worker, self.trouble = _worker(app, self._queues), None
                if not self._stopped.is_set():
                    await self._worker.run()
        except (ProcrastinateException, PoolTimeout, Error, OSError) as error:
            return str(error.__cause__ or error).strip().split("\n")[0] or type(error).__name__
        finally:
            self._worker = None
        return "the server ended the connection"

    def stop(self) -> None:
        """Fetch no more; `run` returns soon."""
        self._stopped.set()
        self._changed.set()
        if self._worker is not None:
            self._worker.stop()

    def _end(self) -> None:
        self._ending = True
        self._changed.set()

    async def _ticket(self, context: JobContext, run_id: int) -> None:
        """Do what a ticket asks for; the next is fetched once there is room for its run."""
        task = asyncio.create_task(self._taken(run_id, context.job.id or 0), name=f"ticket of run {run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await self._room()

    async def _taken(self, run_id: int, ticket: int) -> None:
        try:
            await self._take(run_id, ticket)
        except Exception:  # the task's outermost frame: a fault of ours must not end the worker
            logger.exception("run %s could not be taken; it gets another ticket", run_id)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _room(self) -> None:
        """Wait until another run may begin here, or fetching is about to end."""
        while len(self._tasks) >= self._slots() and not (self._ending or self._stopped.is_set()):
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._changed.wait()

    async def settled(self) -> None:
        """Wait until all that was taken is over."""
        while self._tasks:
            await asyncio.wait(self._tasks)


def _worker(app: App, queues: list[str] | None) -> Any:
    return Worker(
        app,
        queues=queues,
        concurrency=1,
        fetch_job_polling_interval=POLL_S,
        abort_job_polling_interval=FORGOTTEN_S,
        delete_jobs="always",
        install_signal_handlers=False,
        update_heartbeat_interval=HEARTBEAT_S,
        stalled_worker_timeout=FORGOTTEN_S,
    )


async def _prepare(conn: AsyncConnection[Any]) -> None:
    """Make each statement a transaction of its own; a ticket that a crash of the server brings back is harmless."""
    await conn.set_autocommit(True)
    await conn.execute("SET synchronous_commit = off")
