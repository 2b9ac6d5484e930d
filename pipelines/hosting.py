"""An engine at work in a thread of its own, for programs that are not asynchronous themselves.

The thread is no daemon, so that nothing is cut off in the middle of a write; when the program's main thread ends, the
engine is stopped before Python takes down what it needs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeVar

from pipelines.catalog import Catalog
from pipelines.engine import Engine
from pipelines.errors import InvalidTransition
from pipelines.faces import Faces, start_face
from pipelines.model import StartedBy
from pipelines.registry import Registry
from pipelines.settings import Settings
from pipelines.verbs import Verbs

logger = logging.getLogger(__name__)

FLUSH_S = 5.0
"""So long, in seconds, messages that were not delivered yet may take when it stops."""

T = TypeVar("T")

Work = Callable[[Engine, Verbs], Coroutine[Any, Any, T]]
"""Something to be done with the engine, on its loop."""


class Host:
    """Runs an engine over a catalog until it is told to stop. Its methods may be called from any thread."""

    def __init__(
        self, settings: Settings, catalog: Catalog, registry: Registry, *, faces: Faces, prepare: Work[None]
    ) -> None:
        """Prepare; nothing begins before `start`. `prepare` is done once the engine has started, before it is ready."""
        self._settings, self._catalog, self._registry = settings, catalog, registry
        self._faces = [make(settings, os.environ) for make in faces]
        self._prepare = prepare
        self._pid = os.getpid()
        self._ready: Future[None] = Future()
        self._over: Future[None] = Future()
        self._stop: asyncio.Queue[bool]
        self._loop: asyncio.AbstractEventLoop
        self._engine: Engine
        self._verbs: Verbs
        self._thread = threading.Thread(target=self._main, name="pipecall", daemon=False)

    # ------------------------------------------------------------ from any thread

    def start(self) -> None:
        """Start the thread and return once the engine is ready. Raises whatever keeps it from that."""
        _before_python_ends(self)
        self._thread.start()
        self._ready.result()

    def call(self, work: Work[T]) -> T:
        """Do something with the engine, on its loop, and return or raise what comes of it.

        Raises:
            InvalidTransition: the engine stopped meanwhile, or it is its own thread that calls, which would wait for
                itself for ever.
        """
        if threading.current_thread() is self._thread:
            raise InvalidTransition(
                "this was called in the scheduler's own thread, by a job with executor='inline' or a watcher: it would "
                "wait for itself for ever; give the job executor='thread'"
            )
        if os.getpid() != self._pid:
            raise InvalidTransition(
                "this process was forked from the scheduler's, and has none: it stayed there; call its methods there, "
                "or start processes by 'spawn'"
            )
        if self._over.done():
            raise InvalidTransition("the scheduler has stopped; call start() first")
        try:
            future = asyncio.run_coroutine_threadsafe(self._done(work), self._loop)
        except RuntimeError:  # the loop was closed in this moment
            raise InvalidTransition("the scheduler has stopped; call start() first") from None
        either: list[Future[Any]] = [future, self._over]
        wait(either, return_when=FIRST_COMPLETED)
        if not future.done():
            raise InvalidTransition("the scheduler stopped before this was done")
        try:
            return future.result()
        except CancelledError:
            raise InvalidTransition("the scheduler stopped before this was done") from None

    async def _done(self, work: Work[T]) -> T:
        return await work(self._engine, self._verbs)

    def tell(self, *, at_once: bool) -> None:
        """Tell the engine to stop: to finish what runs first, or (`at_once`) to cancel it. Does not wait."""
        with suppress(RuntimeError):  # it has ended already
            self._loop.call_soon_threadsafe(self._stop.put_nowait, at_once)

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until everything has ended; False if that is not so after `timeout_s` seconds (None: wait for ever)."""
        if threading.current_thread() is self._thread:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def stop_and_wait(self) -> None:
        """Let what runs finish, wait for that, and be done at once when somebody presses Ctrl-C meanwhile."""
        self.tell(at_once=False)
        while True:
            try:
                self.join()
                return
            except KeyboardInterrupt:
                self.tell(at_once=True)

    @property
    def over(self) -> Future[None]:
        """Done once the engine has ended; it has the exception that ended it, if there was one."""
        return self._over

    # ------------------------------------------------------------ in the thread

    def _main(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._serve())
        except BaseException as problem:  # noqa: BLE001 - the thread's outermost frame: told to whoever waits
            error = problem
        if not self._ready.done():
            self._ready.set_exception(error or InvalidTransition("it was stopped before it had started"))
            error = None
        if error is not None:
            logger.critical("the scheduler died", exc_info=error)
            self._over.set_exception(error)
        else:
            self._over.set_result(None)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Queue()
        async with self._made() as engine, AsyncExitStack() as stack:
            self._engine, self._verbs = engine, Verbs(engine)
            await engine.start()
            await engine.start_timetable()
            await self._prepare(engine, self._verbs)
            await _run_unscheduled(engine)
            engine.start_monitoring()
            for face in self._faces:
                await start_face(face, engine)
                stack.push_async_callback(face.stop)
            self._ready.set_result(None)
            await self._until_told(engine)
            for face in self._faces:
                await face.leave()
            await engine.flush(FLUSH_S)

    def _made(self) -> Engine:
        return Engine(
            self._settings,
            self._catalog,
            env=os.environ,
            channels={name: channel for face in self._faces for name, channel in face.channels().items()},
            absent={name: why for face in self._faces for name, why in face.absent().items()},
            registry=self._registry,
        )

    async def _until_told(self, engine: Engine) -> None:
        """Wait until somebody says stop, or a part of the engine dies, which is raised; then drain."""
        told = asyncio.create_task(self._stop.get(), name="stop")
        failed = asyncio.create_task(engine.failed(), name="watch")
        await asyncio.wait((told, failed), return_when=asyncio.FIRST_COMPLETED)
        if not told.done():
            told.cancel()
            await failed
        failed.cancel()
        at_once = await told
        drained = asyncio.create_task(engine.drain(0 if at_once else self._settings.scheduler_drain_s), name="drain")
        while not drained.done():
            again = asyncio.create_task(self._stop.get(), name="stop")
            await asyncio.wait((drained, again), return_when=asyncio.FIRST_COMPLETED)
            if again.done() and again.result():
                await engine.kill()
            again.cancel()
        await drained


async def _run_unscheduled(engine: Engine) -> None:
    """Run the file's pipelines without a schedule once, as a service does, but for those that have a job by now."""
    with_jobs = {row.pipeline for row in engine.jobs.rows.values()}
    names = [each.name for each in engine.catalog.unscheduled() if each.name not in with_jobs]
    await engine.run_now(names, started_by=StartedBy.STARTUP)


def _before_python_ends(host: Host) -> None:
    """Have a host stopped when the main thread has ended, for whatever reason.

    Python then first forbids new work in thread pools, which the store and asyncio need, and only after that waits for
    threads. To be told before, `threading` has what `concurrent.futures` uses; not documented, but there is no other.
    """
    known = weakref.ref(host)

    def stop() -> None:
        if (found := known()) is not None and not found.over.done():
            logger.info("the program's main thread has ended: stopping; start(blocking=True) would have gone on")
            found.stop_and_wait()

    with suppress(AttributeError):
        threading._register_atexit(stop)  # type: ignore[attr-defined]  # noqa: SLF001  # see above
