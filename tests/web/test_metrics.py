"""What Prometheus reads: every kind of value, that they move as runs end, and that reading them stays cheap."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from pipelines import Health, Lease, Machines, Queue, Run, RunState, ScheduleState, StartedBy
from pipelines.store import counts
from pipelines.store.counts import Ended
from tests.others import process, scheduler
from web.access import Access
from web.families import Reading, Reloads, families
from web.machine_families import machine_families
from web.metrics import Metrics, serve_metrics
from web.problems import trouble_of
from web.refusals import Refused
from web.tallies import DURATIONS_S, NAMES, OTHERS, Names, Spread, Tallies

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def shop(project):
    project.plugin("stages", "def good(item):\n    return 1\n\ndef bad(item):\n    raise ValueError('no')\n")
    project.write(
        """
        scheduler: {max_parallel_jobs: 7, default_retry: {attempts: 1}}
        pipelines:
          good: {executor: inline, schedule: ["0 6 * * *", "0 9 * * *"], chain: [stages.good]}
          bad: {executor: inline, chain: [stages.bad]}
        """
    )
    return project


@asynccontextmanager
async def asking(project, **given):
    """A running engine, its app's metrics, and a client of the app."""
    async with project.scheduler(**given) as engine:
        await engine.start()
        await engine.start_timetable()
        app = FastAPI(exception_handlers={Refused: lambda _, error: trouble_of(error).as_json()})
        app.state.access = Access(engine, engine.settings)
        serve_metrics(app, engine)
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", verify=False) as client:
            yield engine, app.state.metrics, client


async def ended(engine, *names):
    """Run pipelines to their ends."""
    for run in await engine.run_now(names):
        async with asyncio.timeout(10):
            await engine.wait(run.id)


