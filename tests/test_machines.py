"""What is said of those who share a store: in words, as what a run waits for, and as complaints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.cli import machine_facts
from pipelines.cli.situation import Situation
from pipelines.cli.standing import Standing
from pipelines.health import Health
from pipelines.model import Lease, Machines, Process, ProcessState, Queue, Run, RunState, StartedBy
from pipelines.store.progress import Progress
from pipelines.vitals import Vitals
from pipelines.waiting import waiting_for
from tests.others import process, scheduler
from tests.project import Project

NOON = datetime(2027, 1, 5, 12, tzinfo=UTC)
GPU = frozenset({"gpu"})


def machines(*those: Process, **more: Any) -> Machines:
    """Those who take part."""
    return Machines(at=NOON, within=timedelta(seconds=30), processes=those, **more)


def test_they_are_summed_up_on_one_line():
    """Who is there, how busy, who leads; versions only where they differ; the silent do not count."""
    busy = (Lease(1, "p", "gpu", 1, "w", NOON, 9.0),)
    told = machines(scheduler(host="alpha"), process("w"), process("v", silent_s=31.0), leases=busy)
    assert "1 scheduler, 1 worker, 1 of 2 slots busy, alpha leads" == str(told)
    mixed = machines(scheduler(leads=False), process("w", program="2.0"))
    assert "1 scheduler, 1 worker, 0 of 2 slots busy, nobody leads, versions 1.0 and 2.0" == str(mixed)


def test_a_limit_that_is_lower_than_the_slots_is_told():
    """What may go on at one time is the smaller of the two; only a limit that bites is named.

    A worker that drains begins nothing more: it counts with the runs that it has.
    """
    told = [machines(process("v"), process("w"), limit=limit) for limit in (3, 4, 9)]
    assert [3, 4, 4] == [each.places for each in told]
    drains = process("u", state=ProcessState.DRAINING, running=1)
    assert 3 == machines(process("v"), drains).places
    assert "2 workers, 0 of 3 running (max_parallel_jobs), 4 slots, nobody leads" == str(told[0])
    assert "2 workers, 0 of 4 slots busy, nobody leads" == str(told[1]) == str(told[2])


def test_a_service_alone_is_not_many():
    """One service that executes its own runs is no news; a worker, a second one, or one without slots is."""
    alone = scheduler(slots=3)
    told = [machines(), machines(alone), machines(alone, scheduler("b")), machines(process()), machines(scheduler())]
    assert [False, False, True, True, True] == [each.many for each in told]


def test_who_executes_a_run_has_a_name_for_people():
    """Host and pid are read off the owner while the run goes on; an id of another kind is told as it is."""
    going = [
        replace(a_run(owner=owner), state=RunState.RUNNING) for owner in ("a:b.example:7:0c", "odd", "x:y:z", None)
    ]
    assert ["a:b.example, pid 7", "odd", "x:y:z", "None"] == [str(each.holder) for each in going]
    assert a_run(owner="host:7:0c").holder is None


def test_status_tells_progress_of_runs_that_go_on_alone():
    """What an attempt said before its process died says nothing of the run that waits to be executed again."""
    far = {9: Progress(9, 1, NOON, 0.5, "half")}
    waits, runs = a_run(), replace(a_run(), state=RunState.RUNNING)
    told = [Situation(Standing(NOON), live=(run,), progress=far) for run in (waits, runs)]
    lines = [dict(told[0].facts())["waits"], dict(told[1].facts())["runs"]]
    assert [False, True] == ["50%, half" in line for line in lines]
    assert [False, True] == [each.record()["live"][0]["progress"] is not None for each in told]


def a_run(**more: Any) -> Run:
    """A run that waits in the queue gpu."""
    return Run(9, "p", RunState.QUEUED, StartedBy.MANUAL, NOON, **({"queue": "gpu", "version": "v1"} | more))


@pytest.mark.parametrize(
    ("those", "versions", "said"),
    [
        ([scheduler()], {}, "waits for a worker that serves queue gpu (none does)"),
        ([scheduler(), process(queues=frozenset())], {}, "waits for a worker that serves queue gpu (none does)"),
        ([process(silent_s=99.0)], {}, "waits for a worker that serves queue gpu (none does)"),
        ([process(state=ProcessState.DRAINING)], {}, "waits for a worker that serves queue gpu (none does)"),
        ([process()], {"p": {"v2"}}, "waits for a worker with this version of the pipeline (none has it)"),
        (
            [process(queues=GPU, running=2), process("other", queues=frozenset({"slow"}))],
            {"p": {"v1"}},
            "waits for a free slot on a machine that serves queue gpu (2 of 2 busy)",
        ),
        ([process()], {"p": {"v1"}}, "waits for its turn"),
        ([process()], {}, "waits for its turn"),
        ([scheduler(slots=1)], {}, "waits for its turn"),
    ],
)
def test_a_run_says_whom_it_lacks(those, versions, said):
    """Who serves its queue, who has its version, a free slot; nothing of that where a service is alone.

    Versions that were not read, as nothing waited then, lack nobody.
    """
    told = machines(*those, versions={name: frozenset(each) for name, each in versions.items()})
    assert said == waiting_for(a_run(), [], max_instances=1, pools={}, slots=3, machines=told)


WELL = Health(loop_lag_s=0.0, waiting_writes=0, dropped_lines=0, running=0, queued=2, slots=0, at=NOON)


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        ({"workers": 0, "unserved": {"gpu": 2}}, "no worker takes part"),
        ({"workers": 1, "unserved": {"gpu": 2}}, "nobody serves queue gpu, in which 2 wait"),
        ({"leaderless_since": NOON - timedelta(minutes=2)}, "no scheduler leads since 2027-01-05 11:58 UTC"),
        ({"divided_since": NOON - timedelta(minutes=2)}, "two schedulers lead since 2027-01-05 11:58 UTC"),
        ({"workers": 1, "queued_since": NOON - timedelta(hours=1)}, "more workers, or more max_parallel_jobs,"),
    ],
)
def test_each_complaint_of_machines_is_told(readings, words):
    """What is wrong among several is told once, and takes no single service down."""
    ill = replace(WELL, **readings)
    assert (("degraded", 1), True) == ((ill.status, len(ill.complaints)), words in ill.complaints[0])


def test_a_change_of_leaders_is_no_complaint():
    """The next takes over within a lease: a moment without a leader, or with two, is as usual."""
    lately = NOON - timedelta(seconds=50)
    assert () == replace(WELL, leaderless_since=lately, divided_since=lately).complaints


async def test_the_service_reads_all_who_share_its_store(project: Project):
    """Where others take part, running and slots are those of all, and an unserved queue or a missing leader shows."""
    from_others = [process("w", queues=GPU), scheduler(leads=False)]
    told = machines(*from_others, queues=(Queue("slow", 3, NOON, 5.0),), by_workers=True)

    async def read() -> Machines:
        return told

    project.write("pipelines: {}")
    async with project.scheduler() as here:
        vitals = Vitals(
            here.writer,
            here.reader,
            here.timetable,
            running=lambda: 1,
            slots=lambda: 3,
            outdated=lambda: None,
            machines=read,
            clock=lambda: NOON,
        )
        health = await vitals.read()
        assert (0, 2, 1, {"slow": 3}) == (health.running, health.slots, health.workers, dict(health.unserved))
        assert health.at == health.leaderless_since == (await vitals.read()).leaderless_since
        told = machines(scheduler(), *from_others, limit=1)
        health = await vitals.read()
        assert (1, None, None) == (health.slots, health.leaderless_since, health.divided_since)
        told = machines(scheduler(), scheduler("second"))
        assert health.at == (await vitals.read()).divided_since == (await vitals.read()).divided_since


def test_status_is_quiet_about_one_service():
    """The terminal says nothing of machines where there is one, and all of it where there are more."""
    assert [] == list(machine_facts.facts(machines(scheduler(slots=3), queues=(Queue("default"),)), NOON))
    told = machines(
        scheduler(host="alpha"),
        process("w", queues=GPU, running=1, state=ProcessState.DRAINING),
        process("v", silent_s=3600.0, beat_at=NOON - timedelta(hours=1)),
        queues=(Queue("gpu", 2, NOON, 75.0, 1, ("w",)), Queue("slow", 1, NOON, 3.0)),
    )
    assert [
        ("machines", "1 scheduler, 1 worker, 0 of 1 slots busy, alpha leads"),
        ("scheduler", "pid 7 on host alpha, leads, version 1.0"),
        ("worker", "pid 7 on host h, draining, 1 of 2 slots busy, queues gpu, version 1.0"),
        ("silent", "worker pid 7 on host h since 1 h ago"),
        ("queue", "gpu: 2 waiting (the oldest for 1 min 15 s), 1 running, served by 1 process"),
        ("queue", "slow: 1 waiting (the oldest for 3.0 s), 0 running, nobody serves it"),
    ] == list(machine_facts.facts(told, NOON))
