"""Workers as real processes: they execute what others queue, one at a time, whatever happens to one of them."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager

from sqlalchemy import text

from pipelines.interpreter import TURN_S, YOUNG_OBJECTS
from pipelines.model import RunState, utcnow
from pipelines.store import ends, processes, signals
from pipelines.store.ends import CancelWaiting
from pipelines.store.processes import Beat
from pipelines.store.signals import Signal, SignalKind
from tests.distributed.conftest import site_at, started
from tests.others import process
from tests.project import DEADLINE_S, until
from tests.servers import own_postgres
from tests.test_systemd import manager_at


def gate(site, *, is_open):
    """Let the runs of `gated` end, or have them wait."""
    path = site.project.folder / "open"
    path.touch() if is_open else path.unlink(missing_ok=True)


def give_up(site, *waiting):
    """Cancel runs that still wait, so that no other test has them."""
    with site.engine.begin() as conn:
        ends.cancel_waiting(conn, [CancelWaiting(each, "over", utcnow()) for each in waiting])


@contextmanager
def odd_file(site):
    """Within the block the pipelines file is one that is refused."""
    path = site.project.folder / "pipelines.yml"
    good = path.read_text()
    path.write_text("pipelines: 3")
    try:
        yield
    finally:
        path.write_text(good)


def attempts(site, run):
    """The attempts of a run, in their order, with how each stands."""
    return site.rows(f"SELECT number, state FROM attempts WHERE run_id = {run} ORDER BY number")


def test_a_worker_executes_what_others_queue_and_leaves_no_trace(site):
    """A run is over soon after it was queued, and another at once that had no room; then no ticket is left."""
    with site.worker() as worker:
        runs = site.queue("quick", "quick", "gpu")
        for run in runs:
            site.wait_for(run, RunState.SUCCEEDED)
        until(lambda: [(0,)] == site.rows("SELECT count(*) FROM procrastinate_jobs"), "tickets are left")
        assert [("worker", "working")] == site.rows("SELECT role, state FROM processes")
        assert 0 == worker.stop()
    assert [] == site.rows("SELECT role FROM processes")
    assert [(0,)] == site.rows("SELECT count(*) FROM procrastinate_workers")


def test_systemd_hears_how_a_worker_lives(site):
    """It is told that the worker is ready, how busy it is, why its files are not in force, and that it stops."""
    path = str(site.project.folder / "notify")
    with manager_at(path) as manager, site.worker(NOTIFY_SOCKET=path, WATCHDOG_USEC="500000") as worker:
        manager.wait_for("READY=1")
        assert ["READY=1", f"MAINPID={worker.process.pid}", "STATUS=ready"] == manager.heard[0]
        manager.wait_for("WATCHDOG=1", more_than=1)
        manager.wait_for_text("WATCHDOG=1", "STATUS=ok, 0 of 4 slots busy")
        with odd_file(site):
            manager.wait_for_text("WATCHDOG=1", "STATUS=degraded, 0 of 4 slots busy; the newest files are refused: ")
        assert 0 == worker.stop()
        assert ["STOPPING=1", "STATUS=stopping"] in manager.listen()


def test_python_is_set_in_a_worker_as_in_a_scheduler(site):
    """Garbage is looked for less often, and threads take turns sooner, than Python does by itself."""
    with site.worker() as worker:
        [run] = site.queue("python")
        site.wait_for(run, RunState.SUCCEEDED)
        assert 0 == worker.stop()
    assert f"{YOUNG_OBJECTS} {TURN_S}" == (site.project.folder / "python").read_text()


def test_workers_alone_are_no_service(site):
    """Where a worker takes part and no scheduler, none runs; what the terminal queues is left to the worker."""
    with site.worker() as worker:
        with started(site.project, "health") as health:
            assert (1, "down: no service runs\n") == (health.process.wait(DEADLINE_S), health.said)
        with started(site.project, "run-now", "quick") as queue:
            assert 0 == queue.process.wait(DEADLINE_S)
            said = re.fullmatch(r"quick #(\d+) is queued; no service runs: it is left to the workers\n", queue.said)
        assert said is not None, queue.said
        site.wait_for(int(said[1]), RunState.SUCCEEDED)
        assert 0 == worker.stop()


def test_a_wish_to_cancel_reaches_the_worker(site):
    """A run that waits in a worker is cancelled there within a moment of the signal."""
    gate(site, is_open=False)
    with site.worker() as worker:
        [run] = site.queue("gated")
        site.wait_for(run, RunState.RUNNING)
        with site.engine.begin() as conn:
            ends.wish_cancel(conn, [CancelWaiting(run, "not today", utcnow())])
            signals.put(conn, [Signal(SignalKind.CANCEL, str(run), "not today")])
        site.wait_for(run, RunState.CANCELLED)
        assert 0 == worker.stop()
    assert "not today" in str(site.run(run).reason)


def test_a_worker_that_stops_lets_its_run_finish(site):
    """Told to stop, it begins nothing more, renews its lease while its run goes on, and ends once that is over."""
    gate(site, is_open=False)
    with site.worker(SCHEDULER_DRAIN_S="60") as worker:
        [run] = site.queue("gated")
        site.wait_for(run, RunState.RUNNING)
        [(before,)] = site.rows(f"SELECT lease_until FROM runs WHERE id = {run}")
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for("waiting up to 60 s")
        [later] = site.queue("quick")
        until(lambda: site.rows(f"SELECT lease_until FROM runs WHERE id = {run}")[0][0] > before, "no renewal")
        gate(site, is_open=True)
        assert 0 == worker.process.wait(20)
    assert RunState.SUCCEEDED is site.run(run).state
    assert RunState.QUEUED is site.run(later).state
    give_up(site, later)


def test_a_run_that_outlives_the_drain_is_given_to_another_worker(site):
    """After the time to drain the run is queued again without a used-up attempt, and another worker has it at once."""
    gate(site, is_open=False)
    with site.worker(SCHEDULER_DRAIN_S="0") as worker, site.worker("--queues", "default") as another:
        [run] = site.queue("gated")
        site.wait_for(run, RunState.RUNNING)
        first, second = (
            (worker, another) if f":{worker.process.pid}:" in str(site.run(run).owner) else (another, worker)
        )
        first.process.send_signal(signal.SIGTERM)
        first.process.send_signal(signal.SIGINT)
        until(lambda: f":{second.process.pid}:" in str(site.run(run).owner), "nobody took it up")
        gate(site, is_open=True)
        site.wait_for(run, RunState.SUCCEEDED)
        assert 0 == first.process.wait(20)
    assert [(1, "cancelled"), (2, "succeeded")] == attempts(site, run)


def test_a_run_whose_worker_is_killed_goes_on_at_another(site):
    """After kill -9 another worker takes the run up; the first attempt has crashed, the second succeeds."""
    gate(site, is_open=False)
    with site.worker() as worker:
        [run] = site.queue("gated")
        site.wait_for(run, RunState.RUNNING)
        with site.worker() as another:
            worker.process.kill()
            until(lambda: f":{another.process.pid}:" in str(site.run(run).owner), "nobody took it up")
            gate(site, is_open=True)
            site.wait_for(run, RunState.SUCCEEDED)
            assert 0 == another.stop()
    assert [(1, "crashed"), (2, "succeeded")] == attempts(site, run)


def test_a_queue_that_no_pipeline_names_is_told(site):
    """A worker for a queue whose name may be misspelt says so, and serves it: the file may name it later."""
    with site.worker("--queues", "default,gpus") as worker:
        assert 0 == worker.stop()
        said = worker.said
    assert "--queues: no pipeline of the file has the queue 'gpus'; did you mean 'gpu'?" in said
    assert "queue 'default'" not in said


def test_a_worker_serves_its_queues_and_has_the_version_or_leaves_the_run(site):
    """It leaves runs of other queues, and those of another version, saying so; meanwhile others go on."""
    with site.worker("--queues", "default", "--concurrency", "2", RUN_LEASE_SECONDS="60") as worker:
        assert "2 run(s) at one time, of queues default" in worker.said
        with site.engine.begin() as conn:
            conn.execute(text("LOCK procrastinate_jobs IN EXCLUSIVE MODE"))  # nobody fetches before the next statement
            [strange, elsewhere] = site.queue_on(conn, "quick", "gpu")
            conn.execute(text("UPDATE runs SET version = 'other' WHERE id = :id"), {"id": strange})
            processes.beat(conn, [Beat(process("w"), {"quick": "other"})])  # who has it
        worker.wait_for(f"run #{strange} needs version other of pipeline 'quick'")
        [run] = site.queue("quick")
        site.wait_for(run, RunState.SUCCEEDED)
        assert RunState.QUEUED is site.run(elsewhere).state
        assert 0 == worker.stop()
    give_up(site, strange, elsewhere)
    with site.engine.begin() as conn:
        processes.leave(conn, ["w"])


def test_an_outage_of_postgresql_ends_neither_the_worker_nor_its_run(tmp_path):
    """A run that goes on while the server is away is recorded by its first attempt; then the next is fetched.

    Meanwhile systemd hears why no runs are, and signs of life: a worker that waits need not be started anew.
    """
    path = str(tmp_path / "notify")
    with (
        own_postgres(tmp_path) as server,
        manager_at(path) as manager,
        site_at(server.url, tmp_path, RUN_LEASE_SECONDS="20") as site,
        site.worker("--concurrency", "1", NOTIFY_SOCKET=path, WATCHDOG_USEC="500000") as worker,
    ):
        gate(site, is_open=False)
        [run] = site.queue("gated")
        site.wait_for(run, RunState.RUNNING)
        server.stop()
        worker.wait_for("no runs can be fetched")
        manager.wait_for_text("WATCHDOG=1", "STATUS=degraded, 1 of 1 slots busy; no runs can be fetched: ")
        server.start()
        site.engine.dispose()
        gate(site, is_open=True)
        site.wait_for(run, RunState.SUCCEEDED)
        [later] = site.queue("quick")
        site.wait_for(later, RunState.SUCCEEDED)
        manager.wait_for_text("WATCHDOG=1", "STATUS=ok, 0 of 1 slots busy")
        assert [(1, "succeeded")] == attempts(site, run)
        assert 0 == worker.stop()
