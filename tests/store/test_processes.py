"""Who takes part in a store, as its schedulers and workers say of themselves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from pipelines import presence
from pipelines.model import Process, ProcessRole, ProcessState, utcnow
from pipelines.presence import Presence
from pipelines.settings import Settings
from pipelines.store import database, processes
from pipelines.store.face_schema import processes as table
from pipelines.store.processes import Arrival, Beat
from pipelines.store.writer import Reader, Writer
from tests.others import process, scheduler
from tests.store.conftest import on_postgresql
from tests.store.samples import NOON

MINUTE = timedelta(minutes=1)


def beat(conn, *given: Process, versions: dict[str, str] | None = None) -> None:
    """Let processes say that they are there."""
    processes.beat(conn, [Beat(each, versions) for each in given])


def age(conn, name: str, by: timedelta) -> None:
    """Let a process have been silent for so long."""
    conn.execute(table.update().where(table.c.id == name).values(beat_at=utcnow() - by))


def test_what_a_process_says_comes_back(conn):
    """All that it says of itself is read, but for the time, which is the database's."""
    said = process(queues=frozenset({"gpu", "default"}), running=1, web="http://h:8080", leads=True)
    beat(conn, said)
    (found,) = processes.all_of(conn)
    assert said == replace(found, beat_at=NOON, silent_s=0.0)
    assert abs(utcnow() - found.beat_at) < MINUTE


def test_the_last_word_stays(conn):
    """A later beat replaces an earlier one, in the same batch too; versions stay until others are told."""
    beat(conn, process(), versions={"prices": "v1"})
    processes.beat(conn, [Beat(process(running=1), {"prices": "v2"}), Beat(process(running=2, queues=frozenset()))])
    (found,) = processes.all_of(conn)
    assert (2, frozenset()) == (found.running, found.queues)
    assert {"prices": frozenset({"v2"})} == processes.versions(conn, MINUTE)


@on_postgresql
def test_of_those_who_come_at_one_time_one_is_first(engine):
    """Each of several schedulers that start together is told whether another was there; exactly one hears of none."""

    def arrive(number: int) -> bool:
        first = Arrival(Beat(scheduler(f"s{number}", leads=False)), MINUTE)
        with database.writing(engine).begin() as conn:
            return processes.arrive(conn, [first])[0]

    with ThreadPoolExecutor(5) as many:
        told = list(many.map(arrive, range(5)))
    assert [False] * 4 + [True] == sorted(told)


def test_who_is_known_to_be_gone_is_no_other(conn):
    """A scheduler that comes is the first where those on the list died or are workers, and its word is written down."""
    beat(conn, scheduler("dead"), process("worker"))
    arrival = Arrival(Beat(scheduler("new")), MINUTE, frozenset({"dead"}))
    assert [True] == processes.arrive(conn, [arrival])
    assert [False] == processes.arrive(conn, [Arrival(Beat(scheduler("newer")), MINUTE, frozenset({"dead"}))])
    assert {"dead", "worker", "new", "newer"} == {each.id for each in processes.all_of(conn)}


def test_the_leader_stands_first(conn):
    """The leader comes first, then the other schedulers, then the workers; who leaves is gone."""
    others = [process("s", role=ProcessRole.SCHEDULER), process("l", role=ProcessRole.SCHEDULER, leads=True)]
    beat(conn, process("w"), *others)
    assert ["l", "s", "w"] == [each.id for each in processes.all_of(conn)]
    assert ["l", "s"] == [each.id for each in processes.schedulers(conn, MINUTE)]
    processes.leave(conn, ["l"])
    assert ["s"] == [each.id for each in processes.schedulers(conn, MINUTE)]


def test_a_leader_that_died_leads_no_more(conn):
    """Once another leads, who has been silent does not, before its lease is over; alone it is still the leader."""
    beat(conn, process("dead", leads=True))
    age(conn, "dead", timedelta(seconds=10))
    assert [("dead", True)] == [(each.id, each.leads) for each in processes.all_of(conn)]
    beat(conn, process("next", leads=True))
    assert [("next", True), ("dead", False)] == [(each.id, each.leads) for each in processes.all_of(conn)]


def test_the_silent_are_not_alive(conn):
    """Who has been silent for longer counts no more, is shown with how long, and is pruned after an hour."""
    beat(conn, process("old"), process("new"), versions={"prices": "v1"})
    age(conn, "old", timedelta(minutes=50))
    assert ["new"] == [each.id for each in processes.alive(conn, MINUTE)]
    silent = {each.id: round(each.silent_s / 60) for each in processes.all_of(conn)}
    assert {"old": 50, "new": 0} == silent
    assert [0, 1] == processes.prune(conn, [processes.KEPT, timedelta(minutes=40)])
    assert ["new"] == [each.id for each in processes.all_of(conn)]


