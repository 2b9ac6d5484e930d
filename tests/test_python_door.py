"""The Python door in one process: callables, pipelines of steps, what is told of them, and what is refused."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import select
import signal
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from pipelines import (
    BadParameter,
    BadSchedule,
    ConfigError,
    InvalidTransition,
    PipecallError,
    Pipeline,
    PipelineScheduler,
    RunState,
    Skip,
    StoreLocked,
    UnknownName,
    current_run,
    register_pipeline,
)
from pipelines.store import database, processes
from tests.project import until
from tests.servers import fresh_schema
from web.door import web_face


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for the stores, and the one that is worked in: without a pipelines file."""
    folder = tmp_path_factory.mktemp("door")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def made(folder, name="store.db", **more):
    given = {"db_url": f"sqlite:///{folder / name}", "web": "off", "_env_file": None, "retry_attempts": 1}
    return PipelineScheduler(**given | more)


@pytest.fixture(scope="module")
def scheduler(folder):
    with made(folder, max_jobs=4) as scheduler:
        yield scheduler


def ended(scheduler, name, **context):
    run = scheduler.run_now(name, context=context)
    return scheduler.wait(run.id, timeout=30)


# ------------------------------------------------------------------ callables


def test_a_lambda_is_called(scheduler):
    """A lambda runs in a thread; what it returns counts as one item."""
    seen = []
    scheduler.add_cron_job(lambda: seen.append(threading.current_thread().name) or "done", "0 5 * * *", job_id="tick")
    run = ended(scheduler, "tick")
    assert (RunState.SUCCEEDED, 1) == (run.state, run.items_out)
    assert seen == [f"run {run.id} tick"]


@pytest.mark.parametrize("executor", ["thread", "inline"])
def test_async_functions_are_awaited(scheduler, executor):
    """An async function runs in any place, and is given its context by name."""
    seen = []

    async def fetch(page, *, size=10):
        await asyncio.sleep(0)
        seen.append((page, size))

    scheduler.add_interval_job(fetch, hours=1, job_id=f"fetch-{executor}", executor=executor, context={"page": 2})
    assert RunState.SUCCEEDED is ended(scheduler, f"fetch-{executor}", size=3).state
    assert seen == [(2, 3)]


def test_generators_give_items(scheduler):
    """Each value that a generator yields counts as an item, and None from a function counts as none."""

    def three():
        yield from range(3)

    async def two():
        yield 1
        yield 2

    scheduler.add_interval_job(three, hours=1)
    scheduler.add_interval_job(two, hours=1)
    scheduler.add_interval_job(lambda: None, hours=1, job_id="nothing")
    assert [3, 2, 0] == [ended(scheduler, name).items_out for name in ("three", "two", "nothing")]


def test_the_context_is_handed_over(scheduler):
    """A parameter called `context` is given all values, others are given theirs, and args and kwargs come first."""
    seen = []

    def send(to, context, *, subject, cc=None):
        seen.append((to, context, subject, cc, current_run().params["cc"]))

    scheduler.add_interval_job(
        send, hours=1, args=("a",), kwargs={"subject": "s"}, context={"cc": "c", "more": [1, {"x": None}]}
    )
    ended(scheduler, "send")
    assert seen == [("a", {"cc": "c", "more": [1, {"x": None}]}, "s", "c", "c")]


def test_a_bound_method_and_a_partial_run_in_threads(scheduler):
    """A bound method and a partial are callables like any other."""
    seen = []

    class Box:
        def put(self, what):
            seen.append(what)

    scheduler.add_interval_job(Box().put, hours=1, context={"what": 1})
    scheduler.add_interval_job(functools.partial(Box().put, 2), hours=1, job_id="partial")
    assert {RunState.SUCCEEDED} == {ended(scheduler, name).state for name in ("put", "partial")}
    assert seen == [1, 2]


def test_a_failure_tells_the_users_line(scheduler):
    """An exception fails the run; its traceback begins at the function's own line, and the stage has its name."""

    def breaks():
        raise ValueError("no such shop")

    scheduler.add_interval_job(breaks, hours=1)
    run = ended(scheduler, "breaks")
    assert (RunState.FAILED, "breaks: ValueError: no such shop") == (run.state, str(run.error))
    assert 'raise ValueError("no such shop")' in run.error.traceback.splitlines()[1]
    assert (1, 0.0) == (scheduler.get_job_stats("breaks").failed, scheduler.get_job_stats("breaks").success_rate)


