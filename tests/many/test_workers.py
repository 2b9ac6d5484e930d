"""Workers on one PostgreSQL, as real processes: each run ends once, one attempt at a time, whatever dies or freezes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from tests.many import ledger
from tests.many.fleet import ELSEWHERE, LEASE_S, READY, Fleet, children, kill, send
from tests.many.queueing import Queue, queue_at
from tests.project import Service, fresh_store, until

CLAIMING = "SELECT pg_advisory_xact_lock(7306002, hashtext(current_schema()))"
"""What every claim waits for."""

FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER full_disk BEFORE UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """A queue and its fleet, without workers, on a schema of its own."""
    with fresh_store() as url, queue_at(tmp_path, url) as made:
        yield made


def started(fleet: Fleet, *those: Sequence[str], **env: str) -> list[Service]:
    """Start workers with these arguments, all at one time, and return them once they are ready."""
    found = [fleet.begin("-m", "pipelines", "worker", *arguments, **env) for arguments in those]
    for each in found:
        each.wait_for(READY)
    return found


def at_work(queue: Queue, runs: Sequence[int], attempt: int = 1) -> None:
    """Wait until stages of these runs are at work in an attempt."""
    until(
        lambda: set(runs) <= {span.run for span in queue.fleet.spans() if span.attempt >= attempt},
        f"attempt {attempt} of {runs} did not begin\n{{}}",
        lambda: queue.fleet.said,
    )


def of(queue: Queue, worker: Service, runs: Sequence[int]) -> list[int]:
    """Return those of these runs that a worker executes."""
    asked = "SELECT id FROM runs WHERE id = ANY(%s) AND split_part(owner, ':', 2) = %s"
    return [run for (run,) in queue.fleet.rows(asked, list(runs), str(worker.process.pid))]


def gone(pid: int) -> bool:
    """Say whether a process does no more, whether or not its parent has noticed."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def all_is_well(queue: Queue) -> None:
    """Nothing was lost or doubled, and no attempt went on beside another of its run."""
    assert [] == queue.faults()
    assert [] == ledger.overlaps(queue.fleet.spans())


@contextmanager
def claims_held_up(queue: Queue) -> Iterator[None]:
    """Within the block whoever claims a run waits."""
    with queue.engine.connect() as conn:
        conn.exec_driver_sql(CLAIMING)
        yield


def test_runs_of_a_worker_that_is_killed_go_on_elsewhere(queue):
    """At once on the same machine, as soon as the lease is over on another; one that may run once is over instead."""
    fleet = queue.fleet
    first, second, _ = started(fleet, *[("--concurrency", "2")] * 3, RUN_LEASE_SECONDS="4")
    runs = queue.add("gated", 4) + queue.add("gated", 2, at_most_once=True)
    at_work(queue, runs)
    lost = of(queue, first, runs)
    assert lost
    send(first, signal.SIGSTOP)
    [(over,)] = fleet.rows("SELECT min(lease_until) FROM runs WHERE id = ANY(%s)", lost)
    kill(first)
    crashed = "SELECT count(*), max(ended_at) FROM attempts WHERE run_id = ANY(%s) AND state = 'crashed'"
    until(lambda: fleet.rows(crashed, lost)[0][0] == len(lost), "nobody took them up", lambda: fleet.said)
    assert fleet.rows(crashed, lost)[0][1] < over

    fleet.rows(ELSEWHERE)
    until(lambda: fleet.rows("SELECT count(*) FROM processes WHERE machine = 'elsewhere:1'") == [(2,)], "no beats")
    held = of(queue, second, runs)
    assert held
    kill(second)
    [(until_at,)] = fleet.rows("SELECT max(lease_until) FROM runs WHERE id = ANY(%s)", held)
    number = "SELECT count(*) FROM attempts WHERE run_id = ANY(%s) AND state = 'crashed' AND ended_at > %s"
    shortly_before = until_at - timedelta(seconds=1)  # when it was looked for, which took a moment
    until(lambda: fleet.rows(number, held, shortly_before) == [(len(held),)], "not taken up:\n{}", lambda: fleet.said)

    fleet.open_gate(is_open=True)
    queue.until_over(runs)
    all_is_well(queue)
    once = "SELECT count(*) FROM runs WHERE at_most_once AND (attempt > 1 OR state NOT IN ('succeeded', 'crashed'))"
    assert [(0,)] == fleet.rows(once)