def values(text, parser=parse):
    """Each sample's value, by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in parser(text)
        for sample in family.samples
    }


def fresh(metrics):
    """Read anew at the next request, as if a second had passed."""
    metrics._read_at = -1e9


async def test_values_move_as_runs_end(shop):
    """Counters, durations and the last success follow each run that ends; what did not happen stands at 0."""
    async with asking(shop) as (engine, metrics, client):
        before = values((await client.get("/metrics")).text)
        await ended(engine, "good", "good", "bad")
        fresh(metrics)
        after = values((await client.get("/metrics")).text)
    good = ("pipecall_runs_ended_total", ("pipeline", "good"), ("state", "succeeded"))
    bad = ("pipecall_runs_ended_total", ("pipeline", "bad"), ("state", "failed"))
    assert [(0, 0), (2, 1)] == [(each[good], each[bad]) for each in (before, after)]
    assert 0 == after["pipecall_runs_ended_total", ("pipeline", "good"), ("state", "missed")]
    assert 2 == after["pipecall_run_duration_seconds_count", ("pipeline", "good")]
    assert ("pipecall_run_duration_seconds_count", ("pipeline", "good")) not in before
    last = after["pipecall_last_success_timestamp_seconds", ("pipeline", "good")]
    assert abs(time.time() - last) < 60
    assert ("pipecall_last_success_timestamp_seconds", ("pipeline", "bad")) not in after


async def test_every_part_of_the_service_is_told(shop):
    """Queue, slots, schedules, outbox, store, timetable, reload, build and process each have their value."""
    async with asking(shop) as (_, _, client):
        answer = await client.get("/metrics")
    found = values(answer.text)
    assert "text/plain" in answer.headers["content-type"]
    told = {name: value for (name, *_), value in found.items()}
    assert 7 == told["pipecall_slots"]
    assert 2 == told["pipecall_pipelines"]
    assert 2 == found["pipecall_schedules", ("state", "active")]
    assert [1, 0, 0] == [found["pipecall_status", ("status", each)] for each in ("ok", "degraded", "down")]
    assert told["pipecall_next_due_timestamp_seconds"] > time.time()
    assert (1, 1) == (told["pipecall_reload_ok"], told["pipecall_store_usable"])
    assert ("pipecall_build_info", ("version", "0.1.0")) in found
    assert told["process_resident_memory_bytes"] > 1e6
    assert {"pipecall_timetable_tick_age_seconds", "pipecall_event_loop_lag_seconds", "python_info"} <= told.keys()


async def test_openmetrics_is_spoken_too(shop):
    """Who asks for OpenMetrics gets it, with the same values; its parser is the stricter one."""
    async with asking(shop) as (engine, _, client):
        await ended(engine, "bad")
        answer = await client.get("/metrics", headers={"accept": OPENMETRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    found = values(answer.text, parse_openmetrics)
    assert 1 == found["pipecall_runs_ended_total", ("pipeline", "bad"), ("state", "failed")]


async def test_counters_survive_a_restart(shop):
    """How many runs ended is what the store says, so that a service that starts again goes on counting."""
    async with asking(shop) as (engine, _, _):
        await ended(engine, "bad")
    async with asking(shop) as (engine, _, client):
        await ended(engine, "bad")
        found = values((await client.get("/metrics")).text)
    assert 2 == found["pipecall_runs_ended_total", ("pipeline", "bad"), ("state", "failed")]
    assert 1 == found["pipecall_run_duration_seconds_count", ("pipeline", "bad")]


async def test_a_token_is_asked_for(shop):
    """As soon as there is a token, who brings none is refused; who does is answered."""
    async with asking(shop, web_token="very-secret-token") as (_, _, client):
        refused = await client.get("/metrics")
        answered = await client.get("/metrics", headers={"authorization": "Bearer very-secret-token"})
    assert (401, 200) == (refused.status_code, answered.status_code)


async def test_many_who_ask_cost_one_reading(shop, monkeypatch):
    """Within a second, many scrapes at one time read the store once."""
    async with asking(shop) as (engine, _, client):
        asked = []
        read = engine.health

        async def health():
            asked.append(True)
            return await read()

        monkeypatch.setattr(engine, "health", health)
        answers = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
    assert ({200}, 1) == ({answer.status_code for answer in answers}, len(asked))


async def test_ten_thousand_pipelines_stay_few_series(shop):
    """Of 10,000 pipelines the first have series of their own, the others one together; nothing is lost from the sum."""
    async with shop.scheduler() as engine:
        past = [Ended(f"p{n}", state, NOON) for n in range(10_000) for state in (RunState.SUCCEEDED, RunState.FAILED)]
        await engine.writer.call(lambda conn, batches: [counts.count(conn, batch) for batch in batches], past)
        metrics = Metrics(engine)
        metrics._names.take(f"p{n}" for n in range(10_000))
        await metrics.text("")
        fresh(metrics)
        began = time.process_time()
        text, _ = await metrics.text("")
        took_s = time.process_time() - began
    found = values(text.decode())
    labels = {dict(rest)["pipeline"] for name, *rest in found if name == "pipecall_runs_ended_total"}
    assert (NAMES + 1, True) == (len(labels), OTHERS in labels)
    assert 20_000 == sum(value for (name, *_), value in found.items() if name == "pipecall_runs_ended_total")
    assert took_s < 2, "a scrape must be cheap; 0.1 s is usual"


def test_a_name_keeps_its_series():
    """Who was let in stays in, and who came too late counts as one of the others."""
    names = Names(2)
    names.take(["a"])
    names.take(["b", "c"])
    names.take(["c", "d"])
    assert ["a", "b", OTHERS, OTHERS] == [names.label(each) for each in "abcd"]


def run(**more):
    return Run(
        **{"id": 1, "pipeline": "p", "state": RunState.RUNNING, "started_by": StartedBy.SCHEDULE, "queued_at": NOON}
        | more
    )


def test_how_late_a_run_starts_is_counted_once():
    """The lag is from due to the first attempt's start; later attempts and runs by hand have none."""
    tallies = Tallies(Names())
    started = NOON + timedelta(seconds=0.2)
    tallies.happened(run(due_at=NOON, started_at=started, attempt=1))
    tallies.happened(run(due_at=NOON, started_at=started, attempt=2))
    tallies.happened(run(started_at=started, attempt=1))
    assert {"0.1": 0, "0.25": 1, "+Inf": 1} == {
        bound: count for bound, count in tallies.lag.buckets if bound in ("0.1", "0.25", "+Inf")
    }
    assert 0.2 == tallies.lag.total_s