def test_a_skip_is_kept_with_its_reason(scheduler):
    """A callable may end its run as skipped."""

    def nothing_new():
        raise Skip("no new rows")

    scheduler.add_interval_job(nothing_new, hours=1)
    run = ended(scheduler, "nothing_new")
    assert (RunState.SKIPPED, "no new rows") == (run.state, run.reason)


def test_retries_are_made(scheduler):
    """`retry` says how often a callable is tried."""
    tries = []

    def second_time():
        tries.append(current_run().attempt)
        if len(tries) == 1:
            raise OSError("not yet")

    scheduler.add_interval_job(second_time, hours=1, retry={"attempts": 2, "delay": 0})
    run = ended(scheduler, "second_time")
    assert (RunState.SUCCEEDED, 2, [1, 2]) == (run.state, run.attempt, tries)


def test_an_async_callable_ends_at_its_timeout(scheduler):
    """`timeout` ends an async function where it waits."""

    async def endless():
        await asyncio.Event().wait()

    scheduler.add_interval_job(endless, hours=1, timeout=timedelta(seconds=1))
    assert RunState.TIMED_OUT is ended(scheduler, "endless").state


def test_a_run_can_be_cancelled(scheduler):
    """`cancel` ends a run that goes on, and `wait` gives up in time."""
    begun = threading.Event()

    async def waits():
        begun.set()
        await asyncio.Event().wait()

    scheduler.add_interval_job(waits, hours=1)
    run = scheduler.run_now("waits")
    assert begun.wait(30)
    with pytest.raises(TimeoutError, match=rf"run #{run.id} is not over after 0.01 s"):
        scheduler.wait(run.id, timeout=0.01)
    scheduler.cancel(run.id)
    assert RunState.CANCELLED is scheduler.wait(run.id, timeout=30).state


# ------------------------------------------------------------------ when


def test_a_moment_just_past_runs_at_once(scheduler):
    """A one-time job for a moment ago runs, once, and is over."""
    seen = threading.Event()
    scheduler.add_one_time_job(seen.set, datetime.now(UTC), job_id="at-once")
    assert seen.wait(30)
    until(lambda: "at-once" not in {each.name for each in scheduler.list_schedules()}, "the job was never over")
    (run,) = scheduler.get_history("at-once")
    assert "at-once" == run.schedule_id
    over = scheduler.add_one_time_job(seen.set, run.due_at, job_id="at-once")
    assert (False, None) == (over.enabled, over.next_run)


def test_a_moment_long_past_is_recorded_as_missed(scheduler):
    """A one-time job for yesterday does not run; that it was missed is told."""
    scheduler.add_one_time_job(lambda: 1 / 0, datetime.now(UTC) - timedelta(days=1), job_id="yesterday")
    until(lambda: scheduler.get_job_stats("yesterday").missed == 1, "it was never recorded")


def test_schedules_tell_how_they_stand(scheduler):
    """`list_schedules` has the words, the next run in UTC, and the counts of the runs that the schedule made."""
    scheduler.add_interval_job(lambda n: n, seconds=1, job_id="second", context={"n": 1}, timezone="UTC")

    def found():
        return next(each for each in scheduler.list_schedules() if each.name == "second")

    until(lambda: found().success_count > 0, "it never ran")
    scheduler.disable("second", reason="enough")
    one = found()
    assert ("interval", "every second", "UTC", "python") == (one.type, one.words, one.timezone, one.source)
    assert (False, None, {"n": 1}, 1.0, 0) == (
        one.enabled,
        one.next_run,
        one.context,
        one.success_rate,
        one.error_count,
    )
    assert (RunState.SUCCEEDED, "second") == (one.last_status, one.last_run.schedule_id)
    scheduler.enable("second")
    assert found().next_run is not None
    scheduler.unschedule("second")
    with pytest.raises(UnknownName, match="no job is called 'second'"):
        scheduler.enable("second")


# ------------------------------------------------------------------ pipelines


