"""A store on PostgreSQL with many runs that are over, and what one more costs there; beside it procrastinate's jobs.

Rows are written with SQL, as to run it all would take days. The costs are of the very functions that services call, a
transaction each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Status
from sqlalchemy import Engine, text

from pipelines.model import NewRun, Outcome, RunState, StageCount, StartedBy, utcnow
from pipelines.store import claims, conninfo, database, runs
from pipelines.store.ends import Finish, finish
from pipelines.store.runs import Claim
from pipelines.store.sharing import OPTION, Sharing
from tests.servers import fresh_schema

PIPELINES = 1_000
LIMIT = 50
"""`max_instances` of each pipeline."""
_ROWS = """
    (SELECT id, 'p' || (id % CAST(:pipelines AS bigint)) AS name, now() - interval '60 days' + id * interval '5 s' AS at
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS id) AS old
"""
_STATE = "CASE WHEN id % 100 = 7 THEN 'timed_out' ELSE 'succeeded' END"
_RUNS = (
    "INSERT INTO runs (id, pipeline, schedule_id, due_at, started_by, params, state, queued_at, started_at, ended_at, "
    "attempt, items_in, items_out) "
    f"SELECT id, name, name, at, 'schedule', '{{}}', {_STATE}, at, at, at + interval '2 s', 1, 10, 10 FROM {_ROWS}"
)
_ATTEMPTS = (
    "INSERT INTO attempts (run_id, number, state, started_at, ended_at) "
    f"SELECT id, 1, 'succeeded', at, at + interval '2 s' FROM {_ROWS}"
)
_STAGES = (
    "INSERT INTO stages (run_id, attempt, position, name, items_in, items_out, busy_s) "
    f"SELECT id, 1, 0, 'nothing', 10, 10, 0.5 FROM {_ROWS}"
)
_OCCURRENCES = f"INSERT INTO occurrences (schedule_id, due_at, outcome, run_id) SELECT name, at, 'run', id FROM {_ROWS}"
_COUNTS = (
    "INSERT INTO run_counts (pipeline, state, count, last_ended_at) "
    "SELECT pipeline, state, count(*), max(ended_at) FROM runs GROUP BY pipeline, state "
    "ON CONFLICT (pipeline, state) DO UPDATE SET count = excluded.count"
)
_NEXT_ID = "SELECT setval(pg_get_serial_sequence('runs', 'id'), :last)"
_PEER_FILL = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status, attempts) "
    "SELECT 'default', 'nothing', 0, '{}', 'succeeded', 1 FROM generate_series(1, %s)"
)
_PEER_EVENTS = (
    "INSERT INTO procrastinate_events (job_id, type, at) SELECT id, type::procrastinate_job_event_type, now() "
    "FROM procrastinate_jobs, unnest(ARRAY['started', 'succeeded']) AS type WHERE status = 'succeeded'"
)


@contextmanager
def store(kept: int) -> Iterator[Engine]:
    """A store in a schema of its own, dropped at the end, with `kept` runs that are over; see `store_at`."""
    with fresh_schema() as url, store_at(url, kept) as engine:
        yield engine


@contextmanager
def store_at(url: str, kept: int) -> Iterator[Engine]:
    """Make a store at `url` with `kept` runs that are over, as one of several services uses it.

    Its statistics are fresh, as autovacuum would have made them.
    """
    engine = database.connect(url)
    database.migrate(engine)
    grow(engine, kept)
    yield engine.execution_options(**{OPTION: Sharing("benchmark", lambda _: "v1")})
    engine.dispose()


def grow(engine: Engine, kept: int) -> None:
    """Have `kept` runs recorded in an empty store."""
    given = {"first": 1, "last": kept, "pipelines": PIPELINES}
    with database.writing(engine).begin() as conn:
        for statement in (_RUNS, _ATTEMPTS, _STAGES, _OCCURRENCES):
            conn.execute(text(statement), given)
        conn.execute(text(_COUNTS))
        conn.execute(text(_NEXT_ID), {"last": kept})
    settle(engine)


def settle(engine: Engine) -> None:
    """Do what autovacuum would, so that it does not do it amid a measurement."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("SET statement_timeout = 0"))
        conn.execute(text("VACUUM ANALYZE"))


def cost_s(engine: Engine, *, group: int, groups: int) -> list[float]:
    """Seconds that a run costs in each of `groups` groups of `group` runs: queued, claimed and ended, each durable."""
    spent = []
    with database.writing(engine).connect() as conn:
        for number in range(groups):
            began = time.perf_counter()
            _through(conn, group, number)
            spent.append((time.perf_counter() - began) / group)
    return spent


def _through(conn: Any, group: int, number: int) -> None:
    """Have a group of runs go through the store."""
    new = [_new((number * group + each) % PIPELINES) for each in range(group)]
    with conn.begin():
        runs.insert_lists(conn, [new])
    with conn.begin():
        (taken,) = claims.take(conn, [Claim(limit=group, owner="benchmark", now=utcnow(), versions=lambda _: "v1")])
    ends = [_end(run.id, run.attempt) for run, _ in taken]
    if len(ends) != group:
        raise RuntimeError(f"{len(ends)} of {group} runs could be claimed")
    with conn.begin():
        finish(conn, ends)


def _new(number: int) -> NewRun:
    return NewRun(pipeline=f"p{number}", started_by=StartedBy.MANUAL, max_instances=LIMIT)


def _end(run_id: int, attempt: int) -> Finish:
    outcome = Outcome(RunState.SUCCEEDED, stages=(StageCount(0, "nothing", 1, 1, 0.001),))
    return Finish(run_id, attempt, outcome, utcnow(), RunState.SUCCEEDED)


@contextmanager
def peer_store(kept: int) -> Iterator[dict[str, Any]]:
    """Bare procrastinate's tables in a schema of their own with `kept` jobs that are over; yields how to connect."""
    with fresh_schema() as url:
        where = conninfo.arguments(url)
        asyncio.run(_install(where))
        with psycopg.connect(**where, autocommit=True) as admin:
            admin.execute(_PEER_FILL, [kept])
            admin.execute(_PEER_EVENTS)
            admin.execute("VACUUM ANALYZE")
        yield where


async def _install(where: dict[str, Any]) -> None:
    app = App(connector=PsycopgConnector(kwargs=where))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


def peer_cost_s(where: dict[str, Any], rounds: int) -> list[float]:
    """Seconds that a job of bare procrastinate costs by itself: deferred, fetched and finished."""
    return asyncio.run(_peer(where, rounds))


async def _peer(where: dict[str, Any], rounds: int) -> list[float]:
    app = App(connector=PsycopgConnector(kwargs=where))
    task = app.configure_task("nothing")
    spent = []
    async with app.open_async():
        jobs = app.job_manager
        worker = await jobs.register_worker()
        for _ in range(rounds):
            began = time.perf_counter()
            await task.defer_async()
            job = await jobs.fetch_job(None, worker)
            if job is None:
                raise RuntimeError("no job could be fetched")
            await jobs.finish_job(job, Status.SUCCEEDED, delete_job=False)
            spent.append(time.perf_counter() - began)
    return spent
