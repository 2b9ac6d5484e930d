"""Delivery by turns: only while this process may, and again after it was cancelled; nothing is lost or sent twice."""

from __future__ import annotations

import asyncio

import pytest

from pipelines.channels import Gone, Unauthorised, Unsure
from pipelines.delivery import Delivery
from pipelines.store.outbox import PostState
from tests.post_office import Box, office


class Lead:
    """Whether this process may deliver."""

    def __init__(self) -> None:
        self.ours = True

    def __call__(self) -> bool:
        return self.ours


@pytest.fixture
def box():
    return Box()


@pytest.fixture
def lead():
    return Lead()


@pytest.fixture
async def desk(tmp_path, box, lead):
    """An office that delivers while `lead` says so."""
    async with office(tmp_path, {"box": box}) as opened:
        opened.reopened(may=lead)
        yield opened


async def until(condition, timeout_s=5.0):
    """Wait until something is so."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_without_the_lead_nothing_is_taken(desk, box, lead):
    """What waits stays queued, its delivery has nothing to do at a stop, and leaves with the lead."""
    lead.ours = False
    await desk.post()
    await desk.settle()
    assert 1 == await asyncio.wait_for(desk.delivery.flush(60), 5)
    assert ([], PostState.QUEUED) == (box.tries, (await desk.letter()).state)
    lead.ours = True
    await desk.settle()
    assert (["k"], PostState.SENT) == (box.messages, (await desk.letter()).state)


async def test_one_that_wakes_without_the_lead_sends_nothing(desk, box, lead, monkeypatch):
    """Frozen between its claim and its try, a process sends nothing when it wakes; the next leader does, once."""
    asked = iter([True, True])  # it may look, and claim
    monkeypatch.setattr(Lead, "__call__", lambda _: next(asked, False))
    await desk.post("a")
    await desk.post("b")
    await desk.settle()
    assert ([], PostState.SENDING, PostState.QUEUED) == (
        box.tries,
        (await desk.letter("a")).state,
        (await desk.letter("b")).state,
    )
    next_ = Delivery(desk.writer, desk.reader, desk.channels, lambda: desk.now)
    assert 0 == await next_.flush(5)
    assert ["a", "b"] == box.messages


@pytest.mark.parametrize("fault", [Unsure("no answer"), Gone("deleted"), ValueError("a mistake of ours")])
async def test_a_failure_without_the_lead_is_not_noted(desk, box, lead, fault):
    """A try that fails after the lead was lost neither buries the message nor puts it back under the next leader."""
    box.gate = asyncio.Event()
    box.faults = [fault]
    await desk.post()
    await desk.delivery._look()
    await until(lambda: box.busy)
    lead.ours = False
    box.gate.set()
    await until(lambda: not desk.delivery._workers)
    assert PostState.SENDING == (await desk.letter()).state


async def test_it_can_be_cancelled_and_run_again(desk, box):
    """A second run delivers through channels that the first has closed, also to one that was refused before."""
    box.faults = [Unauthorised("a wrong token")]
    first = asyncio.create_task(desk.delivery.run())
    await desk.post("a")
    await until(lambda: desk.delivery._closed)
    first.cancel()
    await asyncio.wait({first})
    assert box.closed
    second = asyncio.create_task(desk.delivery.run())
    await until(lambda: box.messages == ["a"])
    await desk.post("b")
    await until(lambda: box.messages == ["a", "b"])
    second.cancel()
    await asyncio.wait({second})


async def test_what_was_under_way_is_sent_by_the_next_run(desk, box):
    """A run that is cancelled in the middle of a try leaves it to the next, and the message arrives once."""
    box.gate = asyncio.Event()
    first = asyncio.create_task(desk.delivery.run())
    await desk.post()
    await until(lambda: box.busy)
    first.cancel()
    await asyncio.wait({first})
    assert PostState.SENDING == (await desk.letter()).state
    box.gate.set()
    second = asyncio.create_task(desk.delivery.run())
    await until(lambda: box.messages)
    second.cancel()
    await asyncio.wait({second})
    assert (["k"], 2) == (box.messages, len(box.tries))