def test_steps_are_a_chain(scheduler):
    """Functions, generators and classes of stages make a pipeline; None drops an item."""
    stored = []

    def extract(context):
        yield from range(context["upto"])

    def odd(item):
        return item if item % 2 else None

    async def store(item, *, to):
        stored.append((to, item))
        return item

    etl = Pipeline("etl", timeout="5m").add_step(extract).add_step(odd).add_step("pipelines.transforms.Log")
    scheduler.register(etl.add_step(store, to="shop"))
    run = ended(scheduler, "etl", upto=4)
    assert (RunState.SUCCEEDED, 4, 2) == (run.state, run.items_in, run.items_out)
    assert stored == [("shop", 1), ("shop", 3)]


def test_registered_functions_are_known_by_name(scheduler):
    """`register_pipeline` makes a function a pipeline of every scheduler; schedules of it get names of their own."""
    seen = []

    @register_pipeline("door-report", description="For the team.")
    def report(context):
        seen.append(context)

    one = scheduler.schedule_cron("door-report", "0 9 * * 1-5", context={"team": "a"})
    two = scheduler.schedule_daily("door-report", "09:30")
    three = scheduler.schedule_hourly("door-report", 15)
    four = scheduler.schedule_interval("door-report", hours=6, job_id="often")
    assert ["door-report", "door-report-2", "door-report-3", "often"] == [s.name for s in (one, two, three, four)]
    assert ["cron", "daily", "hourly", "interval"] == [s.type for s in (one, two, three, four)]
    ended(scheduler, "often")
    ended(scheduler, "door-report")
    assert seen == [{}, {"team": "a"}]
    with pytest.raises(InvalidTransition, match="a pipeline is registered as 'door-report' already"):
        register_pipeline("door-report")(lambda: None)


def test_pipelines_of_the_file_are_run_by_name(folder, project):
    """A pipelines file works beside callables; one of its names cannot be taken, its schedule not be removed."""
    config = project.write("""
        pipelines:
          prices: {schedule: "0 5 * * *", executor: inline, chain: [pipelines.transforms.Log]}
          by-hand: {executor: inline, chain: [pipelines.transforms.Log]}
    """)
    with made(folder, "file.db", config=config) as scheduler:
        scheduler.schedule_interval("prices", hours=1, job_id="more")
        until(lambda: scheduler.get_history("by-hand"), "it did not run at the start")
        assert {"more": "python", "prices": "file"} == {s.name: s.source for s in scheduler.list_schedules()}
        with pytest.raises(InvalidTransition, match="the pipelines file has a pipeline 'prices' already"):
            scheduler.register(Pipeline("prices").add_step(lambda item: item))
        with pytest.raises(InvalidTransition, match="'prices' stands in the pipelines file"):
            scheduler.unschedule("prices")
        assert 1 == scheduler.clear()
        assert ["prices"] == [each.name for each in scheduler.list_schedules()]
        with pytest.raises(UnknownName, match="did you mean 'prices'"):
            scheduler.schedule_daily("price", "09:00")


# ------------------------------------------------------------------ its life


def test_jobs_live_through_a_restart(folder):
    """Added again, a job goes on where it was, a disabled one stays so; what is not added again is shown as missing."""

    def program(*jobs):
        scheduler = made(folder, "restart.db")
        for name, cron in jobs:
            scheduler.add_cron_job(lambda: None, cron, job_id=name)
        return scheduler

    with program(("kept", "0 5 * * *"), ("paused", "0 5 * * *"), ("gone", "0 5 * * *")) as first:
        first.disable("paused")
        before = {each.name: each for each in first.list_schedules()}
    with program(("kept", "0 5 * * *"), ("paused", "30 5 * * *")) as second:
        after = {each.name: each for each in second.list_schedules()}
        assert (before["kept"].created_at, True) == (after["kept"].created_at, after["kept"].enabled)
        assert ({"cron": "30 5 * * *"}, False) == (after["paused"].spec, after["paused"].enabled)
        assert [False, True, False] == [after[name].missing for name in ("kept", "gone", "paused")]
        assert after["gone"].next_run is None
        second.add_cron_job(lambda: None, "0 5 * * *", job_id="gone")
        again = next(each for each in second.list_schedules() if each.name == "gone")
        assert (False, before["gone"].created_at) == (again.missing, again.created_at)
        assert again.next_run is not None


