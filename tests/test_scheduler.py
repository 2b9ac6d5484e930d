"""The scheduler in one process over a real store: runs, retries, cancel, limits, schedules, missed instants."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from pipelines.errors import InvalidTransition, UnknownName
from pipelines.model import OccurrenceOutcome, RunState
from pipelines.store import history, logs
from tests.project import Project, on_both_stores

STAGES = """
import asyncio
from pathlib import Path
from pipelines import RetryLater, Skip, current_run

def numbers(_):
    yield from range(5)

def fail(item):
    raise OSError("no such host")

def fail_twice(item):
    if current_run().attempt < 3:
        raise OSError("busy")
    return item

def broken(item):
    raise ModuleNotFoundError("no module named shop")

def later(item):
    if current_run().attempt == 1:
        raise RetryLater("come back", after_s=0)
    return item

def skip(item):
    raise Skip("no new rows")

def hoard(item):
    current_run().state["much"] = "x" * 1_000_000

def remember(item):
    run = current_run()
    run.state["count"] = run.state.get("count", 0) + 1
    run.log.info("count %d, region %s", run.state["count"], run.params.get("region"))
    return run.state["count"]

def remember_and_fail(item):
    remember(item)
    raise ValueError("after all")

def tell(item, *, key):
    current_run().log.info("using %s", key)
    raise ValueError(f"no luck with {key}")

def message(item):
    current_run().emit("discord:1", {"content": "hello"}, key="greeting")
    current_run().emit("discord:1", {"content": "again"}, key="greeting")
    return item

async def hang(item):
    await asyncio.Event().wait()

async def held(item, *, folder):
    Path(folder, "begun").touch()
    while not Path(folder, "go").exists():
        await asyncio.sleep(0.01)
    return item
"""


def pipelines(**chains: str) -> str:
    """A file of inline pipelines that are tried again without a wait."""
    entries = "".join(f"  {name.replace('_', '-')}: {{executor: inline, {body}}}\n" for name, body in chains.items())
    return f"scheduler: {{default_retry: {{attempts: 3, delay: 0}}}}\npipelines:\n{entries}"


@pytest.fixture
def stages(project: Project):
    """A project with the stages above."""
    project.plugin("stages", STAGES)
    return project


async def ended(project: Project, name: str, **params: object):
    """Run one pipeline to its end and return the run, its attempts' states, and its log lines."""
    async with project.scheduler() as scheduler:
        await scheduler.start()
        (run,) = await scheduler.run_now([name], params=params)
        run = await scheduler.wait(run.id)
        attempts = await scheduler.reader.read(history.attempts, run.id)
    async with project.scheduler() as scheduler:  # closing the first has written all log lines
        lines = await scheduler.reader.read(logs.tail, run.id, 100)
    return run, [attempt.state for attempt in attempts], [line.text for _, line in lines]


@on_both_stores
async def test_a_run_is_recorded_with_all_its_facts(stages):
    """A run that succeeded has times, counts, attempts and the hash of its definition."""
    stages.write(pipelines(p="chain: [stages.numbers]"))
    run, attempts, _ = await ended(stages, "p")
    catalog_hash = stages.catalog().get("p").hash
    assert (RunState.SUCCEEDED, [RunState.SUCCEEDED], 5, 5, catalog_hash) == (
        run.state,
        attempts,
        run.items_in,
        run.items_out,
        run.definition_hash,
    )
    assert run.queued_at is not None
    assert run.started_at <= run.ended_at


@on_both_stores
async def test_a_failing_run_uses_all_attempts(stages):
    """A run that keeps failing ends as failed after its last attempt, with the failing stage named."""
    stages.write(pipelines(p="chain: [stages.numbers, stages.fail]"))
    run, attempts, _ = await ended(stages, "p")
    assert (RunState.FAILED, [RunState.FAILED] * 3, "fail: OSError: no such host") == (
        run.state,
        attempts,
        str(run.error),
    )


async def test_a_later_attempt_may_succeed(stages):
    """A run whose third attempt succeeds has succeeded, and keeps no error."""
    stages.write(pipelines(p="chain: [stages.fail_twice]"))
    run, attempts, _ = await ended(stages, "p")
    assert (RunState.SUCCEEDED, None, 3) == (run.state, run.error, len(attempts))


async def test_errors_in_code_are_not_repeated(stages):
    """An import that fails inside a stage ends the run at its first attempt."""
    stages.write(pipelines(p="chain: [stages.broken]"))
    _, attempts, _ = await ended(stages, "p")
    assert [RunState.FAILED] == attempts


async def test_the_other_side_names_the_wait(stages):
    """RetryLater sets the wait: none here, although the policy says a minute."""
    stages.write(pipelines(p="retry: {attempts: 2, delay: 60}, chain: [stages.later]"))
    run, attempts, _ = await ended(stages, "p")
    assert (RunState.SUCCEEDED, 2) == (run.state, len(attempts))


