"""The timetable of a scheduler that leads, waits for its turn, or stands in while nobody leads."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from pipelines import clockwork
from pipelines.clockwork import Clockwork
from pipelines.errors import StoreError


class Parts:
    """Stands for jobs and timetable, and notes what is asked of them."""

    def __init__(self):
        self.goes = False
        self.looked = self.away = 0

    async def look_again(self):
        self.looked += 1
        if self.looked <= self.away:
            raise StoreError("away")

    def start(self):
        self.goes = True

    async def rest(self):
        self.goes = False


class Fleet:
    """One scheduler, and whether it can be seen that somebody leads."""

    def __init__(self, *, shared=True):
        self.parts = Parts()
        self.clockwork = Clockwork(self.parts, self.parts, shared=shared)
        self.led, self.asked = True, 0

    async def seen(self):
        self.asked += 1
        if isinstance(self.led, Exception):
            raise self.led
        return self.led

    @asynccontextmanager
    async def watched(self):
        """Within the block the scheduler looks whether somebody leads."""
        task = asyncio.create_task(self.clockwork.stand_in(self.seen))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def looks(self, times):
        """Let it look so many times more."""
        wanted = self.asked + times
        async with asyncio.timeout(10):
            while self.asked < wanted:
                await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(clockwork, "LOOK_S", 0.005)


async def test_the_leader_times_by_what_the_leader_before_recorded():
    """Beginning to lead, it reads anew what was due and recorded; having a store of its own, it need not."""
    fleet, alone = Fleet(), Fleet(shared=False)
    await fleet.clockwork.begin()
    await alone.clockwork.begin()
    assert [(True, 1), (True, 0)] == [(each.parts.goes, each.parts.looked) for each in (fleet, alone)]
    await fleet.clockwork.end()
    assert not fleet.parts.goes


async def test_while_nobody_leads_everybody_records_what_is_due():
    """Not at the first look, as a leader may be on its way; and no longer once somebody leads."""
    fleet = Fleet()
    async with fleet.watched():
        await fleet.looks(clockwork.PATIENCE + 2)
        assert not fleet.parts.goes
        fleet.led = False
        await fleet.looks(clockwork.PATIENCE - 1)
        assert not fleet.parts.goes
        await fleet.looks(2)
        assert fleet.parts.goes
        fleet.led = True
        await fleet.looks(2)
        assert not fleet.parts.goes


async def test_a_store_that_cannot_be_asked_changes_nothing():
    """While the database is away nothing can be recorded either."""
    fleet = Fleet()
    fleet.led = StoreError("away")
    async with fleet.watched():
        await fleet.looks(clockwork.PATIENCE + 2)
        assert not fleet.parts.goes


async def test_the_leader_does_not_ask_who_leads(monkeypatch):
    """It knows, and goes on however the others see it."""
    monkeypatch.setattr(clockwork, "LOOK_S", 0)
    fleet = Fleet()
    fleet.led = False
    async with fleet.watched():
        await fleet.clockwork.begin()
        before = fleet.asked
        for _ in range(50):
            await asyncio.sleep(0)
        assert (True, before) == (fleet.parts.goes, fleet.asked)


async def test_a_new_leader_waits_for_a_store_that_is_away():
    """Should the database be away while the lock is not, the leader times nothing yet; the service goes on."""
    fleet = Fleet()
    fleet.parts.away = 2
    await fleet.clockwork.begin()
    assert (True, 3) == (fleet.parts.goes, fleet.parts.looked)


async def test_who_could_not_stand_in_tries_again():
    """A look at what is due that fails while nobody leads is made again."""
    fleet = Fleet()
    fleet.led, fleet.parts.away = False, 2
    async with fleet.watched():
        await fleet.looks(clockwork.PATIENCE + 4)
        assert fleet.parts.goes