def test_a_scheduler_starts_again(folder):
    """After `stop` it can be started again, with its jobs; what is asked of it meanwhile is refused in words."""
    scheduler = made(folder, "again.db")
    scheduler.add_interval_job(lambda: None, hours=1, job_id="one")
    assert ["one"] == [each.name for each in scheduler.list_schedules()]
    for _ in range(2):
        with pytest.raises(InvalidTransition, match="call start\\(\\) first"):
            scheduler.run_now("one")
        scheduler.start()
        with pytest.raises(InvalidTransition, match="started already"):
            scheduler.start()
        assert "ok" == scheduler.health_check().status
        assert ["one"] == [each.name for each in scheduler.list_schedules()]
        scheduler.shutdown()
        scheduler.stop()
        assert not scheduler.running


def test_stopping_lets_runs_finish(folder):
    """`stop` waits for what runs; without waiting it is cancelled and recorded so."""
    begun, go_on = threading.Event(), threading.Event()

    async def waits():
        begun.set()
        await asyncio.to_thread(go_on.wait, 30)

    scheduler = made(folder, "stops.db")
    scheduler.add_interval_job(waits, hours=1)
    scheduler.start()
    first = scheduler.run_now("waits")
    assert begun.wait(30)
    threading.Timer(0.05, go_on.set).start()
    scheduler.stop()
    begun.clear()
    go_on.clear()
    scheduler.start()
    assert RunState.SUCCEEDED is scheduler.wait(first.id, timeout=30).state
    second = scheduler.run_now("waits")
    assert begun.wait(30)
    threading.Timer(0.05, go_on.set).start()
    scheduler.stop(wait=False)
    with scheduler:
        assert RunState.CANCELLED is scheduler.wait(second.id, timeout=30).state


def test_a_job_of_another_program_is_told_only_where_that_is_gone(folder, caplog):
    """On PostgreSQL a program leaves the functions of another to it without a word; without that, it says so."""
    caplog.set_level(logging.INFO)
    said = "job 'far' runs once the Python program is there that has far"
    with fresh_schema() as url:
        with made(folder, db_url=url) as first:
            first.add_interval_job(lambda: None, hours=1, job_id="far")
            until(lambda: "far" in versions_told(url), "nobody has it")
            with made(folder, db_url=url) as second:
                assert ["far"] == [each.name for each in second.list_schedules()]
            assert said not in caplog.messages
        with made(folder, db_url=url):
            assert 1 == caplog.messages.count(said)
    assert not [each for each in caplog.messages if "does not run" in each]


def versions_told(url):
    """The pipelines that processes say they have."""
    engine = database.connect(url)
    with engine.connect() as conn:
        found = processes.versions(conn, timedelta(minutes=1))
    engine.dispose()
    return found


def test_two_schedulers_do_not_share_a_file(folder, scheduler):
    """A second scheduler on the same file is told who holds it, and can be started once that one stopped."""
    with pytest.raises(StoreLocked, match=r"in use by another service: pid \d+"):
        made(folder).start()


def test_many_threads_may_change_it(scheduler):
    """Jobs can be added, run and removed from many threads at a time."""
    done, wrong = [], []

    def change(number):
        try:
            for turn in range(5):
                name = f"thread-{number}-{turn}"
                scheduler.add_interval_job(lambda: None, hours=1, job_id=name, executor="inline")
                done.append(scheduler.wait(scheduler.run_now(name).id, timeout=30).state)
                scheduler.list_schedules()
                scheduler.unschedule(name)
        except Exception as error:  # noqa: BLE001 - told in the main thread
            wrong.append(error)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert ([], [RunState.SUCCEEDED] * 40) == (wrong, done)
    assert not [each for each in scheduler.list_schedules() if each.name.startswith("thread-")]


def test_a_job_may_change_its_scheduler(scheduler):
    """A job in a thread may use the scheduler that runs it; one in its own loop is told that it cannot."""

    def adds():
        scheduler.add_interval_job(lambda: None, hours=1, job_id="by-a-job")

    scheduler.add_interval_job(adds, hours=1)
    scheduler.add_interval_job(adds, hours=1, job_id="inline-adds", executor="inline")
    assert RunState.SUCCEEDED is ended(scheduler, "adds").state
    run = ended(scheduler, "inline-adds")
    assert "give the job executor='thread'" in run.error.message


