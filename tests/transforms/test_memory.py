"""OnlyNew and Diff over several runs, and the reading ahead they do."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.model import Job
from pipelines.testing import MemoryState, run_transform
from pipelines.transform import CURRENT_RUN, RunContext
from pipelines.transforms.at_hand import AtHand
from pipelines.transforms.memory import Diff, OnlyNew
from pipelines.transforms.steps import Limit


@dataclass
class CountingState(MemoryState):
    """A memory that keeps the sizes of the look-ups it was asked for."""

    asked: list[int] = field(default_factory=list)

    async def lookup(self, collection, keys):
        self.asked.append(len(keys))
        return await super().lookup(collection, keys)


@pytest.fixture
def run():
    """A run that stages called by hand are part of."""
    job = Job(1, 1, 1, "test", (), {}, "manual", None, {})
    token = CURRENT_RUN.set(RunContext(job, MemoryState(), lambda: "stage"))
    yield CURRENT_RUN.get()
    CURRENT_RUN.reset(token)


def things(*numbers):
    return [{"id": number, "title": f"thing {number}"} for number in numbers]


async def test_an_item_comes_once_over_all_runs():
    """What a run let through does not come again in the next; a double within a run neither."""
    state = MemoryState()
    assert things(1, 2) == await run_transform(OnlyNew("id"), things(1, 2, 1), state=state)
    assert things(3) == await run_transform(OnlyNew("id"), things(2, 3, 1, 3), state=state)


async def test_doubles_far_apart_in_one_run_are_found():
    """A double counts as seen also when its first came in an earlier slice."""
    items = [{"id": number % 1200} for number in range(3000)]
    assert items[:1200] == await run_transform(OnlyNew("id"), items)


async def test_a_failed_run_leaves_its_items_new():
    """Nothing is remembered of a run that raised."""

    def failing():
        yield from things(1, 2)
        raise OSError("gone")

    state = MemoryState()
    with pytest.raises(OSError, match="gone"):
        await run_transform(OnlyNew("id"), failing(), state=state)
    assert things(1, 2) == await run_transform(OnlyNew("id"), things(1, 2), state=state)


async def test_without_a_key_the_whole_content_counts():
    """The order of an item's fields does not matter, any value does."""
    items = [{"a": 1, "b": [2]}, {"b": [2], "a": 1}, {"a": 1, "b": [3]}, "text", "text", None]
    assert [items[0], items[2], "text", None] == await run_transform(OnlyNew(), items)


async def test_a_key_of_several_parts():
    """All parts of a list of keys count together; a part may be an expression."""
    items = [{"a": 1, "b": {"c": 1}}, {"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 1}, "d": 5}]
    assert items[:2] == await run_transform(OnlyNew(["a", "b.c"]), items)


async def test_number_and_text_are_different_keys():
    """1 and "1" are two keys."""
    assert 2 == len(await run_transform(OnlyNew("id"), [{"id": 1}, {"id": "1"}]))


@pytest.mark.parametrize("key", ["id", ["id", "other"]])
async def test_a_missing_key_is_an_error(key):
    """An item without the key ends the run instead of counting as seen."""
    with pytest.raises(ValueError, match=r"key: .*id.* is missing in the item \{'title': 'x'\}"):
        await run_transform(OnlyNew(key), [{"title": "x"}])


async def test_what_json_cannot_hold_is_an_error():
    """An item that has no JSON form is shown."""
    with pytest.raises(ValueError, match="type object cannot be written as JSON"):
        await run_transform(OnlyNew(), [{"a": object()}])


@pytest.mark.parametrize(
    "make", [lambda: OnlyNew("a["), lambda: OnlyNew([]), lambda: OnlyNew("a", name=""), lambda: Diff("")]
)
def test_arguments_are_checked(make):
    """A wrong key or name is told when the stage is made."""
    with pytest.raises(ValueError, match=r"^(key|name): "):
        make()


async def test_look_ups_are_made_for_many_items_at_once():
    """Items that are at hand are looked up 500 at a time."""
    state = CountingState()
    await run_transform(OnlyNew("id"), things(*range(1250)), state=state)
    assert [500, 500, 250] == state.asked


async def test_an_item_of_a_slow_source_does_not_wait_for_others(run):
    """The first item comes out while its source still waits for the second."""
    more = asyncio.Event()

    async def slow():
        yield {"id": 1}
        await more.wait()
        yield {"id": 2}

    stream = OnlyNew("id")(slow())
    assert {"id": 1} == await asyncio.wait_for(anext(stream), 5)
    more.set()
    assert [{"id": 2}] == [item async for item in stream]


async def test_what_was_not_let_through_stays_new(run):
    """Items read ahead but never asked for are not remembered."""

    async def source():
        for item in things(*range(100)):
            yield item

    stream = OnlyNew("id")(source())
    taken = [item async for item in Limit(3)(stream)]
    await stream.aclose()
    assert (things(0, 1, 2), 3) == (taken, len(run.collection("seen").change().put))


async def test_closing_stops_the_source_and_its_task(run):
    """After the stage is closed its source has let go and no task is left."""
    closed = asyncio.Event()

    async def endless():
        try:
            yield {"id": 1}
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = OnlyNew("id")(endless())
    await anext(stream)
    await stream.aclose()
    assert (True, 1) == (closed.is_set(), len(asyncio.all_tasks()))


async def test_cancelling_reaches_the_source(run):
    """A cancelled stage passes the cancel on to what it waits for, and ends cancelled."""
    waiting, cancelled = asyncio.Event(), asyncio.Event()

    async def endless():
        try:
            waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        yield

    task = asyncio.create_task(anext(OnlyNew("id")(endless())))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


async def test_items_before_an_error_come_first():
    """What the source raises comes through unchanged, after the items it gave before."""

    async def failing():
        yield 1
        yield 2
        raise OSError("gone")

    async with AtHand(failing(), 10) as stream:
        assert [1, 2] == await stream.take()
        with pytest.raises(OSError, match="gone"):
            await stream.take()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), max_size=40), st.integers(min_value=1, max_value=5))
