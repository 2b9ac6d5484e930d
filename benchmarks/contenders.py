"""Pipecall, bare procrastinate and bare Celery as `benchmarks.machines` sees them: who asks, who works, what is done.

Each is asked by this process and works in processes of its own, four runs at one time in each, on servers of this
machine: PostgreSQL for Pipecall and procrastinate in a schema of their own; a Redis of its own for Celery, which keeps
what it is given on disk every second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol
from uuid import uuid4

import redis

from benchmarks.measure import write_project
from pipelines import Engine, Settings
from pipelines.loading import load_catalog
from pipelines.store import history
from tests.servers import fresh_schema, own_redis

SLOTS = 4
"""So many runs at one time in each worker process."""
LEASE_S = 6
RABBIT = "amqp://guest:guest@127.0.0.1:5672//"
QUEUE = "pipecall_benchmark"
"""The queue of the Celery peer."""
_DEADLINE_S = 60.0
_ELSEWHERE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL")
"""Starts a program whose process nobody else on this machine knows, as if it were on another."""


class Contender(Protocol):
    """One of those that are compared. What is asked for is `nothing`, `mark` or `hold`, as in `benchmarks.stages`."""

    name: str

    async def ask(self, what: str, count: int = 1) -> None:
        """Ask for so many runs; returns when that is recorded."""

    async def done(self) -> int:
        """How many have come to their end so far."""

    def command(self) -> tuple[Sequence[str], Mapping[str, str], str]:
        """What starts a worker, with what in its environment, and what it says when it is ready."""


@dataclass
class Place:
    """Where one contender is measured: its folder, and the workers that were started there, by the name of theirs."""

    folder: Path
    who: Contender
    workers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def marks(self) -> list[str]:
        """What the runs that mark their start have noted: the time, and which worker it is."""
        path = self.folder / "marks"
        return path.read_text().splitlines() if path.exists() else []

    async def marked(self, count: int) -> tuple[float, str]:
        """Wait until so many have begun; return when the last did, as a Unix time, and at which worker."""
        await until(lambda: len(self.marks()) >= count, 0.002)
        at, worker = self.marks()[count - 1].split()
        return float(at), worker

    async def ended(self, count: int) -> None:
        """Wait until so many have come to their end."""
        deadline = time.monotonic() + 4 * _DEADLINE_S
        while await self.who.done() < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.who.name}: only {await self.who.done()} of {count} ended")
            await asyncio.sleep(0.02)

    async def start(self, *, elsewhere: bool = False) -> None:
        """Start a worker and wait until it is ready; `elsewhere` as if it were on another machine."""
        command, env, ready = self.who.command()
        home = self.folder / f"worker-{len(self.workers)}"
        home.mkdir()
        log = home / "log"
        self.workers[home.name] = _begun([*(_ELSEWHERE if elsewhere else ()), *command], env, log)
        await until(lambda: ready in log.read_text(), 0.05, lambda: log.read_text()[-500:])
        await asyncio.sleep(1)

    def kill(self, name: str) -> None:
        """End a worker and its children with SIGKILL."""
        worker = self.workers[name]
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def _begun(command: Sequence[str], env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as sink:
        return subprocess.Popen(
            command,
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **env},
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


async def until(condition: Any, every_s: float, detail: Any = lambda: "") -> None:
    """Poll until `condition()` holds.

    Raises:
        TimeoutError: it did not within a minute or so.
    """
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {_DEADLINE_S:g} s in vain: {detail()}")
        await asyncio.sleep(every_s)


@dataclass
class _Pipecall:
    """A scheduler that executes nothing, in this process, and `pipecall worker`."""

    name: str
    engine: Engine
    env: Mapping[str, str]

    async def ask(self, what: str, count: int = 1) -> None:
        await self.engine.run_now([what] * count)

    async def done(self) -> int:
        return sum(each.executed for each in await self.engine.reader.read(history.stats))

    def command(self) -> tuple[Sequence[str], Mapping[str, str], str]:
        return [sys.executable, "-m", "pipelines", "worker", "--concurrency", str(SLOTS)], self.env, "ready"


@asynccontextmanager
async def pipecall(folder: Path, executor: str) -> AsyncIterator[Place]:
    """Pipecall with pipelines that run `inline` or in a `process`."""
    chains: dict[str, Any] = {
        "nothing": "benchmarks.stages.nothing",
        "mark": {"class": "benchmarks.stages.mark", "kwargs": {"file": str(folder / "marks")}},
        "hold": {"class": "benchmarks.stages.mark_and_hold", "kwargs": {"file": str(folder / "marks")}},
    }
    given = {"executor": executor, "max_instances": 1000, "on_crash": "retry"}
    write_project(folder, {"pipelines": {name: {**given, "chain": [stage]} for name, stage in chains.items()}})
    with fresh_schema() as url:
        env = {
            "PIPELINES_CONFIG": str(folder / "pipelines.yml"),
            "SCHEDULER_DB_URL": url,
            "EXECUTOR": "procrastinate",
            "RUN_LEASE_SECONDS": str(LEASE_S),
            "PLUGINS_ALLOW": "benchmarks.stages",
            "WEB": "off",
        }
        named: dict[str, Any] = {name.lower(): value for name, value in env.items()}
        settings = Settings(**{**named, "_env_file": None, "run_lease_seconds": LEASE_S})
        async with Engine(settings, load_catalog(settings, {})) as engine:
            await engine.start()
            with _working(folder, _Pipecall("Pipecall", engine, env)) as place:
                yield place


@dataclass
class _Procrastinate:
    """`benchmarks.bare_procrastinate`; its jobs are kept, as Pipecall keeps its runs."""

    url: str
    app: Any
    marks: str
    name: str = "procrastinate"

    async def ask(self, what: str, count: int = 1) -> None:
        given = {} if what == "nothing" else {"file": self.marks}
        await self.app.configure_task(what).batch_defer_async(*[given] * count)

    async def done(self) -> int:
        asked = (
            "SELECT count(*) AS n FROM procrastinate_jobs WHERE task_name <> 'retry_stalled' AND status = 'succeeded'"
        )
        return int((await self.app.connector.execute_query_one_async(asked))["n"])

    def command(self) -> tuple[Sequence[str], Mapping[str, str], str]:
        return [sys.executable, "-m", "benchmarks.bare_procrastinate", self.url, str(SLOTS)], {}, "Starting worker"


@asynccontextmanager
async def procrastinate(folder: Path) -> AsyncIterator[Place]:
    """Bare procrastinate, whose tasks run in the event loop of a worker."""
    with fresh_schema() as url:
        app = resolve_name("benchmarks.bare_procrastinate:app_at")(url)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            with _working(folder, _Procrastinate(url, app, str(folder / "marks"))) as place:
                yield place


@dataclass
class _Celery:
    """`benchmarks.bare_celery`; the ends of its tasks are kept in Redis, each under a key of its own."""

    broker: str
    results: str
    app: Any
    kept: Any
    marks: str
    name: str

    async def ask(self, what: str, count: int = 1) -> None:
        await asyncio.to_thread(self._ask, what, count)

    def _ask(self, what: str, count: int) -> None:
        given = [] if what == "nothing" else [self.marks]
        with self.app.producer_pool.acquire(block=True) as producer:
            for _ in range(count):
                self.app.send_task(what, args=given, producer=producer)

    async def done(self) -> int:
        return int(self.kept.dbsize())

    def command(self) -> tuple[Sequence[str], Mapping[str, str], str]:
        program = [sys.executable, "-m", "celery", "-A", "benchmarks.bare_celery", "worker"]
        options = ["--concurrency", str(SLOTS), "--hostname", f"{uuid4().hex}@benchmark", "--loglevel", "INFO"]
        return [*program, *options], {"BROKER": self.broker, "RESULTS": self.results}, " ready."


@asynccontextmanager
async def celery(folder: Path, *, rabbit: bool = False) -> AsyncIterator[Place]:
    """Bare Celery, whose tasks run in processes; its messages are in Redis or, with `rabbit`, in RabbitMQ."""
    with own_redis(folder) as server:
        server_url = server.url.rpartition("/")[0]
        broker, results = RABBIT if rabbit else f"{server_url}/0", f"{server_url}/1"
        app = resolve_name("benchmarks.bare_celery:app_at")(broker, results)
        kept: Any = redis.Redis.from_url(results)
        name = f"Celery on {'RabbitMQ' if rabbit else 'Redis'}"
        try:
            with _working(folder, _Celery(broker, results, app, kept, str(folder / "marks"), name)) as place:
                yield place
        finally:
            kept.close()
            if rabbit:
                app.amqp.queues[QUEUE].bind(app.connection().default_channel).delete()
            app.close()


@contextmanager
def _working(folder: Path, who: Contender) -> Iterator[Place]:
    place = Place(folder, who)
    try:
        yield place
    finally:
        for name in place.workers:
            place.kill(name)