@pytest.mark.parametrize(
    ("served", "more"),
    [
        (True, {"queues": None}),
        (True, {"queues": frozenset({"gpu"})}),
        (False, {"queues": frozenset({"default"})}),
        (False, {"queues": frozenset()}),
        (False, {"slots": 0}),
        (False, {"state": ProcessState.DRAINING}),
    ],
)
def test_who_serves_a_queue(conn, served, more):
    """A queue is served by who executes runs, names it or names none, and does not drain."""
    beat(conn, process(**more))
    assert [served] == [each.serves("gpu") for each in processes.alive(conn, MINUTE)]


def test_who_has_a_version(conn):
    """A version is there where somebody alive who executes runs has it."""
    beat(conn, process("w"), versions={"prices": "v1"})
    beat(conn, process("s", slots=0), versions={"prices": "v2"})
    assert {"prices": {"v1"}} == processes.versions(conn, MINUTE)
    age(conn, "w", timedelta(hours=1))
    assert {} == processes.versions(conn, MINUTE)


def test_what_a_later_version_says_of_itself_is_left_out(conn):
    """A process of a role or in a state that this version does not know disturbs nobody."""
    beat(conn, process("known"))
    beat(conn, process("strange"))
    conn.exec_driver_sql("UPDATE processes SET role = 'archivist' WHERE id = 'strange'")
    assert ["known"] == [each.id for each in processes.all_of(conn)]


class Told:
    """What a presence asks for."""

    def __init__(self, writer: Writer) -> None:
        self.leads = False
        self.versions = {"prices": "v1"}
        self.presence = Presence(
            writer,
            role=ProcessRole.SCHEDULER,
            settings=Settings(_env_file=None, run_lease_seconds=600),
            running=lambda: 1,
            slots=lambda: 4,
            queues=None,
            leads=lambda: self.leads,
            web=lambda: None,
            versions=lambda: self.versions,
            clock=utcnow,
            id="mine",
        )


async def test_a_presence_speaks_when_it_changes(engine, monkeypatch):
    """It says that it is there, says so again at once when it begins to lead or drains, and leaves."""
    monkeypatch.setattr(presence, "LOOK_S", 0.01)
    monkeypatch.setattr(presence, "EVERY_S", 600.0)
    writer, reader = Writer(engine), Reader(engine)
    await writer.start()
    told = Told(writer)
    keeping = asyncio.create_task(told.presence.keep())

    async def until(leads: bool, state: ProcessState) -> Process:
        async with asyncio.timeout(10):
            while True:
                found = await reader.read(processes.all_of)
                if found and (leads, state) == (found[0].leads, found[0].state):
                    return found[0]
                await asyncio.sleep(0.005)

    first = await until(leads=False, state=ProcessState.WORKING)
    assert ("mine", os.getpid(), 1, 4) == (first.id, first.pid, first.running, first.slots)
    told.leads = True
    await until(leads=True, state=ProcessState.WORKING)
    told.presence.draining()
    await until(leads=True, state=ProcessState.DRAINING)
    assert {"prices": frozenset({"v1"})} == await reader.read(processes.versions, MINUTE)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await told.presence.leave()
    assert [] == await reader.read(processes.all_of)
    await writer.close()
    await reader.close()


async def test_versions_are_told_when_they_change(engine):
    """A beat writes the versions only where they are others than before."""
    writer, reader = Writer(engine), Reader(engine)
    await writer.start()
    told = Told(writer)
    await told.presence.beat()
    async with asyncio.timeout(10):
        await writer.call(lambda conn, ids: [conn.execute(table.update().values(versions={})) and None for _ in ids], 0)
        await told.presence.beat()
        assert {} == await reader.read(processes.versions, MINUTE)
        told.versions = {"prices": "v2"}
        await told.presence.beat()
    assert {"prices": frozenset({"v2"})} == await reader.read(processes.versions, MINUTE)
    await writer.close()
    await reader.close()


async def test_a_closed_store_stops_no_presence(engine):
    """A beat that the store refuses is no error, nor is leaving it."""
    told = Told(Writer(engine))
    await told.presence.beat()
    await told.presence.leave()
    with engine.connect() as conn:
        assert [] == processes.all_of(conn)


SAY_KEY = "from pipelines import presence; print(presence.machine_key(), flush=True); input()"


def test_a_dead_neighbour_is_known():
    """A process of this machine is dead once it was killed, before its parent has taken note too; not before."""
    with subprocess.Popen(
        [sys.executable, "-c", SAY_KEY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        there = process(pid=child.pid, machine=child.stdout.readline().strip())
        assert not presence.dead_here(there)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert presence.dead_here(there)
    assert presence.dead_here(there)


def test_only_the_very_process_counts():
    """One elsewhere is not known to be dead; one whose pid another process has by now is."""
    mine = presence.machine_key()
    machine = mine.rpartition(":")[0]
    here = [process(pid=os.getpid(), machine=key) for key in (mine, f"{machine}:1", "elsewhere:1")]
    assert [False, True, False] == [presence.dead_here(each) for each in here]


def test_each_process_has_a_name_of_its_own():
    """An id tells pid, and differs from one to the next."""
    first, second = presence.process_id(), presence.process_id()
    assert (str(os.getpid()), True) == (first.split(":")[-2], first != second)