async def test_reading_ahead_keeps_all_items_in_order(pauses, size):
    """However the source pauses, every item is taken once, in order, in slices of at most `size`."""

    async def source():
        for number, pause in enumerate(pauses):
            if pause:
                await asyncio.sleep(0)
            yield number

    batches = []
    async with AtHand(source(), size) as stream:
        while batch := await stream.take():
            batches.append(batch)
    assert list(range(len(pauses))) == [number for batch in batches for number in batch]
    assert all(len(batch) <= size for batch in batches)


async def test_diff_tells_added_changed_and_removed():
    """The second run tells only what differs from the first, with both sides."""
    state = MemoryState()
    first = await run_transform(Diff("id"), things(1, 2, 3), state=state)
    assert [("added", 1), ("added", 2), ("added", 3)] == [(change["change"], change["key"]) for change in first]
    now = [{"id": 1, "title": "thing 1"}, {"id": 2, "title": "new"}, {"id": 4, "title": "thing 4"}]
    expected = [
        {"change": "changed", "key": 2, "item": now[1], "before": things(2)[0]},
        {"change": "added", "key": 4, "item": now[2], "before": None},
        {"change": "removed", "key": 3, "item": None, "before": things(3)[0]},
    ]
    assert expected == await run_transform(Diff("id"), now, state=state)
    assert [] == await run_transform(Diff("id"), now, state=state)


async def test_diff_writes_only_what_changed():
    """A run that finds nothing new changes nothing in the store."""
    state = MemoryState()
    await run_transform(Diff("id"), things(*range(1200)), state=state)
    before = {key: id(value) for key, value in state.collections["snapshot"].items()}
    await run_transform(Diff("id"), things(*range(1200)), state=state)
    assert before == {key: id(value) for key, value in state.collections["snapshot"].items()}


async def test_diff_ignores_fields():
    """A change in an ignored field is no change, and the snapshot does not hold it."""
    state = MemoryState()
    stage = Diff("id", ignore=["at"])
    await run_transform(stage, [{"id": 1, "at": 5, "v": 1}], state=state)
    assert [] == await run_transform(stage, [{"id": 1, "at": 6, "v": 1}], state=state)
    changed = await run_transform(stage, [{"id": 1, "at": 7, "v": 2}], state=state)
    assert [({"id": 1, "at": 7, "v": 2}, {"id": 1, "v": 1})] == [
        (change["item"], change["before"]) for change in changed
    ]


async def test_diff_against_a_failed_run_is_against_the_one_before():
    """A run that raised leaves the snapshot as it was."""

    def failing():
        yield {"id": 1, "title": "half"}
        raise OSError("gone")

    state = MemoryState()
    await run_transform(Diff("id"), things(1), state=state)
    with pytest.raises(OSError, match="gone"):
        await run_transform(Diff("id"), failing(), state=state)
    assert [] == await run_transform(Diff("id"), things(1), state=state)


async def test_diff_of_doubles_takes_the_first_and_says_so(caplog):
    """Items that share a key do not fight: the first counts, and the run's log tells of the others."""
    items = [{"id": 1, "v": 1}, {"id": 1, "v": 2}, {"id": 1, "v": 3}]
    with caplog.at_level(logging.WARNING):
        changes = await run_transform(Diff("id"), items)
    assert [{"id": 1, "v": 1}] == [change["item"] for change in changes]
    assert ["Diff: 2 items had the key of an earlier item and were left out"] == caplog.messages


async def test_diff_keeps_the_order_of_fields():
    """Fields come out in the order they came in, so that a CSV file's columns do too."""
    changes = await run_transform(Diff("id"), [{"z": 1, "id": 2, "a": 3}])
    assert ["z", "id", "a"] == list(changes[0]["item"])


RECORDS = st.dictionaries(st.integers(0, 8), st.integers(0, 2), max_size=8)


@settings(max_examples=60, deadline=None)
@given(st.lists(RECORDS, max_size=4))
async def test_changes_applied_to_the_past_give_the_present(snapshots):
    """Replaying every run's changes rebuilds that run's items exactly."""
    state, rebuilt = MemoryState(), {}
    for snapshot in snapshots:
        items = [{"id": key, "v": value} for key, value in snapshot.items()]
        for change in await run_transform(Diff("id"), items, state=state):
            if change["change"] == "removed":
                del rebuilt[change["key"]]
            else:
                rebuilt[change["key"]] = change["item"]["v"]
        assert snapshot == rebuilt