class Lamp:
    """A face that notes what is asked of it."""

    name = "lamp"

    def __init__(self):
        self.asked = []

    def channels(self):
        return {}

    def absent(self):
        return {"lamp": "it cannot speak"}

    def state(self):
        return "ready"

    async def start(self, engine):
        self.asked.append(f"start {sorted(engine.jobs.rows)}")

    async def leave(self):
        self.asked.append("leave")

    async def stop(self):
        self.asked.append("stop")


def test_faces_are_started_on_demand(folder):
    """A face that is handed over is started once the jobs are there, told of in the health, and stopped at the end."""
    lamp = Lamp()
    scheduler = made(folder, "face.db", faces=[lambda settings, env: lamp])
    scheduler.add_interval_job(lambda: None, hours=1, job_id="one")
    with scheduler:
        assert {"lamp": "ready"} == scheduler.health_check().faces
    assert ["start ['one']", "leave", "stop"] == lamp.asked


def test_a_face_runs_a_job_with_its_values(folder):
    """Who presses Run or asks over REST need not know what the function takes: its job's values count, under theirs."""
    seen, faces = [], []

    def greet(name, times=1):
        seen.append((name, times))

    def face(settings, env):
        faces.append(web_face(settings, env))
        return faces[-1]

    with made(folder, "rest.db", faces=[face], web="on", web_port=0) as scheduler:
        scheduler.add_interval_job(greet, hours=1, context={"name": "Ada"})
        until(lambda: faces[0].address, "the web never came")
        for params in ({}, {"times": 2}):
            answer = httpx.post(f"{faces[0].address}/api/pipelines/greet/runs", json={"params": params})
            run = answer.raise_for_status().json()
            assert RunState.SUCCEEDED is scheduler.wait(run["id"], timeout=30).state
    assert [("Ada", 1), ("Ada", 2)] == seen


# ------------------------------------------------------------------ misuse


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"cron": "61 * * * *"}, BadSchedule, "minute"),
        ({"job_id": "no blanks"}, BadSchedule, "the job's name"),
        ({"timezone": "Europe/Nowhere"}, BadSchedule, "Europe/Nowhere"),
        ({"jobid": "x"}, PipecallError, "unknown option 'jobid'; did you mean 'job_id'?"),
        ({"executor": "rocket"}, ConfigError, "executor"),
        ({"timeout": "soon"}, ConfigError, "timeout"),
        ({"context": {"who": "x"}}, BadParameter, "unknown parameter 'who'"),
        ({"context": {"n": "x"}}, BadParameter, "expected a whole number"),
        ({"context": {"n": datetime.now(UTC)}}, PipecallError, "'n' is datetime, not JSON"),
        ({"overlap": "sometimes"}, BadSchedule, "queue"),
    ],
)
def test_wrong_options_are_told(folder, options, error, words):
    """What is wrong with a job is told where it is added, with what was expected; nothing is kept of it."""

    def job(n: int = 1):
        return n

    scheduler = made(folder, "wrong.db")
    with pytest.raises(error, match=words):
        scheduler.add_cron_job(job, **{"cron": "0 5 * * *"} | options)
    assert [] == scheduler.list_schedules()


def test_what_a_process_cannot_find_is_refused(folder):
    """A lambda, a closure, a bound method and a partial are refused for processes, each with the way out."""

    def closure():
        return folder

    scheduler = made(folder, "wrong.db")
    for job, words in (
        (lambda: 1, "a lambda cannot run"),
        (closure, "defined inside a function"),
        (folder.exists, "a bound method cannot run"),
        (functools.partial(print, 1), "a partial cannot run"),
    ):
        with pytest.raises(PipecallError, match=rf"{words}.*use executor='thread'"):
            scheduler.add_interval_job(job, hours=1, job_id="job", executor="process")


def test_names_are_asked_for_where_they_are_needed(folder):
    """A second lambda, and a second function of the same name, need a job id; the same one again does not."""

    def named():
        return 1

    scheduler = made(folder, "wrong.db")
    first = named
    scheduler.add_interval_job(first, hours=1)
    scheduler.add_interval_job(first, hours=2)
    scheduler.add_interval_job(lambda: 1, hours=1)
    assert ["lambda", "named"] == [each.name for each in scheduler.list_schedules()]
    with pytest.raises(InvalidTransition, match="a lambda has no name of its own"):
        scheduler.add_interval_job(lambda: 2, hours=1)

    def named():
        return 2

    with pytest.raises(InvalidTransition, match=r"another function is called 'named'.*give this one a job_id"):
        scheduler.add_interval_job(named, hours=1)


