"""The keys that stages hand to services which refuse doubles: another for each stage, the same in each attempt."""

from __future__ import annotations

import asyncio
import functools
import sys

import pytest

from pipelines.chain import Chain
from pipelines.errors import PipecallError
from pipelines.execution import make_executors
from pipelines.model import ExecutorKind, Job, RunState, StageSpec
from pipelines.testing import MemoryState, run_transform
from pipelines.transform import Fetcher, Sink, Transform, current_run
from tests.execution.conftest import Heard

PLUGIN = """
from pipelines.transform import Fetcher, Sink, current_run


class Bring(Fetcher):
    async def fetch(self):
        yield [current_run().idempotency_key]


def plain(item):
    return [*item, current_run().idempotency_key]


async def waiting(item):
    return [*item, current_run().idempotency_key]


class Take(Sink):
    async def handle(self, item):
        current_run().emit("log:keys", {"keys": [*item, current_run().idempotency_key]})
"""
KEYS = ["1:Bring", "1:plain", "1:plain#2", "1:waiting", "1:waiting#2", "1:Take"]


def ask(*_):
    """Ask for the key from a function below the stage."""
    return current_run().idempotency_key


class Bring(Fetcher):
    """Asks in its own stream."""

    async def fetch(self):
        yield [ask()]


class Stream(Transform):
    """Asks before, between and after the items, so that what it pulls at has asked meanwhile."""

    async def __call__(self, items):
        before = ask()
        async for item in items:
            yield [*item, before, ask()]
        assert before == ask()


class Taking(Sink):
    """Asks in a method that its stream calls, when it is entered and when it is left."""

    def __init__(self):
        self.built = ask()
        self.kept = []

    async def __aenter__(self):
        assert self.built == ask()

    async def handle(self, item):
        item += [self.built, ask()]

    async def __aexit__(self, *_):
        current_run().emit("log:keys", {"left": ask()})


class Foreign:
    """A class of another codebase whose stream is an object with `__anext__` of its own."""

    def __call__(self, items):
        self.items = items
        return Pages(items)


class Pages:
    """The stream of `Foreign`."""

    def __init__(self, items):
        self.items = items

    def __aiter__(self):
        return self

    async def __anext__(self):
        item = await anext(self.items)
        return [*item, ask(), ask()]


def plain(item):
    """A plain function."""
    return [*item, ask(), ask()]


def many(item):
    """A generator function."""
    yield [*item, ask(), ask()]
    yield [*item, ask(), ask()]


async def waiting(item):
    """An async function."""
    await asyncio.sleep(0)
    return [*item, ask(), ask()]


async def pages(item):
    """An async generator function."""
    yield [*item, ask(), ask()]


def chain_of(*things, attempt=1, kept=None):
    """A chain over these stages, each under its own name; the last one keeps what comes out."""
    out = kept if kept is not None else []
    last = (*things, out.append) if kept is not None else things
    specs = tuple(StageSpec(f"x.{getattr(each, '__name__', 'bound')}") for each in last)
    left = iter(last)

    class Shelf:
        def build(self, spec):
            thing = next(left)
            return thing() if isinstance(thing, type) else thing

    job = Job(
        run_id=1,
        attempt=attempt,
        max_attempts=3,
        pipeline="p",
        stages=specs,
        params={},
        started_by="manual",
        due_at=None,
        values={},
    )
    return Chain(job, Shelf(), MemoryState())


async def keys_of(*things, attempt=1):
    """Run a chain and return the keys that its first item gathered."""
    kept = []
    outcome = await chain_of(*things, attempt=attempt, kept=kept).run()
    assert RunState.SUCCEEDED is outcome.state, outcome.error
    return kept[0]


@pytest.mark.parametrize("kind", [Stream, Taking, Foreign, plain, many, waiting, pages], ids=lambda each: each.__name__)
@pytest.mark.parametrize("between", [(), (plain,), (waiting,)], ids=["alone", "before plain", "before async"])
async def test_each_of_two_equal_stages_has_its_own_key(kind, between):
    """Two stages of one class or function, also with others between them, are told apart, whatever kind they are."""
    name = kind.__name__
    middle = [f"1:{each.__name__}" for each in between for _ in range(2)]
    last = f"1:{name}#2"
    if kind in between:
        middle, last = [f"1:{name}#2"] * 2, f"1:{name}#3"
    expected = ["1:Bring", f"1:{name}", f"1:{name}", *middle, last, last]
    assert expected == await keys_of(Bring, kind, *between, kind)


