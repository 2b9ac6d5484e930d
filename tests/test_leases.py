"""Keeping leases in one process: renewing them, and giving up what may be ours no more, whatever the database does."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from pipelines.errors import StoreError
from pipelines.execution.watchdog import Watchdog
from pipelines.leases import CERTAIN, LOST, Leases
from pipelines.live_run import LiveRun
from pipelines.model import Run, RunState, StartedBy, utcnow
from pipelines.store.leases import Kept

LENGTH = timedelta(seconds=0.4)
SURE_S = CERTAIN * LENGTH.total_seconds()


@dataclass
class Database:
    """Stands for the writer: answers renewals as a test wants, or never."""

    answer: Kept | Exception | None = field(default_factory=Kept)
    hangs: bool = False
    asked: int = 0

    @asynccontextmanager
    async def beside(self):
        yield self

    async def call(self, _fn, wishes, *, durable):
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer for _ in wishes]


@dataclass
class Here:
    """One process with one run, and a clock that a test sets."""

    database: Database = field(default_factory=Database)
    now_s: float = 100.0
    exclusive: bool = False
    lost: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.leases = Leases(
            self.database,
            length=LENGTH,
            exclusive=self.exclusive,
            held=lambda: [self.live],
            lost=self._lost,
            clock_s=lambda: self.now_s,
        )
        run = Run(7, "p", RunState.RUNNING, StartedBy.MANUAL, utcnow(), attempt=2)
        self.live = LiveRun(run)
        self.live.lease.until_s = self.leases.until_s(self.now_s)

    def _lost(self, live, why):
        live.over = True
        self.lost.append(why)

    @asynccontextmanager
    async def going_on(self):
        """Within the block leases are kept and watched."""
        tasks = [asyncio.create_task(self.leases.keep()), asyncio.create_task(self.leases.watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(true):
    """Poll until something is so."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_lease_is_renewed_from_when_that_was_asked_for():
    """It is certain for 0.8 of its length, counted from the asking and not from the answer."""
    here = Here()
    async with here.going_on():
        here.now_s += 0.1
        await until(lambda: here.live.lease.until_s > 100.0 + SURE_S)
    assert pytest.approx(100.1 + SURE_S) == here.live.lease.until_s
    assert [] == here.lost


@pytest.mark.parametrize("database", [Database(hangs=True), Database(StoreError("the disk is full"))])
async def test_a_run_whose_lease_cannot_be_renewed_is_given_up_in_time(database):
    """A database that refuses, or never answers, changes nothing about when the run is given up."""
    here = Here(database)
    async with here.going_on():
        await until(lambda: database.asked)
        assert [] == here.lost
        here.now_s += SURE_S
        await until(lambda: here.lost)
    assert ["its lease could not be renewed in time"] == here.lost


async def test_a_process_that_slept_gives_up_before_it_asks():
    """Whoever was frozen for longer than its lease finds it over by the clock, although no renewal was refused."""
    here = Here()
    here.now_s += 3600
    async with here.going_on():
        await until(lambda: here.lost)
    assert 0 == here.database.asked


async def test_a_lease_that_somebody_else_took_is_lost():
    """The database says that the run is no longer ours."""
    here = Here(Database(None))
    async with here.going_on():
        await until(lambda: here.lost)
    assert [LOST] == here.lost


async def test_a_store_of_ones_own_takes_no_run_away():
    """There a full disk for an hour, or a machine asleep, ends nothing: nobody else could have begun the run."""
    here = Here(Database(StoreError("the disk is full")), exclusive=True)
    here.now_s += 3600
    async with here.going_on():
        await until(lambda: here.database.asked > 1)
    assert (None, []) == (here.live.lease.until_s, here.lost)


async def test_what_is_over_is_renewed_but_never_given_up():
    """A run whose end the store refuses has no stage at work: it waits for the store, however long."""
    here = Here()
    here.live.over = True
    here.now_s += 3600
    async with here.going_on():
        await until(lambda: here.database.asked > 1)
    assert [] == here.lost


async def test_a_lease_that_could_not_be_renewed_just_now_ends_when_it_did():
    """What another transaction held meanwhile is given up in time, unless a later renewal comes through."""
    here = Here(Database(Kept(renewed=False)))
    async with here.going_on():
        await until(lambda: here.database.asked > 1)
        here.now_s += SURE_S
        await until(lambda: here.lost)
    assert ["its lease could not be renewed in time"] == here.lost


async def test_a_wish_to_cancel_comes_with_the_renewal():
    """The run is cancelled for the reason that was given, should no signal have told."""
    here = Here(Database(Kept("enough")))
    async with here.going_on():
        await until(here.live.cancel.done)
    assert "enough" == here.live.cancel_reason


@pytest.fixture
def news():
    """Both ends of a socket: who watches reads the first, who renews writes to the second."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_the_dog_of_a_worker_process_bites_when_the_lease_is_over(news):
    """Not while there is news, and not while it has no lease; a later end that comes in time holds it back."""
    now, bitten = [10.0], []
    dog = Watchdog(lambda: bitten.append(now[0]), clock=lambda: now[0])
    news[1].send(b"renewal")
    for until_s, at_s in ((12.0, 11.5), (14.0, 13.5), (None, 20.0), (21.0, 20.5)):
        dog.set(until_s)
        now[0] = at_s
        dog.wait(news[0])
    assert [] == bitten
    news[0].recv(10)
    now[0] = 21.0
    dog.wait(news[0])
    assert [21.0] == bitten


def test_the_dog_reads_the_news_first(news):
    """A renewal that came while nobody had time to read it counts, though the lease that was known is long over."""
    bitten = []
    dog = Watchdog(lambda: bitten.append("bitten"), clock=lambda: 99.0)
    dog.set(12.0)
    news[1].send(b"renewal")
    dog.wait(news[0])
    assert [] == bitten