async def test_skip_ends_a_run_with_its_reason(stages):
    """A stage that raises Skip makes the run skipped; it is not tried again."""
    stages.write(pipelines(p="chain: [stages.skip]"))
    run, attempts, _ = await ended(stages, "p")
    assert (RunState.SKIPPED, "no new rows", 1) == (run.state, run.reason, len(attempts))


@on_both_stores
async def test_parameters_and_state_reach_the_chain(stages):
    """Parameters of the run go over the pipeline's; state is kept from run to run."""
    stages.write(pipelines(p="params: {region: eu}, chain: [stages.remember]"))
    first = (await ended(stages, "p"))[2]
    second = (await ended(stages, "p", region="us"))[2]
    assert (["count 1, region eu"], ["count 2, region us"]) == (first, second)


async def test_secrets_are_hidden_from_all_that_is_kept(stages):
    """A secret from the environment that a stage logs and raises is nowhere in the store."""
    stages.env["SHOP_KEY"] = "s3cr3t-value"
    body = "retry: {attempts: 1}, chain: [{class: stages.tell, kwargs: {key: '${SHOP_KEY}'}}]"
    stages.write(pipelines(p=body))
    run, _, lines = await ended(stages, "p")
    assert (["using •••"], "no luck with •••") == (lines, run.error.message)
    assert b"s3cr3t" not in b"".join(path.read_bytes() for path in stages.folder.glob("store.db*"))


async def test_state_of_a_failed_run_is_not_kept(stages):
    """What a failed attempt changed in the pipeline's state is forgotten."""
    stages.write(pipelines(p="retry: {attempts: 2}, chain: [stages.remember_and_fail]"))
    lines = (await ended(stages, "p"))[2]
    assert ["count 1, region None"] * 2 == lines


@on_both_stores
async def test_messages_are_stored_once_with_the_end(stages):
    """Messages of the same key in one run are one, stored when the run succeeded."""
    stages.write(pipelines(p="chain: [stages.message]"))
    run, _, _ = await ended(stages, "p")
    assert [("discord:1", f"run:{run.id}:greeting")] == stages.query("SELECT target, dedupe_key FROM outbox")


async def test_a_running_run_can_be_cancelled(stages):
    """Cancelling a running run stops its chain and records who asked."""
    stages.write(pipelines(p="chain: [stages.hang]"))
    async with stages.scheduler() as scheduler:
        await scheduler.start()
        (run,) = await scheduler.run_now(["p"])
        while run.id not in scheduler.live:
            await asyncio.sleep(0)
        await scheduler.cancel(run.id, reason="cancelled by ann")
        run = await scheduler.wait(run.id)
    assert (RunState.CANCELLED, "cancelled by ann") == (run.state, run.reason)


@on_both_stores
async def test_a_waiting_run_can_be_cancelled(stages):
    """A run that has not begun is cancelled at once; one that is over cannot be."""
    stages.write(pipelines(p="chain: [stages.hang]"))
    async with stages.scheduler() as scheduler:
        await scheduler.start(only=[])
        (run,) = await scheduler.run_now(["p"])
        await scheduler.cancel(run.id)
        assert RunState.CANCELLED == (await scheduler.wait(run.id)).state
        with pytest.raises(InvalidTransition, match="#1 of p is cancelled"):
            await scheduler.cancel(run.id)
        with pytest.raises(UnknownName):
            await scheduler.cancel(99)


async def test_a_timeout_is_told_as_such(stages):
    """An attempt that takes too long ends as timed out."""
    stages.write(pipelines(p="timeout: 0.05, retry: {attempts: 1}, chain: [stages.hang]"))
    run, _, _ = await ended(stages, "p")
    assert RunState.TIMED_OUT == run.state


async def test_runs_of_one_pipeline_never_overlap(stages):
    """A second run of a pipeline waits for the first, while another pipeline's goes on."""
    stages.write(pipelines(p="chain: [stages.hang]", q="chain: [stages.numbers]"))
    async with stages.scheduler() as scheduler:
        await scheduler.start()
        first, second, other = await scheduler.run_now(["p", "p", "q"])
        await scheduler.wait(other.id)
        assert {first.id} == set(scheduler.live)
        await scheduler.cancel(first.id)
        await scheduler.wait(first.id)
        while second.id not in scheduler.live:
            await asyncio.sleep(0)
        await scheduler.cancel(second.id)
        await scheduler.wait(second.id)


