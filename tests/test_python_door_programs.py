"""The Python door in programs of their own: processes, restarts, kills, signals, and the end of the main thread."""

from __future__ import annotations

import signal
import sqlite3
import textwrap
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import pytest

from tests.project import DEADLINE_S, empty_store, until

HEAD = """
import os, sys, threading, time
from pathlib import Path
from pipelines import PipelineScheduler, Pipeline, Skip
"""


@pytest.fixture
def program(project):
    """Writes a program and starts it; what still runs at the end is killed."""
    head = f"{HEAD}\nAT = {datetime.now(UTC).isoformat()!r}\n"
    with ExitStack() as stack:

        def start(code, name="program.py"):
            path = project.folder / name
            path.write_text(head + textwrap.dedent(code), encoding="utf-8")
            return stack.enter_context(project.started(str(path)))

        yield start


def said(program, code=0):
    """All that a program says, once it has ended with `code`."""
    assert code == program.process.wait(DEADLINE_S), program.said
    return program.said


def test_processes_find_the_programs_own_functions(project, program):
    """Functions of the program's main file and of modules beside it run in worker processes, main guard and all."""
    project.with_store()
    project.bare = True
    (project.folder / "beside.py").write_text("import os\n\ndef there(n):\n    return os.getpid()\n", encoding="utf-8")
    output = said(
        program("""
        import beside

        print("loaded as", __name__, flush=True)

        class Tools:
            @staticmethod
            def here(n, *, where):
                Path(where).write_text(f"{os.getpid()} {n}")

        def breaks():
            raise ValueError("in the process")

        def double(item, *, by):
            return item * by

        def numbers():
            yield from range(3)

        async def waits():
            await __import__("asyncio").sleep(60)

        if __name__ == "__main__":
            with PipelineScheduler(retry_attempts=1) as scheduler:
                scheduler.add_interval_job(
                    Tools.here, hours=1, executor="process", args=(7,), context={"where": "here.txt"})
                scheduler.add_interval_job(beside.there, hours=1, executor="process", context={"n": 1})
                scheduler.add_interval_job(breaks, hours=1, executor="process")
                scheduler.add_interval_job(waits, hours=1, executor="process", timeout=1)
                pipeline = Pipeline("numbers", executor="process").add_step(numbers).add_step(double, by=2)
                scheduler.register(pipeline)
                for name in ("here", "there", "breaks", "waits", "numbers"):
                    run = scheduler.wait(scheduler.run_now(name).id, timeout=30)
                    print("end of", name, run.state, run.items_out, run.error)
                    print(run.error.traceback if name == "breaks" else "")
                print("not", Path("here.txt").read_text() == f"{os.getpid()} 7")
        """)
    )
    assert "here succeeded 0 None" in output
    assert "there succeeded 1 None" in output
    assert "breaks failed 0 breaks: ValueError: in the process" in output
    assert "program.py" in output
    assert 'raise ValueError("in the process")' in output
    assert "waits timed_out" in output
    assert "numbers succeeded 3 None" in output
    assert "not False" in output
    assert 1 == output.count("loaded as __main__")
    assert " 7" == (project.folder / "here.txt").read_text(encoding="utf-8")[-2:]


def test_without_a_main_guard_the_way_out_is_named(program):
    """A program that starts its scheduler without a main guard runs threads; its processes say what to write."""
    output = said(
        program("""
        def job():
            return 1

        scheduler = PipelineScheduler(retry_attempts=1)
        scheduler.add_interval_job(job, hours=1, executor="process")
        scheduler.start()
        print(scheduler.wait(scheduler.run_now("job").id, timeout=30).error)
        """)
    )
    assert "put what starts the scheduler under if __name__ == '__main__':" in output