def test_a_worker_that_freezes_loses_its_runs_and_works_on_when_it_wakes(queue):
    """Its children are gone before the next attempts begin; awake, it gives up what it held and takes other runs."""
    fleet = queue.fleet
    [frozen] = started(fleet, ["--concurrency", "4"])
    runs = [*queue.add("nap", params={"seconds": 600}), *queue.add("gated", 2)]
    at_work(queue, runs)
    send(frozen, signal.SIGSTOP)
    [other] = started(fleet, ["--concurrency", "4"])
    at_work(queue, runs, attempt=2)
    assert [True] * 3 == [gone(fleet.spans_of(run)[0].pid) for run in runs]
    send(frozen, signal.SIGCONT)
    frozen.wait_for("given up", 3)
    queue.cancel(runs[0])
    fleet.open_gate(is_open=True)
    queue.until_over(runs)
    assert 0 == other.stop()
    later = queue.add("kept", 3, max_instances=1)
    queue.until_over(later)
    assert 0 == frozen.stop()
    all_is_well(queue)


def test_a_worker_that_freezes_with_its_children_records_nothing(queue):
    """Awake after its lease, neither it nor the stages that froze with it change what became of its runs meanwhile."""
    fleet = queue.fleet
    [frozen] = started(fleet, ["--concurrency", "4"])
    runs = queue.add("gated", 3)
    at_work(queue, runs)
    family = [psutil.Process(frozen.process.pid), *children(frozen)]
    for each in family:
        each.suspend()
    [_] = started(fleet, ["--concurrency", "4"])
    at_work(queue, runs, attempt=2)
    fleet.open_gate(is_open=True)
    queue.until_over(runs)
    meanwhile = [queue.attempts(run) for run in runs]
    assert [("crashed", "succeeded")] * 3 == [(first, last) for first, *_, last in meanwhile]
    for each in reversed(family):
        each.resume()
    frozen.wait_for("given up", 3)
    assert meanwhile == [queue.attempts(run) for run in runs]
    assert [] == queue.faults()


def test_a_drain_longer_than_a_lease_loses_nothing(queue):
    """Its runs finish under renewed leases; after the drain's limit, or a second signal, others get them."""
    fleet = queue.fleet
    one, long = ["--concurrency", "1", "--queues"], {"RUN_LEASE_SECONDS": "20"}
    [patient] = started(fleet, [*one, "patient"], SCHEDULER_DRAIN_S="60")
    [told_twice] = started(fleet, [*one, "twice"], SCHEDULER_DRAIN_S="60", **long)
    [short] = started(fleet, ["--queues", "short"], SCHEDULER_DRAIN_S="1", **long)
    [stays] = queue.add("gated", queue="patient")
    moves = queue.add("gated", 2, queue="short", max_attempts=1) + queue.add("gated", queue="twice", max_attempts=1)
    [once] = queue.add("gated", queue="short", at_most_once=True)
    at_work(queue, [stays, *moves, once])
    for each in (patient, short, told_twice):
        send(each, signal.SIGTERM)
    [(before,)] = fleet.rows("SELECT lease_until FROM runs WHERE id = %s", stays)
    [other] = started(fleet, ["--queues", "short,twice"], **long)
    told_twice.wait_for("waiting up to 60 s")
    send(told_twice, signal.SIGTERM)
    at_work(queue, moves, attempt=2)
    renewed = "SELECT lease_until > %s + interval '3 s' FROM runs WHERE id = %s"
    fleet.until_row(renewed, (True,), before, stays)
    fleet.open_gate(is_open=True)
    queue.until_over([stays, *moves, once])
    assert [0, 0, 0, 0] == [patient.process.wait(20), short.process.wait(20), told_twice.process.wait(20), other.stop()]
    assert ["succeeded"] == queue.attempts(stays)
    assert [["cancelled", "succeeded"]] * 3 == [queue.attempts(run) for run in moves]
    assert ["cancelled"] == queue.attempts(once)
    all_is_well(queue)


def test_a_worker_that_dies_around_its_claim_loses_no_run(queue):
    """Killed with a ticket and without a claim, or claimed and not begun: another worker executes the run, once."""
    fleet = queue.fleet
    [first] = started(fleet, ["--concurrency", "2"])
    with claims_held_up(queue):
        runs = queue.add("quick", 2)
        waits = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"
        fleet.until_row(waits, (0,))
        fleet.until_row("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", (1,))
        kill(first)
    [second] = started(fleet, ["--concurrency", "1"])
    queue.until_over(runs)
    assert [["succeeded"]] * 2 == [queue.attempts(run) for run in runs]
    for each in children(second):
        each.suspend()
    [claimed] = queue.add("gated")
    fleet.until_state(claimed, "running")
    kill(second)
    assert [] == fleet.spans_of(claimed)
    fleet.open_gate(is_open=True)
    started(fleet, [])
    queue.until_over([claimed])
    assert ["crashed", "succeeded"] == queue.attempts(claimed)
    all_is_well(queue)