@on_both_stores
async def test_no_more_run_at_once_than_allowed(stages):
    """SCHEDULER_MAX_JOBS limits the runs that go on at one time, over all pipelines."""
    stages.write(pipelines(**{f"p{n}": "chain: [stages.hang]" for n in range(4)}))
    async with stages.scheduler(scheduler_max_jobs=2) as scheduler:
        await scheduler.start()
        queued = await scheduler.run_now(["p0", "p1", "p2", "p3"])
        for run in queued:
            while run.id not in scheduler.live:
                await asyncio.sleep(0)
            assert len(scheduler.live) <= 2
            await scheduler.cancel(run.id)
            await scheduler.wait(run.id)


async def test_an_unknown_pipeline_queues_nothing(stages):
    """One unknown name among several refuses them all."""
    stages.write(pipelines(p="chain: [stages.numbers]"))
    async with stages.scheduler() as scheduler:
        with pytest.raises(UnknownName, match="did you mean 'p'"):
            await scheduler.run_now(["p", "P2"])
    assert [] == stages.query("SELECT id FROM runs")


async def test_drain_cancels_what_does_not_end(stages):
    """After the drain time what still runs is cancelled and recorded so; what waited stays queued."""
    stages.write(pipelines(p="chain: [stages.hang]"))
    async with stages.scheduler() as scheduler:
        await scheduler.start()
        first, _ = await scheduler.run_now(["p", "p"])
        while first.id not in scheduler.live:
            await asyncio.sleep(0)
        await scheduler.drain(0)
    assert [("cancelled", "the service was stopped"), ("queued", None)] == stages.query(
        "SELECT state, reason FROM runs ORDER BY id"
    )


# ------------------------------------------------------------------ schedules

EVERY_MINUTE = "schedule: '* * * * *', chain: [stages.numbers]"


def pages(conn, limits):
    """A write that limits how far the SQLite file may grow, as a full disk would, on this connection and on others."""
    event.listen(conn.engine.pool, "checkout", lambda dbapi, *_: dbapi.execute(f"PRAGMA max_page_count = {limits[0]}"))
    return [conn.exec_driver_sql(f"PRAGMA max_page_count = {limit}").scalar() for limit in limits]


async def test_an_end_is_recorded_once_the_disk_has_room_again(stages, caplog):
    """While the store is full a run's end waits; with room again it is recorded, and later runs go on."""
    stages.write(pipelines(p="chain: [stages.hoard]"))
    async with stages.scheduler() as scheduler:
        await scheduler.start()
        await scheduler.writer.call(pages, 1)  # no less than what there is, and no more
        (run,) = await scheduler.run_now(["p"])
        while "its end cannot be recorded: the database refused: database or disk is full" not in caplog.text:
            await asyncio.sleep(0.01)
        await scheduler.writer.call(pages, 1_000_000)
        assert RunState.SUCCEEDED == (await scheduler.wait(run.id)).state
        (run,) = await scheduler.run_now(["p"])
        assert RunState.SUCCEEDED == (await scheduler.wait(run.id)).state


FULL = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE UPDATE ON runs EXECUTE FUNCTION no_room();
"""


@pytest.mark.parametrize("project", ["postgresql"], indirect=True)
async def test_a_server_without_room_keeps_ends_and_begins_waiting(stages, caplog, monkeypatch):
    """While PostgreSQL's disk is full a run's end waits and no other begins; with room again, both go on."""
    monkeypatch.setattr("pipelines.worker.AGAIN_S", 0.05)
    stages.write(
        pipelines(
            held=f"chain: [{{class: stages.held, kwargs: {{folder: '{stages.folder}'}}}}]",
            next="chain: [stages.numbers]",
        )
    )
    async with stages.scheduler() as scheduler, asyncio.timeout(30):
        await scheduler.start()
        (held,) = await scheduler.run_now(["held"])
        while not (stages.folder / "begun").exists():
            await asyncio.sleep(0.01)
        stages.change(FULL)
        try:
            (waiting,) = await scheduler.run_now(["next"])
            (stages.folder / "go").touch()
            for said in ("its end cannot be recorded: the database refused: could not extend", "no run can be begun"):
                while said not in caplog.text:
                    await asyncio.sleep(0.01)
            assert [("running",), ("queued",)] == stages.query("SELECT state FROM runs ORDER BY id")
        finally:
            stages.change("DROP FUNCTION no_room CASCADE")
        ends = [(await scheduler.wait(run.id)).state for run in (held, waiting)]
        assert [RunState.SUCCEEDED, RunState.SUCCEEDED] == ends


@pytest.mark.parametrize("turns", [0, 1, 3, 10, 30, 100])
async def test_stopping_while_a_run_is_claimed_loses_nothing(stages, turns):
    """Whenever a service is stopped, a run that was just queued is either still queued or ran to its end."""
    stages.write(pipelines(p="chain: [stages.numbers]"))
    async with stages.scheduler() as scheduler:
        await scheduler.start()
        await scheduler.run_now(["p"])
        for _ in range(turns):
            await asyncio.sleep(0)
        await scheduler.drain(30)
    assert stages.query("SELECT state, attempt FROM runs") in ([("queued", 0)], [("succeeded", 1)])


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time now."""
        return self.now