def test_a_killed_program_goes_on_where_it_was(project, program):
    """After kill -9 the run that went on is tried again by the next start, jobs are kept, and nothing runs twice."""
    code = """
        def slow():
            Path("tries.txt").open("a").write("try\\n")
            if Path("again").exists():
                return 1
            time.sleep(60)

        scheduler = PipelineScheduler(retry_attempts=2, retry_delay=0)
        scheduler.add_one_time_job(slow, AT, job_id="once")
        scheduler.add_cron_job(lambda: None, "0 5 * * *", job_id="tick")
        scheduler.start()
        if Path("again").exists():
            (run,) = scheduler.get_history("once")
            run = scheduler.wait(run.id, timeout=30)
            print(run.state, run.attempt, [each.name for each in scheduler.list_schedules()])
        else:
            time.sleep(60)
        """
    first = program(code)
    tries = project.folder / "tries.txt"
    until(lambda: tries.exists() and tries.read_text(encoding="utf-8") == "try\n", "the job never began")
    first.process.kill()
    first.process.wait(DEADLINE_S)
    (project.folder / "again").touch()
    assert "succeeded 2 ['tick']" in said(program(code))
    assert "try\ntry\n" == tries.read_text(encoding="utf-8")
    assert [("once", "run")] == project.query("SELECT schedule_id, outcome FROM occurrences")


def test_blocking_serves_until_sigterm(project, program):
    """`start(blocking=True)` logs like the service, and SIGTERM lets what runs finish before it returns."""
    serving = program("""
        def slow():
            Path("begun").touch()
            while not Path("go").exists():
                time.sleep(0.01)
            Path("done").touch()

        scheduler = PipelineScheduler()
        scheduler.add_one_time_job(slow, AT)
        scheduler.start(blocking=True)
        print("returned", scheduler.running)
        """)
    until((project.folder / "begun").exists, "the job never began")
    serving.process.send_signal(signal.SIGTERM)
    (project.folder / "go").touch()
    output = said(serving)
    assert "SIGTERM: stopping; a second signal stops at once" in output
    assert "returned False" in output
    assert (project.folder / "done").exists()


def test_a_second_signal_stops_at_once(project, program):
    """A second Ctrl-C ends what runs, recorded as cancelled."""
    serving = program("""
        async def endless():
            Path("begun").touch()
            await __import__("asyncio").sleep(600)

        scheduler = PipelineScheduler()
        scheduler.add_one_time_job(endless, AT)
        scheduler.start(blocking=True)
        """)
    until((project.folder / "begun").exists, "the job never began")
    serving.process.send_signal(signal.SIGINT)
    serving.wait_for("a second signal")
    serving.process.send_signal(signal.SIGINT)
    assert "at once" in said(serving)
    assert [("cancelled",)] == project.query("SELECT state FROM runs")


def test_the_end_of_the_main_thread_stops_it(project, program):
    """However the main thread ends, runs that go on are finished and recorded, and the program ends."""
    code = """
        def slow():
            begun.set()
            time.sleep(0.2)
            return 1

        begun = threading.Event()
        scheduler = PipelineScheduler(db_url="sqlite:///{name}.db")
        scheduler.add_interval_job(slow, hours=1)
        scheduler.start()
        scheduler.run_now("slow")
        begun.wait(30)
        {end}
        """
    ends = {"plain": ("pass", 0), "exit": ("sys.exit(3)", 3), "error": ("raise RuntimeError('oops')", 1)}
    started = {}
    for name, (end, _) in ends.items():
        (project.folder / f"{name}.db").write_bytes(empty_store())
        project.bare = name == "plain"
        started[name] = program(textwrap.dedent(code).format(name=name, end=end), f"{name}.py")
    for name, ending in started.items():
        said(ending, code=ends[name][1])
        with closing(sqlite3.connect(project.folder / f"{name}.db")) as store:
            assert [("succeeded", 1)] == store.execute("SELECT state, items_out FROM runs").fetchall()


def test_who_asked_is_recorded(project, program):
    """What a program changes stands in the audit with its user and its door."""
    said(
        program("""
        with PipelineScheduler() as scheduler:
            scheduler.add_interval_job(lambda: None, hours=1, job_id="one")
            scheduler.unschedule("one")
        """)
    )
    rows = project.query("SELECT door, verb, target FROM audit ORDER BY id")
    assert [("python", "schedule", "one"), ("python", "remove", "one")] == rows