def test_a_stage_that_blocks_stops_no_renewal_and_a_wish_to_cancel_arrives_without_its_signal(queue):
    """Sleeping, or in C where no other thread has its turn, for longer than a lease, a run keeps its first attempt."""
    fleet = queue.fleet
    started(fleet, ["--concurrency", "4"])
    longer = {"seconds": LEASE_S * 1.5}
    blocking, [unwanted] = queue.add("nap", params=longer) + queue.add("hold", params=longer), queue.add("gated")
    at_work(queue, [*blocking, unwanted])
    queue.cancel(unwanted, told=False)
    fleet.until_state(unwanted, "cancelled")
    queue.until_over(blocking)
    assert [["succeeded"]] * 2 == [queue.attempts(run) for run in blocking]
    assert min(span.last - span.begin for span in fleet.spans() if span.run in blocking) > LEASE_S
    all_is_well(queue)


def test_runs_wait_for_a_worker_of_their_queue_and_go_by_priority(queue):
    """Runs of a queue that nobody serves wait; then those of higher priority go first, however late they came."""
    fleet = queue.fleet
    started(fleet, ["--queues", "default"])
    low, others = queue.add("quick", 3, queue="gpu", priority=-1), queue.add("quick", 2)
    high = queue.add("quick", 2, queue="gpu", priority=5)
    queue.until_over(others)
    assert [(5,)] == fleet.rows("SELECT count(*) FROM runs WHERE state = 'queued' AND queue = 'gpu'")
    started(fleet, ["--queues", "gpu", "--concurrency", "1"])
    queue.until_over(low + high)
    begun = [span.run for span in sorted(fleet.spans(), key=lambda span: span.begin) if span.run in low + high]
    assert high + low == begun
    all_is_well(queue)


def test_limits_hold_over_all_workers(queue):
    """Pipelines, pools and lanes never have more runs at work than they may, though a worker is killed."""
    fleet = queue.fleet
    first, *_ = started(fleet, *[("--concurrency", "6")] * 3)
    kinds = {
        "pipeline": queue.add("quarter", 8, max_instances=3),
        "pool": queue.add("pooled", 6, pool="two"),
        "lane": queue.add("laned", 4, lane="one at a time"),
    }
    at_work(queue, kinds["lane"][:1])
    kill(first)
    runs = [run for those in kinds.values() for run in those]
    queue.until_over(runs)
    kind_of = {run: kind for kind, those in kinds.items() for run in those}
    most = ledger.most_at_once(fleet.spans(), lambda span: kind_of[span.run])
    assert most["pipeline"] <= 3
    assert most["pool"] <= 2
    assert 1 == most["lane"]
    all_is_well(queue)


def test_a_full_disk_delays_the_end_of_a_run_and_begins_none(queue):
    """While the database takes no row, what has ended waits to be recorded; then it is, and the next begins."""
    fleet = queue.fleet
    started(fleet, ["--concurrency", "1"], ["--queues", "other"], RUN_LEASE_SECONDS="20")
    [ends] = queue.add("gated")
    at_work(queue, [ends])
    [waits] = queue.add("quick")
    fleet.rows(FULL)
    fleet.open_gate(is_open=True)
    fleet.members[0].wait_for("its end cannot be recorded", 3)
    assert [] == fleet.spans_of(waits)
    fleet.rows("DROP TRIGGER full_disk ON runs")
    queue.until_over([ends, waits])
    assert ["succeeded"] == queue.attempts(ends)
    all_is_well(queue)


def test_a_process_that_holds_a_lock_costs_nobody_a_lease(queue):
    """While claims and ends wait behind someone who stands still amid a transaction, runs at work keep their leases."""
    fleet = queue.fleet
    started(fleet, ["--concurrency", "4"])
    runs = queue.add("gated", 2)
    at_work(queue, runs)
    with queue.engine.connect() as conn:
        conn.exec_driver_sql(CLAIMING)
        waits = queue.add("quick", 2)
        fleet.until_row("SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", (True,))
        [(before,)] = fleet.rows("SELECT max(lease_until) FROM runs")
        renewed = "SELECT min(lease_until) > %s + interval '3 s' FROM runs WHERE id = ANY(%s)"
        fleet.until_row(renewed, (True,), before, runs)
    fleet.open_gate(is_open=True)
    queue.until_over(runs + waits)
    assert [["succeeded"]] * 4 == [queue.attempts(run) for run in runs + waits]
    all_is_well(queue)
