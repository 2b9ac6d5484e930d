"""Workers as real processes whose network or PostgreSQL fails, and whose files change: nothing is lost or doubled."""

from __future__ import annotations

from contextlib import ExitStack
from urllib.parse import urlsplit

from tests.many import ledger
from tests.many.fleet import LEASE_S, READY, fleet, kill
from tests.many.queueing import FILE, PLUGIN, queue_at
from tests.many.test_workers import all_is_well, at_work, started
from tests.project import ROOT, fresh_store
from tests.proxy import proxied
from tests.servers import own_postgres

OTHER = """
def other(item):
    return item
"""
SCHEDULED = """
pipelines:
  tick: {{executor: inline, max_instances: 100, schedule: {{interval: {{seconds: 1}}}}, chain: [mine.{stage}]}}
"""


def test_a_worker_that_is_cut_off_gives_its_runs_up_and_comes_back(tmp_path):
    """In a black hole it gives up in time, another goes on, and healed it works again; a reset costs no run."""
    with ExitStack() as stack:
        url = stack.enter_context(fresh_store())
        queue = stack.enter_context(queue_at(tmp_path, url))
        server = urlsplit(url)
        assert server.port is not None
        hole, broken = (stack.enter_context(proxied(server.port)) for _ in range(2))
        through = [url.replace(f":{server.port}/", f":{proxy.port}/") for proxy in (hole, broken)]
        for queues, address, lease_s in (("lost,back", through[0], f"{LEASE_S:g}"), ("kept", through[1], "20")):
            told = {"SCHEDULER_DB_URL": address, "RUN_LEASE_SECONDS": lease_s}
            queue.fleet.begin("-m", "pipelines", "worker", "--queues", queues, **told)
        for each in queue.fleet.members:
            each.wait_for(READY)
        lost, kept = queue.add("gated", 2, queue="lost"), queue.add("gated", 2, queue="kept")
        at_work(queue, lost + kept)
        hole.black_hole()
        broken.reset()
        started(queue.fleet, ["--queues", "lost"])
        at_work(queue, lost, attempt=2)
        broken.reset()
        queue.fleet.open_gate(is_open=True)
        queue.until_over(lost + kept)
        hole.heal()
        back = queue.add("quick", 2, queue="back") + queue.add("quick", 2, queue="kept")
        queue.until_over(back)
        assert [["crashed", "succeeded"]] * 2 == [queue.attempts(run) for run in lost]
        assert [["succeeded"]] * 6 == [queue.attempts(run) for run in kept + back]
        all_is_well(queue)


def test_runs_outlive_restarts_of_postgresql(tmp_path):
    """Stopped at once, in order, or killed, with runs at work and others waiting: workers go on by themselves."""
    with own_postgres(tmp_path) as server, queue_at(tmp_path, server.url) as queue:
        started(queue.fleet, ["--concurrency", "2"], ["--concurrency", "2"])
        runs = []
        for stop, more in ((server.restart, 6), (lambda: server.restart("immediate"), 2), (server.kill, 2)):
            runs += queue.add("gated", more, max_attempts=9)
            at_work(queue, runs[:1])
            stop()
            if server.process is not None and server.process.poll() is not None:
                server.start()
            queue.engine.dispose()
        queue.fleet.open_gate(is_open=True)
        queue.until_over(runs)
        assert [] == queue.faults()
        assert [] == ledger.overlaps(queue.fleet.spans())


def test_each_version_of_a_pipeline_is_executed_by_those_that_have_it(tmp_path):
    """Of two workers with other files each leaves the other's runs; those of a version nobody has go on as well."""
    (tmp_path / "new").mkdir()
    with (
        fresh_store() as url,
        queue_at(tmp_path, url, RUN_LEASE_SECONDS="6") as queue,
        fleet(tmp_path / "new", url, FILE, EXECUTOR="procrastinate", RUN_LEASE_SECONDS="6") as new,
    ):
        new.project.plugin("far", PLUGIN + OTHER)
        [old_one], [new_one] = started(queue.fleet, []), started(new, [])
        asked = "SELECT versions->>'quick' FROM processes WHERE pid = %s"
        versions = [queue.fleet.rows(asked, each.process.pid)[0][0] for each in (old_one, new_one)]
        assert versions[0] != versions[1]
        old_runs, new_runs = (queue.add("quick", 4, version=each) for each in versions)
        nobodys = queue.add("quick", 2, version="gone")
        queue.until_over(old_runs + new_runs + nobodys)
        spans = queue.fleet.spans(), new.spans()
        assert [old_runs, new_runs] == [
            [run for run in sorted(span.run for span in each) if run not in nobodys] for each in spans
        ]
        assert "2 run(s) of 'quick' needed its version gone, which nobody has" in queue.fleet.said + new.said
        assert [] == queue.faults()
        assert [] == ledger.overlaps(spans[0] + spans[1])


def test_a_change_of_the_files_loses_no_run(tmp_path):
    """While a scheduler queues a run each second, pipeline and code change, and a worker dies: each instant has one."""
    with fresh_store() as url, fleet(tmp_path, url, SCHEDULED.format(stage="work"), EXECUTOR="procrastinate") as made:
        scheduler = made.begin(str(ROOT / "main_scheduler.py"))
        first, _ = started(made, [], [])
        scheduler.wait_for(READY)
        ended = "SELECT count(*) >= %s FROM runs WHERE state = 'succeeded'"
        made.until_row(ended, (True,), 2)
        made.project.plugin("mine", ledger.PLUGIN + OTHER)
        kill(first)
        made.project.write(SCHEDULED.format(stage="block"))
        made.until_row(ended, (True,), 5)
        made.project.write("pipelines:\n  tick: {chain: [mine.work]}\n")
        made.until_row("SELECT count(*) FROM schedules WHERE state = 'active'", (0,))
        made.until_row("SELECT count(*) FROM runs WHERE ended_at IS NULL", (0,))
        assert 0 == scheduler.stop()
        once = "SELECT count(*), count(DISTINCT due_at), count(run_id), count(DISTINCT run_id) FROM occurrences"
        [(occurrences, instants, recorded, runs)] = made.rows(once)
        assert occurrences == instants
        assert recorded == runs
        assert [] == made.rows("SELECT id, state FROM runs WHERE state NOT IN ('succeeded', 'skipped', 'missed')")
        assert [(runs,)] == made.rows("SELECT count(*) FROM runs")
        assert [] == ledger.overlaps(made.spans())
