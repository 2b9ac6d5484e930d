"""A scheduler's life in a Python program: settings, start, stop, signals, and the way into its thread.

What programs do with it is in `job_making` and `scheduler`.
"""

from __future__ import annotations

import getpass
import logging
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import FrameType
from typing import Any, Self, TypeVar

from pipelines.engine import Engine
from pipelines.errors import ConfigError, InvalidTransition, Problem
from pipelines.faces import Faces
from pipelines.hosting import Host, Work
from pipelines.inventory import Inventory
from pipelines.log import set_up_logging
from pipelines.model import Actor, Asked, Role, ScheduleRow
from pipelines.pipeline import check_known
from pipelines.settings import Settings, read_settings
from pipelines.store.schedules import PYTHON
from pipelines.verbs import Verbs
from pipelines.wishes import Wish

logger = logging.getLogger(__name__)

DOOR = PYTHON
"""The source of jobs that Python programs make."""
WORKER = "pipelines.execution.worker_process"
T = TypeVar("T")

_SHORT = {
    "db_url": "scheduler_db_url",
    "config": "pipelines_config",
    "timezone": "scheduler_timezone",
    "max_jobs": "scheduler_max_jobs",
    "retry_attempts": "scheduler_retry_attempts",
    "retry_delay": "scheduler_retry_delay",
    "drain_s": "scheduler_drain_s",
}
"""Short names of settings; the others go by the names of their fields."""


class Hosted:
    """What a `PipelineScheduler` is, but for what it is for."""

    def __init__(self, *, faces: Faces = (), **settings: Any) -> None:
        """Read the settings, as the service does, and the pipelines file if there is one; nothing is started.

        Args:
            faces: further ways in, such as `pipelines.faces` names; none are started by themselves.
            settings: what wins over environment and `.env`: `db_url`, `config` (the pipelines file), `timezone`,
                `max_jobs`, `retry_attempts`, `retry_delay`, `drain_s`, or any setting by its name in lower case. None
                is as if it were not given.

        Raises:
            ConfigError: all that is wrong with settings or file.
        """
        check_known(settings, (*_SHORT, *Settings.model_fields, "_env_file"), "PipelineScheduler")
        given = {
            _SHORT.get(name, name): value for name, value in settings.items() if value is not None or name[0] == "_"
        }
        if given.get("executor", "local") != "local":
            why = "a program executes what it made itself, as no worker has it; expected local, or nothing"
            raise ConfigError([Problem(f"found {given['executor']!r}; {why}", path="executor")])
        self._inventory = Inventory(read_settings(**given))
        self._faces = faces
        self._lock = threading.RLock()  # held while something changes, never while waiting for runs to end
        self._host: Host | None = None
        self._started_before = False

    @property
    def running(self) -> bool:
        """Whether it is started and has not stopped."""
        return self._host is not None and not self._host.over.done()

    def start(self, *, blocking: bool = False) -> None:
        """Begin to run jobs, in a thread of its own; first of all what an earlier start left behind is taken up.

        With `blocking` it returns only once the scheduler has stopped: by SIGTERM or SIGINT (Ctrl-C), when what runs
        may finish as at `stop`, a second one ends it at once; or by `stop` in another thread. Without it, the scheduler
        stops when the program's main thread ends.

        Raises:
            StoreLocked: another scheduler or service uses the store.
            StoreError: the store cannot be used.
            ConfigError: the pipelines file was changed since, and is wrong now.
            InvalidTransition: it is started already, or a worker process called this as it loaded the program's file.
        """
        if not blocking:
            self._begin()
            return
        options, settings = self._inventory.catalog.options, self._inventory.settings
        if not logging.getLogger().handlers:
            set_up_logging(options.log_level, settings.log_format)
        with _signals() as received:
            _serve(self._begin(), received)

    def _begin(self) -> Host:
        with self._lock:
            if self.running:
                raise InvalidTransition("the scheduler is started already")
            _refuse_in_worker()
            if self._started_before:
                self._inventory.renew()
            self._inventory.take_registered()
            self._started_before = True
            found = self._inventory
            host = Host(found.settings, found.catalog, found.registry, faces=self._faces, prepare=self._prepare)
            host.start()
            self._host = host
            return host

    def stop(self, *, wait: bool = True) -> None:
        """Start no more runs, let those that go on finish for `SCHEDULER_DRAIN_S` seconds, cancel the rest, and stop.

        With `wait` False they are cancelled at once. Stopping what is not started is fine.
        """
        host = self._host
        if host is not None and not host.over.done():
            host.tell(at_once=not wait)
            host.join()

    shutdown = stop

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, once what runs has finished."""
        self.stop()

    async def _prepare(self, engine: Engine, verbs: Verbs) -> None:
        """Make the jobs that were added before; one that cannot be made ends the start."""
        for each in list(self._inventory.wishes.values()):
            await self._scheduled(each, engine, verbs)

    def _call(self, work: Work[T]) -> T:
        host = self._host
        if host is None:
            raise InvalidTransition("the scheduler is not started; call start() first")
        return host.call(work)

    def _retime(self, pipelines: Sequence[str]) -> None:
        """Have the jobs of these pipelines timed anew where the scheduler is started."""

        async def adopted(engine: Engine, _: Verbs) -> None:
            for name in pipelines:
                engine.jobs.adopt(name)

        if pipelines and self.running:
            self._call(adopted)

    @cached_property
    def _asked(self) -> Asked:
        """Who asks: whoever runs the program may do all."""
        user = getpass.getuser()
        return Asked(Actor(id=f"{DOOR}:{user}", name=user, level=Role.ADMIN), DOOR)

    async def _scheduled(self, wanted: Wish, engine: Engine, verbs: Verbs) -> ScheduleRow:
        """Make a job, or leave the one of its name as it is where that is the same."""
        return await verbs.schedule(
            self._asked,
            wanted.pipeline,
            wanted.spec,
            timezone=wanted.timezone,
            params=wanted.context,
            name=wanted.job_id,
            replace=True,
            since=wanted.since(engine.clock()),
        )


def _refuse_in_worker() -> None:
    """Raise where this is a worker process that loads the program's main file."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name == WORKER:
        raise InvalidTransition(
            "start() was called while a worker process loaded this file; put what starts the scheduler under "
            "if __name__ == '__main__':"
        )


def _serve(host: Host, received: queue.SimpleQueue[str]) -> None:
    """Wait until the scheduler has stopped, and stop it at each signal received; raise what it died of."""
    host.over.add_done_callback(lambda _: received.put(""))
    logger.info("ready; Ctrl-C stops")
    if first := received.get():
        logger.info("%s: stopping; a second signal stops at once", first)
        host.tell(at_once=False)
    while not host.over.done():
        if again := received.get():
            logger.warning("%s again: stopping at once", again)
            host.tell(at_once=True)
    host.join()
    host.over.result()


@contextmanager
def _signals() -> Iterator[queue.SimpleQueue[str]]:
    """Within the block, SIGTERM and SIGINT go to the queue; elsewhere than in the main thread nothing does."""
    received: queue.SimpleQueue[str] = queue.SimpleQueue()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def receive(number: int, _: FrameType | None) -> None:
        received.put(signal.Signals(number).name)

    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