NOON = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


async def down_for(project: Project, pause: timedelta):
    """Start a service at noon, stop it, start it again after `pause`, and return what became of each instant."""
    clock = Clock(NOON)
    async with project.scheduler(clock=clock) as scheduler:
        await scheduler.start_timetable()
    clock.now += pause
    async with project.scheduler(clock=clock) as scheduler:
        await scheduler.start(only=[])
        await scheduler.start_timetable()
        while True:
            found = await scheduler.reader.read(history.occurrences, schedule_id="p", limit=2000)
            if any(each.outcome is OccurrenceOutcome.RUN for each in found):
                return sorted(found, key=lambda each: each.due_at)


@on_both_stores
async def test_missed_instants_are_recorded(stages, caplog):
    """After ten minutes down, the newest instant within grace runs; nine are recorded as missed, and it is said."""
    stages.write(pipelines(p=EVERY_MINUTE))
    found = await down_for(stages, timedelta(minutes=10))
    assert [OccurrenceOutcome.MISSED] * 9 + [OccurrenceOutcome.RUN] == [each.outcome for each in found]
    assert [NOON.replace(minute=minute, second=0) for minute in range(1, 11)] == [each.due_at for each in found]
    assert (
        "schedule 'p': 9 instant(s) recorded as missed, from 2026-03-01 12:01:00Z: the service did not run"
        in caplog.text
    )


async def test_runs_that_never_began_leave_reports_too(stages):
    """With an output folder, an instant that was missed leaves its report like any other run that is over."""
    stages.write(pipelines(p=EVERY_MINUTE))
    clock = Clock(NOON)
    folder = stages.folder / "reports"
    async with stages.scheduler(clock=clock) as scheduler:
        await scheduler.start_timetable()
    clock.now += timedelta(minutes=10)
    async with stages.scheduler(clock=clock, output_dir=folder) as scheduler:
        await scheduler.start_timetable()
        while len(stages.query("SELECT id FROM runs")) < 10:
            await asyncio.sleep(0.01)
    assert 9 == len(list(folder.iterdir()))


async def test_a_long_pause_is_told_in_one_line(stages):
    """Of a week of missed minutes the newest thousand are recorded one by one, the rest in the first one's reason."""
    stages.write(pipelines(p=EVERY_MINUTE))
    found = await down_for(stages, timedelta(days=7))
    assert (1000, "the service did not run when it was due, like 9080 before it") == (len(found), found[0].reason)


@on_both_stores
async def test_an_edited_schedule_starts_anew(stages):
    """Instants of a schedule as it was before an edit are not made up for."""
    stages.write(pipelines(p=EVERY_MINUTE))
    clock = Clock(NOON)
    async with stages.scheduler(clock=clock) as scheduler:
        await scheduler.start_timetable()
    clock.now += timedelta(minutes=3)
    stages.write(pipelines(p="schedule: '*/2 * * * *', chain: [stages.numbers]"))
    async with stages.scheduler(clock=clock) as scheduler:
        (row,) = await scheduler.start_timetable()
    assert (clock.now, NOON.replace(minute=4, second=0)) == (row.last_due_at, row.next_due_at)


async def test_a_date_in_the_past_is_pointed_out_once(stages, caplog):
    """A new one-time schedule whose time has passed never runs; that is said when it is new, and not again."""
    stages.write(pipelines(p="schedule: {at: '2020-01-01T00:00:00'}, chain: [stages.numbers]"))
    for _ in range(2):
        async with stages.scheduler() as scheduler:
            (row,) = await scheduler.start_timetable()
            assert row.next_due_at is None
    assert 1 == sum("lies in the past; it never runs" in record.getMessage() for record in caplog.records)


async def test_schedules_of_disabled_pipelines_are_retired(stages):
    """A pipeline that is switched off in the file fires no more; its schedule is kept as retired."""
    stages.write(pipelines(p=EVERY_MINUTE))
    async with stages.scheduler() as scheduler:
        await scheduler.start_timetable()
    stages.write(pipelines(p=f"enabled: false, {EVERY_MINUTE}"))
    async with stages.scheduler() as scheduler:
        assert [] == await scheduler.start_timetable()
    assert [("p", "retired")] == stages.query("SELECT id, state FROM schedules")


async def test_schedule_parameters_go_over_the_pipelines(stages):
    """A scheduled run has the pipeline's parameters with the schedule's own over them."""
    body = "params: {a: 1, b: 1}, schedule: {cron: '* * * * *', params: {b: 2}}, chain: [stages.numbers]"
    stages.write(pipelines(p=body))
    await down_for(stages, timedelta(minutes=1))
    assert [('{"a":1,"b":2}',)] == stages.query("SELECT params FROM runs")
