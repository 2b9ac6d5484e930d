"""Workers as processes of their own, on a PostgreSQL schema of the test module's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from pipelines import membership
from pipelines.model import Run, RunState, StartedBy
from pipelines.store import database, history, runs, sharing, ticket_tables
from tests import forked
from tests.project import DEADLINE_S, Project, Service, fresh_store, until

LEASE_S = "3"
FILE = """
scheduler: {max_parallel_jobs: 4}
pipelines:
  quick: {executor: inline, chain: [{class: far_away.nothing}]}
  gpu: {executor: inline, queue: gpu, chain: [{class: far_away.nothing}]}
  gated: {on_crash: retry, chain: [{class: far_away.wait}]}
  python: {executor: inline, chain: [{class: far_away.python}]}
  many: {max_instances: 100, executor: inline, chain: [{class: far_away.nothing}]}
"""
PLUGIN = """
import asyncio
import gc
import sys
from pathlib import Path

def python(item):
    Path("python").write_text(f"{gc.get_threshold()[0]} {sys.getswitchinterval()}")
    return item

def nothing(item):
    return item

async def wait(item):
    while not Path("open").exists():
        await asyncio.sleep(0.02)
    return item
"""


@dataclass
class Site:
    """A project whose store is on PostgreSQL, a process that queues runs there, and the workers that execute them."""

    project: Project
    engine: Engine

    def queue(self, *pipelines: str) -> list[int]:
        """Queue runs, as a scheduler does."""
        with self.engine.begin() as conn:
            return self.queue_on(conn, *pipelines)

    def queue_on(self, conn: Connection, *pipelines: str) -> list[int]:
        """Queue runs in a transaction."""
        catalog = self.project.catalog(self.project.settings(scheduler_db_url=self.project.env["SCHEDULER_DB_URL"]))
        news = [catalog.get(each).new_run({}, None, StartedBy.MANUAL) for each in pipelines]
        return [run.id for run in runs.insert_runs(conn, news)]

    def run(self, run_id: int) -> Run:
        """How a run stands."""
        with self.engine.connect() as conn:
            found = history.run(conn, run_id)
        assert found is not None
        return found

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Read from the store behind the programs' backs."""
        with self.engine.connect() as conn:
            return [tuple(row) for row in conn.execute(text(statement))]

    def wait_for(self, run_id: int, state: RunState) -> None:
        """Wait until a run is in a state."""
        until(
            lambda: self.run(run_id).state is state, f"run {run_id} is not {state}: {{}}", lambda: str(self.run(run_id))
        )

    @contextmanager
    def worker(self, *arguments: str, **env: str) -> Iterator[Service]:
        """Start `pipecall worker`, and wait until it is ready; it is killed at the end if it still runs."""
        with started(self.project, "worker", *arguments, **env) as process:
            process.wait_for("ready")
            yield process


@contextmanager
def started(project: Project, *arguments: str, **env: str) -> Iterator[Service]:
    """Start `pipecall` with these arguments."""
    output = project.folder / f"program-{time.monotonic_ns()}.log"
    output.touch()
    command = ["-m", "pipelines", *arguments]
    process = forked.start(command, cwd=project.folder, env=project.environment | env, output=output)
    try:
        yield Service(process, output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)


@contextmanager
def site_at(url: str, folder: Path, **env: str) -> Iterator[Site]:
    """A project on the empty schema of PostgreSQL at `url`, without a worker yet."""
    project = Project(folder)
    project.env |= {"SCHEDULER_DB_URL": url, "EXECUTOR": "procrastinate", "RUN_LEASE_SECONDS": LEASE_S, **env}
    plugin = f"far_away_{folder.name}"  # one module of a name is imported into this process
    project.plugin(plugin, PLUGIN)
    project.write(FILE.replace("far_away", plugin))
    settings = project.settings(scheduler_db_url=url, executor="procrastinate")
    here = membership.member(settings, project.catalog(settings), attached=True)
    engine = database.connect(url)
    database.migrate(engine)
    engine = engine.execution_options(**{sharing.OPTION: here.sharing})
    with engine.begin() as conn:
        ticket_tables.install(conn, [None])
    yield Site(project, engine)
    engine.dispose()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project on a schema of the module's own."""
    with fresh_store() as url, site_at(url, tmp_path_factory.mktemp("far")) as made:
        yield made
