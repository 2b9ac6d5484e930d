"""What waits in each queue, who serves it, and who holds what goes on."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from typing import Any

from sqlalchemy import event, update

from pipelines.model import Process, RunState
from pipelines.store import clock, holding, machines, processes, queues, runs, schema
from pipelines.store.processes import Beat
from tests.others import process, scheduler
from tests.store.conftest import on_postgresql, on_sqlite
from tests.store.samples import claim, end, finish, manual

MINUTE = timedelta(minutes=1)


def queued(conn, *names: str) -> None:
    """Queue a run of its own pipeline in each of these queues."""
    runs.insert_runs(conn, [manual(f"p{number}", queue=name) for number, name in enumerate(names)])


def test_queues_tell_what_waits(conn):
    """Each queue with runs that wait for their start is counted, with the oldest; those that go on or are over not."""
    queued(conn, "default", "gpu", "gpu", "slow")
    (run,) = claim(conn)
    assert [("gpu", 2), ("slow", 1)] == [(each.queue, each.waiting) for each in queues.lengths(conn)]
    finish(conn, end(run))
    assert ["gpu", "slow"] == [each.queue for each in queues.lengths(conn)]


def test_a_run_that_is_due_again_waits_as_well(conn):
    """One whose next attempt is due waits in its queue since then; one whose pause is not over waits for that."""
    queued(conn, "gpu", "gpu", "slow")
    now = clock.now(conn)
    set_back = update(schema.runs).values(state=RunState.WAITING_RETRY.value)
    for run, off in zip(
        claim(conn, 3), (timedelta(minutes=-1), timedelta(minutes=-2), timedelta(minutes=5)), strict=True
    ):
        conn.execute(set_back.where(schema.runs.c.id == run.id).values(not_before=now + off))
    assert [("gpu", 2, now - timedelta(minutes=2))] == [
        (each.queue, each.waiting, each.since) for each in queues.lengths(conn)
    ]
    queued(conn, "gpu")
    assert [("gpu", 3)] == [(each.queue, each.waiting) for each in queues.lengths(conn)]


def test_leases_tell_who_holds_what(conn):
    """A run that goes on is told with its owner; one that is over is not."""
    queued(conn, "gpu", "gpu")
    first, second = claim(conn, 2)
    assert [(first.id, "gpu", 1, "here"), (second.id, "gpu", 1, "here")] == [
        (each.run_id, each.queue, each.attempt, each.owner) for each in queues.held(conn)
    ]
    finish(conn, end(first))
    assert [second.id] == [each.run_id for each in queues.held(conn)]


def test_machines_put_it_together(conn):
    """Queues are those where something waits or goes on, those that somebody serves, and those that are asked for."""
    processes.beat(conn, [Beat(scheduler()), Beat(process("w", queues=frozenset({"gpu", "spare"})))])
    queued(conn, "gpu", "slow")
    found = machines.read(conn, MINUTE, ["asked"])
    shown = {each.name: (each.waiting, each.servers, each.unserved) for each in found.queues}
    assert {
        "asked": (0, (), False),
        "default": (0, (), False),
        "gpu": (1, ("w",), False),
        "slow": (1, (), True),
        "spare": (0, ("w",), False),
    } == shown
    assert all(each.lag_s > 0 for each in found.queues if each.waiting)
    assert ("first", 2, 1, True) == (found.leader and found.leader.id, found.slots, found.executing, found.many)


@on_sqlite
def test_only_runs_that_are_not_over_are_looked_at(engine, conn):
    """Indexes of live runs alone answer both questions, however many runs there are that are over."""
    said: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda _, __, text, given, *___: said.append((text, given)))
    queues.lengths(conn)
    queues.held(conn)
    plans = [row[3] for text, given in tuple(said) for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)]
    assert ["runs_waiting", "runs_live", "runs_live"] == [
        plan.split()[4] for plan in plans if plan.startswith("SEARCH runs")
    ]
    assert RunState.QUEUED.value in said[0][0]


@on_postgresql
def test_a_scheduler_holds_the_store_it_shares(engine, module_url):
    """Who asks for the service of a shared store is told the leader, or another scheduler; workers are none."""

    def held(*joining: Process) -> str | None:
        with engine.begin() as conn:
            processes.beat(conn, [Beat(each) for each in joining])
        found = holding.holder(module_url)
        return found.host if found is not None else None

    others = [process("w", host="c"), scheduler("b", host="b", leads=False), scheduler("a", host="a")]
    with holding.hold(module_url):  # as each of them does
        assert [None, None, "b", "a"] == [held(), *map(held, others)]
    with holding.hold(module_url, alone=True):
        found = holding.holder(module_url)
    assert (os.getpid(), socket.gethostname()) == (found and (found.pid, found.host))
    assert holding.holder(module_url, within=timedelta(0)) is None