@pytest.mark.parametrize("count", [1, 400])
async def test_functions_in_one_loop_are_told_apart(count):
    """Also for items that go through untimed, each function of a row, and the generator before it, has its own key."""

    def source(_):
        for _ in range(count):
            yield [ask()]

    kept = []
    outcome = await chain_of(Bring, source, plain, plain, functools.partial(plain), waiting, kept=kept).run()
    names = ["source", "plain", "plain", "plain#2", "plain#2", "bound", "bound", "waiting", "waiting"]
    assert (RunState.SUCCEEDED, count) == (outcome.state, len(kept))
    assert {tuple(f"1:{name}" for name in names)} == {tuple(each) for each in kept}


async def test_functions_at_the_end_are_told_apart():
    """So are those that nothing comes after."""
    seen = []

    def first(item):
        return [*item, ask()]

    def last(item):
        seen.append([*item, ask()])

    for things in [(Bring, first, last), (Bring, many, first, last), (Bring, many)]:
        outcome = await chain_of(*things).run()
        assert RunState.SUCCEEDED is outcome.state, outcome.error
    assert [["1:Bring", "1:first", "1:last"]] + [["1:Bring", "1:many", "1:many", "1:first", "1:last"]] * 2 == seen


async def test_a_key_is_the_same_in_every_attempt():
    """The number of the attempt is no part of it."""
    assert await keys_of(Bring, Stream, attempt=1) == await keys_of(Bring, Stream, attempt=3)


async def test_a_stage_has_its_key_while_it_is_closed():
    """Also on leaving, when no stream is there any more."""
    outcome = await chain_of(Bring, Taking, Taking).run()
    assert ["1:Taking#2", "1:Taking"] == [message.body["left"] for message in outcome.messages]


async def test_a_task_that_cannot_be_told_is_refused_with_the_way_out():
    """A function that asks in a task of its own gets an error, never the key of another stage."""

    async def outside(item):
        return await asyncio.create_task(asyncio.to_thread(ask))

    outcome = await chain_of(Bring, outside).run()
    assert (RunState.FAILED, "outside") == (outcome.state, outcome.error.stage)
    assert "ask in the stage itself, and hand over the key" in outcome.error.message


async def test_methods_in_tasks_and_threads_are_told():
    """A method of a stage object knows its key wherever it runs, as do all of a chain that has one stage."""

    class Apart(Transform):
        def below(self):
            return ask()

        async def __call__(self, items):
            async for item in items:
                yield [*item, await asyncio.to_thread(self.below)]

    assert ["1:Bring", "1:Apart", "1:Apart#2"] == await keys_of(Bring, Apart, Apart)

    async def alone(_):
        await asyncio.create_task(asyncio.to_thread(ask))

    assert RunState.SUCCEEDED is (await chain_of(alone).run()).state


async def test_an_items_key_is_that_of_its_value():
    """Equal values have equal keys within a stage, others have others, and the stage's own key begins them."""

    class Each(Transform):
        async def __call__(self, items):
            async for item in items:
                yield current_run().item_key(item)

    one, same, other, text = await run_transform(Each(), [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2}, "order 7"])
    assert (True, 3) == (one == same, len({one, other, text}))
    assert {"1:Each"} == {key.rpartition(":")[0] for key in (one, other, text)}


def test_outside_a_run_there_is_none():
    """Without a run the error says how to get one in a test."""
    with pytest.raises(PipecallError, match="run_transform"):
        ask()


@pytest.mark.parametrize("kind", list(ExecutorKind))
async def test_a_key_is_the_same_wherever_a_chain_runs(kind, tmp_path, monkeypatch):
    """Inline, in a thread and in a worker process, in the first attempt and in the second, each stage has its own."""
    monkeypatch.setattr("sys.path", [*sys.path])
    module = f"keys_asked_{kind}"
    (tmp_path / f"{module}.py").write_text(PLUGIN)
    names = ["Bring", "plain", "plain", "waiting", "waiting", "Take"]
    fields = {"max_attempts": 2, "pipeline": "p", "params": {}, "started_by": "manual", "due_at": None, "values": {}}
    stages = tuple(StageSpec(f"{module}.{name}") for name in names)
    executor = make_executors(tmp_path, (), processes=1, warm=0)[kind]
    await executor.start()
    try:
        told = []
        for attempt in (1, 2):
            cancel = asyncio.get_running_loop().create_future()
            job = Job(run_id=1, attempt=attempt, stages=stages, **fields)
            outcome = await executor.execute(job, Heard(), timeout_s=20, cancel=cancel)
            told += [message.body["keys"] for message in outcome.messages]
        assert [KEYS, KEYS] == told
    finally:
        await executor.close()
