"""Queues runs for workers as a scheduler does, and says afterwards whether each left behind what it should, once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, update

from pipelines.model import NewRun, StartedBy, utcnow
from pipelines.store import database, ends, runs, schema, sharing, signals, ticket_tables
from pipelines.store.ends import CancelWaiting
from pipelines.store.sharing import Sharing
from pipelines.store.signals import Signal, SignalKind
from pipelines.store.tickets import ProcrastinateTickets
from tests.many import fleet as fleets
from tests.many.fleet import Fleet

PLUGIN = """
import asyncio
import ctypes
import time
from pathlib import Path

from pipelines import current_run

from mine import TICK_S, note

def keep(item):
    note("begin")
    run = current_run()
    run.state["count"] = run.state.get("count", 0) + 1
    run.collection("seen").put(str(run.run_id))
    run.emit("discord:1", {"content": f"run {run.run_id}"})
    time.sleep(0.1)
    note("end")

def keep_gate(item):
    note("begin")
    while not Path("open").exists():
        time.sleep(TICK_S)
        note("tick")
    run = current_run()
    run.collection("seen").put(str(run.run_id))
    run.emit("discord:1", {"content": f"run {run.run_id}"})
    note("end")

async def quarter(item):
    note("begin")
    for _ in range(12):
        await asyncio.sleep(TICK_S)
        note("tick")
    note("end")

def nap(item):
    note("begin")
    time.sleep(current_run().params["seconds"])
    note("end")

def hold(item):
    note("begin")
    ctypes.PyDLL(None).usleep(int(1e6 * current_run().params["seconds"]))  # in C, and no other thread has its turn
    note("end")
"""
FILE = """
scheduler: {pools: {two: 2}}
pipelines:
  quarter: {max_instances: 3, chain: [far.quarter]}
  pooled: {max_instances: 100, pool: two, chain: [far.quarter]}
  laned: {max_instances: 100, chain: [far.quarter]}
  quick: {max_instances: 100, chain: [mine.quick]}
  kept: {chain: [far.keep]}
  gated: {max_instances: 100, chain: [far.keep_gate]}
  nap: {max_instances: 100, chain: [far.nap]}
  hold: {max_instances: 100, chain: [far.hold]}
"""


@dataclass
class Queue:
    """A process that queues runs of any version, and executes none. `pools` are the limits of pools."""

    fleet: Fleet
    engine: Engine

    def add(self, pipeline: str, count: int = 1, *, version: str | None = None, **more: Any) -> list[int]:
        """Queue so many runs of a pipeline, in one transaction, for its `version`; they may be tried nine times."""
        given: dict[str, Any] = {"max_attempts": 9, "max_instances": 100} | more
        with self.engine.begin() as conn:
            news = [NewRun(pipeline, StartedBy.MANUAL, **given) for _ in range(count)]
            made = [run.id for run in runs.insert_runs(conn, news)]
            if version is not None:
                conn.execute(update(schema.runs).where(schema.runs.c.id.in_(made)).values(version=version))
        return made

    def cancel(self, run: int, *, told: bool = True) -> None:
        """Wish that a run which goes on is cancelled; not `told`, the signal is lost."""
        with self.engine.begin() as conn:
            ends.wish_cancel(conn, [CancelWaiting(run, "not today", utcnow())])
            if told:
                signals.put(conn, [Signal(SignalKind.CANCEL, str(run), "not today")])

    def until_over(self, those: Sequence[int]) -> None:
        """Wait until runs are over."""
        asked = "SELECT count(*) FROM runs WHERE id = ANY(%s) AND ended_at IS NOT NULL"
        self.fleet.until_row(asked, (len(those),), list(those))

    def attempts(self, run: int) -> list[str]:
        """How the attempts of a run ended, in their order."""
        asked = "SELECT state FROM attempts WHERE run_id = %s ORDER BY number"
        return [state for (state,) in self.fleet.rows(asked, run)]

    def faults(self) -> list[str]:
        """Say what of all runs was lost, or is there twice, now that they should be over."""
        asked = """
            SELECT r.id, r.state, r.attempt,
                   (SELECT count(*) FROM attempts a WHERE a.run_id = r.id),
                   (SELECT count(*) FROM attempts a WHERE a.run_id = r.id AND a.state = 'running'),
                   (SELECT count(*) FROM outbox o WHERE o.run_id = r.id),
                   (SELECT count(*) FROM collections c WHERE c.collection = 'seen' AND c.key = r.id::text)
            FROM runs r ORDER BY r.id"""
        found = [_fault(*row) for row in self.fleet.rows(asked)]
        ended = self.fleet.rows("SELECT pipeline, state, count(*) FROM runs GROUP BY 1, 2 ORDER BY 1, 2")
        counted = self.fleet.rows("SELECT pipeline, state, count FROM run_counts ORDER BY 1, 2")
        return [each for each in found if each] + ([] if ended == counted else [f"ended {ended}, counted {counted}"])


def _fault(run: int, state: str, attempt: int, attempts: int, running: int, messages: int, seen: int) -> str:
    if state in {"queued", "running", "waiting_retry"}:
        return f"run {run} is {state} in attempt {attempt}"
    if (attempts, running) != (attempt, 0):
        return f"run {run} had {attempt} attempts, of which {attempts} are recorded, and {running} as running"
    if messages != seen or messages > (state == "succeeded"):
        return f"run {run} is {state}, has {messages} messages and {seen} entries"
    return ""


@contextmanager
def queue_at(folder: Path, url: str, file: str = FILE, **env: str) -> Iterator[Queue]:
    """A fleet without members on the empty schema at `url`, and its queue."""
    with fleets.fleet(folder, url, file, EXECUTOR="procrastinate", **env) as made:
        made.project.plugin("far", PLUGIN)
        engine = database.connect(url)
        database.migrate(engine)
        tickets = ProcrastinateTickets(pools=lambda: {"two": 2}, in_all=lambda: None)
        engine = engine.execution_options(**{sharing.OPTION: Sharing("test", lambda _: None, tickets)})
        with engine.begin() as conn:
            ticket_tables.install(conn, [None])
        try:
            yield Queue(made, engine)
        finally:
            engine.dispose()