def test_runs_that_never_began_have_no_duration():
    """A run that was skipped or cancelled before its start is not among the durations."""
    tallies = Tallies(Names())
    tallies.happened(run(state=RunState.SKIPPED, ended_at=NOON))
    assert {} == tallies.durations


def test_a_spread_counts_up_to_each_bound():
    """A value is counted at the first bound that is not below it, and above the last under +Inf alone."""
    spread = Spread((1.0, 5.0))
    for taken_s in (1.0, 2.0, 9.0, -3.0):
        spread.add(taken_s)
    assert ([("1", 2), ("5", 3), ("+Inf", 4)], 12.0) == (spread.buckets, spread.total_s)
    assert list(DURATIONS_S) == sorted(DURATIONS_S)


def test_an_ill_service_is_told():
    """What is wrong shows: down, the age of what waits, dead letters, faces that wait, a reload that was refused."""
    health = Health(
        at=NOON,
        loop_lag_s=0.5,
        waiting_writes=3,
        dropped_lines=4,
        running=0,
        queued=2,
        slots=1,
        queued_since=NOON - timedelta(hours=1),
        unsent=1,
        unsent_since=NOON - timedelta(minutes=20),
        dead=5,
        refused="no space left",
        faces={"web": "waiting: port in use", "Discord": "ready"},
    )
    reading = Reading(
        health=health,
        version="1",
        names=(),
        pipelines=0,
        ended=(),
        durations={},
        lag=([("+Inf", 0.0)], 0.0),
        schedules={ScheduleState.PAUSED: 1},
        next_due_at=None,
        reloads=Reloads(ok=False, at=NOON),
    )
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families(reading)
        for sample in family.samples
    }
    expected = {
        ("pipecall_status", "down"): 1,
        ("pipecall_queue_oldest_age_seconds",): 3600,
        ("pipecall_outbox_oldest_age_seconds",): 1200,
        ("pipecall_outbox_messages", "dead"): 5,
        ("pipecall_log_batches_dropped_total",): 4,
        ("pipecall_face_state", "waiting", "web"): 1,
        ("pipecall_face_state", "ready", "web"): 0,
        ("pipecall_face_state", "Discord", "ready"): 1,
        ("pipecall_store_usable",): 0,
        ("pipecall_reload_ok",): 0,
        ("pipecall_reload_timestamp_seconds",): NOON.timestamp(),
        ("pipecall_schedules", "paused"): 1,
    }
    assert expected == {key: found[key] for key in expected}


def test_those_who_share_the_store_are_counted():
    """Processes by role and state, slots and leases of all, the leader, and what each queue has."""
    lost, at_work = process("v", silent_s=99.0), process("w", running=1, queues=frozenset({"gpu"}))
    machines = Machines(
        at=NOON,
        within=timedelta(seconds=30),
        processes=(scheduler(), at_work, lost),
        queues=(Queue("default", 2, NOON, 75.0), Queue("gpu", running=1, servers=("w",))),
        leases=(Lease(1, "p", "gpu", 1, "w", NOON, 9.0), Lease(2, "p", "gpu", 1, "v", NOON, -60.0)),
    )
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in machine_families(machines)
        for sample in family.samples
    }
    expected = {
        ("pipecall_processes", "scheduler", "working"): 1,
        ("pipecall_processes", "worker", "working"): 1,
        ("pipecall_processes", "silent", "worker"): 1,
        ("pipecall_processes", "draining", "worker"): 0,
        ("pipecall_leader",): 1,
        ("pipecall_worker_slots",): 2,
        ("pipecall_worker_running",): 1,
        ("pipecall_leases",): 2,
        ("pipecall_leases_expired",): 1,
        ("pipecall_queue_waiting", "default"): 2,
        ("pipecall_queue_lag_seconds", "default"): 75,
        ("pipecall_queue_servers", "default"): 0,
        ("pipecall_queue_servers", "gpu"): 1,
    }
    assert expected == {key: found[key] for key in expected}