def test_settings_are_checked(folder):
    """Settings are the service's; one that there is not is told with the nearest, a wrong one with what it wants."""
    with pytest.raises(PipecallError, match="unknown option 'max_job'; did you mean 'max_jobs'"):
        PipelineScheduler(max_job=1)
    with pytest.raises(ConfigError, match="SCHEDULER_MAX_JOBS"):
        made(folder, max_jobs=0)
    with pytest.raises(ConfigError, match="Mars"):
        made(folder, timezone="Mars/Phobos")


def test_steps_are_checked(folder):
    """What cannot be a step is refused as it is added."""
    with pytest.raises(PipecallError, match="a function's first parameter is the item"):
        Pipeline("p").add_step(lambda: 1).add_step(lambda: 2)
    with pytest.raises(PipecallError, match="'when' is datetime, not JSON"):
        Pipeline("p").add_step(print, when=datetime.now(UTC))
    with pytest.raises(ConfigError, match="at least one stage"):
        made(folder, "wrong.db").register(Pipeline("p"))


def test_names_of_pipelines_and_jobs_are_kept_apart(folder):
    """A callable's job cannot take the name of a pipeline, nor a pipeline that of such a job."""
    scheduler = made(folder, "wrong.db")
    scheduler.register(Pipeline("etl").add_step(lambda: 1))
    scheduler.schedule_daily("etl", "09:00")
    with pytest.raises(InvalidTransition, match="a pipeline is called 'etl' already; give this job another job_id"):
        scheduler.add_interval_job(lambda: 2, hours=1, job_id="etl")
    scheduler.add_interval_job(lambda: 2, hours=1, job_id="tick")
    scheduler.add_interval_job(lambda: 3, hours=1, job_id="tick")
    with pytest.raises(InvalidTransition, match="a job is called 'tick' already"):
        scheduler.register(Pipeline("tick").add_step(lambda: 1))


def test_a_forked_process_is_refused_instead_of_waiting_for_ever(scheduler):
    """The scheduler's thread stays in the process that started it."""
    ours, theirs = os.pipe()
    if (child := os.fork()) == 0:
        try:
            scheduler.get_history()
        except InvalidTransition as error:
            os.write(theirs, str(error).encode())
        finally:
            os._exit(0)
    try:
        ready, _, _ = select.select([ours], [], [], 20)
        assert b"forked" in (os.read(ours, 1000) if ready else b"it hangs")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda s: s.wait(10**30), UnknownName, "no run is called"),
        (lambda s: s.cancel("first"), UnknownName, "no run is called 'first'"),
        (lambda s: s.get_history(limit=-1), ValueError, "limit: found -1"),
        (lambda s: s.get_history(limit=10**30), ValueError, "limit"),
        (lambda s: s.run_now(None), UnknownName, "'None'"),
        (lambda s: s.run_now("tick", context=[1]), PipecallError, "expected a mapping"),
        (lambda s: s.disable("tick", until="later"), ValueError, "no datetime with a time zone"),
        (lambda s: s.register("etl"), PipecallError, "expected a Pipeline"),
        (lambda s: s.add_one_time_job(print, 5), BadSchedule, "run_at: 5"),
        (lambda s: s.add_cron_job(print, "* * * * *", context={1: 2}), PipecallError, "expected a mapping"),
    ],
)
def test_values_of_the_wrong_kind_are_told(scheduler, ask, error, said):
    """Each names what was found and what was expected."""
    with pytest.raises(error, match=said):
        ask(scheduler)


def test_a_program_executes_what_it_made_itself(folder, monkeypatch):
    """Workers do not have its functions: what the environment says of them is not for it; asking for them is told."""
    monkeypatch.setenv("EXECUTOR", "procrastinate")
    with made(folder, "own.db") as scheduler:
        scheduler.add_interval_job(lambda: None, hours=1, job_id="one")
        assert RunState.SUCCEEDED is ended(scheduler, "one").state
    with pytest.raises(ConfigError, match="expected local, or nothing"):
        made(folder, "own.db", executor="procrastinate")
