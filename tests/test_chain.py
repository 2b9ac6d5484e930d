"""The chain: what comes out, what is counted, who is blamed, what is closed."""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.chain import Chain, run_chain
from pipelines.errors import PipecallError, RetryLater, Skip
from pipelines.model import Job, RunState, StageSpec
from pipelines.testing import MemoryState
from pipelines.transform import Fetcher, Sink, Transform, current_run

FEW = settings(max_examples=60, deadline=None)


class Shelf:
    """Stands in for the registry: hands out what it was given; exceptions are raised."""

    def __init__(self, things):
        self.things = things

    def build(self, spec):
        thing = self.things[int(spec.path.rpartition("s")[2])]
        if isinstance(thing, BaseException):
            raise thing
        return thing() if isinstance(thing, type) else thing


def chain(*things, port=None):
    specs = tuple(StageSpec(f"x.s{index}") for index in range(len(things)))
    fields = {"attempt": 1, "max_attempts": 1, "pipeline": "p", "params": {}, "started_by": "manual"}
    job = Job(run_id=1, stages=specs, due_at=None, values={}, **fields)
    return Chain(job, Shelf(things), port or MemoryState())


async def run(*things, port=None):
    return await chain(*things, port=port).run()


def flow(outcome):
    return [(stage.items_in, stage.items_out) for stage in outcome.stages]


class Numbers(Fetcher):
    def __init__(self, items=range(3)):
        self.items = items

    async def fetch(self):
        for item in self.items:
            yield item


class Keep(Sink):
    """Keeps what it is handed, in `seen`; of its own base class only where it is told so."""

    def __init__(self):
        self.seen = []

    async def handle(self, item):
        self.seen.append(item)


class Doubled(Transform):
    async def __call__(self, items):
        async for item in items:
            yield item
            yield item


class Odd(Transform):
    async def __call__(self, items):
        async for item in items:
            if item % 2:
                yield item


class Pairs(Transform):
    """Reads two at a time and goes on reading after the end."""

    async def __call__(self, items):
        while True:
            pair = [item async for item in taken(items, 2)]
            if not pair:
                break
            yield sum(pair)
        assert await anext(items, "over") == "over"


async def taken(items, count):
    for _ in range(count):
        try:
            yield await anext(items)
        except StopAsyncIteration:
            return


class Own:
    """Gives an iterator of its own instead of an async generator."""

    def __init__(self):
        self.items = None

    def __call__(self, items):
        self.items = items
        return self

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await anext(self.items) + 1


def add(item, *, more=1):
    return item + more


def drop_thirds(item):
    return None if item % 3 == 0 else item


def twice(item):
    yield item
    yield -item


def nothing(item):
    yield from ()


async def later(item):
    if item % 5 == 0:
        return None
    return item + 10


async def around(item):
    yield item - 1
    yield item + 1


def each(function):
    return lambda items: [out for item in items if (out := function(item)) is not None]


def many(function):
    return lambda items: [out for item in items for out in function(item)]


KINDS = {
    "add": (functools.partial(add, more=3), each(lambda item: item + 3)),
    "plain": (lambda item: item * 2, each(lambda item: item * 2)),
    "drop": (drop_thirds, each(drop_thirds)),
    "many": (twice, many(twice)),
    "none": (nothing, lambda items: []),
    "awaited": (later, each(lambda item: item + 10 if item % 5 else None)),
    "streamed": (around, many(lambda item: (item - 1, item + 1))),
    "odd": (Odd, lambda items: [item for item in items if item % 2]),
    "doubled": (Doubled, many(lambda item: (item, item))),
    "pairs": (Pairs, lambda items: [sum(items[at : at + 2]) for at in range(0, len(items), 2)]),
    "own": (Own, each(lambda item: item + 1)),
    "sink": (Keep, list),
}
KIND_LISTS = st.lists(st.sampled_from(sorted(KINDS)), max_size=9).filter(
    lambda names: sum(name in ("many", "streamed", "doubled") for name in names) <= 4
)
ITEMS = st.lists(st.integers(-50, 50), max_size=12)


@st.composite
def sources(draw, items=ITEMS):
    """Items, and a first stage that gives them: a fetcher or a generator function."""
    given = draw(items)
    return given, draw(st.sampled_from([Numbers(given), lambda _: iter_of(given)]).map(as_source))


def iter_of(items):
    yield from items


def as_source(source):
    if isinstance(source, Numbers):
        return source

    def from_memory(_):
        yield from source(None)

    return from_memory


@FEW
@given(sources(), KIND_LISTS, st.booleans())
def test_a_chain_is_its_stages_one_after_the_other(source, names, ends_in_sink):
    """Any items through any stages give what the stages give one after the other, and the counts are exact."""
    items, first = source
    kept = Keep()
    steps = [items]
    for name in names:
        steps.append(KINDS[name][1](steps[-1]))
    outcome = asyncio.run(run(first, *(KINDS[name][0] for name in names), *([kept] if ends_in_sink else [])))
    sizes = [1, *(len(step) for step in steps), *([len(steps[-1])] if ends_in_sink else [])]
    assert (RunState.SUCCEEDED, None) == (outcome.state, outcome.error)
    assert list(itertools.pairwise(sizes)) == flow(outcome)
    assert (steps[-1] if ends_in_sink else []) == kept.seen


class Bomb:
    """A stage of any kind that passes items on, and raises at one of them."""

    def __init__(self, at):
        self.left = at

    def tick(self, item):
        if self.left == 0:
            raise ValueError("boom")
        self.left -= 1
        return item

    def as_kind(self, kind):
        def plain(item):
            return self.tick(item)

        def generator(item):
            yield self.tick(item)

        async def awaited(item):
            return self.tick(item)

        async def streamed(item):
            yield self.tick(item)

        class Stage(Transform):
            async def __call__(stage, items):  # noqa: N805 - `self` is the bomb
                async for item in items:
                    yield self.tick(item)

        class Handler(Sink):
            async def handle(stage, item):  # noqa: N805 - `self` is the bomb
                self.tick(item)

        kinds = {
            "plain": plain,
            "built_in": self.tick,
            "generator": generator,
            "awaited": awaited,
            "streamed": streamed,
        }
        return kinds.get(kind) or {"stage": Stage, "handler": Handler}[kind]


ONE_TO_ONE = {"add": lambda item: item + 1, "own": Own, "awaited_add": None, "sink": Keep}


async def awaited_add(item):
    return item + 1


ONE_TO_ONE["awaited_add"] = awaited_add


@FEW
@given(
    st.sampled_from(["fetcher", "generator"]),
    st.lists(st.sampled_from(sorted(ONE_TO_ONE)), max_size=6),
    st.lists(st.sampled_from(sorted(ONE_TO_ONE)), max_size=6),
    st.sampled_from(["plain", "built_in", "generator", "awaited", "streamed", "stage", "handler"]),
    st.one_of(st.integers(0, 20), st.integers(300, 700)),
)
def test_counts_are_exact_when_a_stage_fails(source, before, after, kind, at):
    """When a stage raises at item k, every stage before it gave k + 1 items, it took as many, and gave k."""
    first = Numbers(range(at + 2)) if source == "fetcher" else as_source(lambda _: iter_of(range(at + 2)))
    bomb = Bomb(at).as_kind(kind)
    stages = [ONE_TO_ONE[name] for name in before], [ONE_TO_ONE[name] for name in after]
    outcome = asyncio.run(run(first, *stages[0], bomb, *stages[1]))
    k = len(before) + 1
    ins = [1, *[at + 1] * k, *[at] * len(after)]
    outs = [*[at + 1] * k, *[at] * (len(after) + 1)]
    assert list(zip(ins, outs, strict=True)) == flow(outcome)
    assert (outcome.stages[k].name, "boom") == (outcome.error.stage, outcome.error.message)


@pytest.mark.parametrize("length", range(1, 11))
@pytest.mark.parametrize("tail", [[], [Keep]])
async def test_the_right_one_of_many_functions_is_blamed(length, tail):
    """In a row of plain functions the one that raised is named, also where the same one stands several times."""
    for guilty in range(length):
        calls = 0

        def shared(item, guilty=guilty, length=length):
            nonlocal calls
            calls += 1
            return item if calls != 150 * length + guilty + 1 else 1 // 0

        outcome = await run(as_source(lambda _: iter_of(range(400))), *[shared] * length, *tail)
        assert ("shared" if guilty == 0 else f"shared#{guilty + 1}") == outcome.error.stage
        assert (151, 150) == flow(outcome)[guilty + 1]


async def test_same_names_are_numbered():
    """The second stage of the same name is told apart by a number."""
    outcome = await run(Numbers, Odd, add, Odd, add)
    assert ["Numbers", "Odd", "add", "Odd#2", "add#2"] == [stage.name for stage in outcome.stages]


async def test_classes_of_another_codebase_run():
    """Classes with `fetch`, `handle` or an awaitable `__call__` run without our base classes."""

    class Fetch:
        async def fetch(self):
            yield 1
            yield 2

    class Handle:
        seen = []  # noqa: RUF012 - read below

        async def handle(self, item):
            self.seen.append(item)

    class Called:
        async def __call__(self, items):
            async def stream():
                async for item in items:
                    yield item + 1

            return stream()

    outcome = await run(Fetch, Called, Handle)
    assert ([2, 3], RunState.SUCCEEDED) == (Handle.seen, outcome.state)


@pytest.mark.parametrize(
    ("raised", "state", "retryable", "after_s"),
    [
        (Skip("no rows"), RunState.SKIPPED, True, None),
        (RetryLater("busy", 7.5), RunState.FAILED, True, 7.5),
        (RetryLater("busy", float("nan")), RunState.FAILED, True, None),
        (ExceptionGroup("all", [Skip("no rows")]), RunState.SKIPPED, True, None),
        (ImportError("x"), RunState.FAILED, False, None),
        (TypeError("x"), RunState.FAILED, True, None),
        (SystemExit(3), RunState.FAILED, True, None),
        (KeyboardInterrupt(), RunState.FAILED, True, None),
        (asyncio.CancelledError(), RunState.FAILED, True, None),
        (StopIteration(), RunState.FAILED, True, None),
        (type("Bad", (Exception,), {"retryable": False})(), RunState.FAILED, False, None),
    ],
    ids=repr,
)
async def test_what_is_raised_becomes_the_outcome(raised, state, retryable, after_s):
    """Whatever a stage raises, the chain returns an outcome."""

    def stage(_):
        raise raised

    outcome = await run(Numbers, stage)
    assert (state, retryable, after_s) == (outcome.state, outcome.retryable, outcome.retry_after_s)


@pytest.mark.parametrize("error", [PipecallError("not allowed"), TypeError("bad call"), SyntaxError("oops")])
async def test_errors_of_configuration_are_not_retried(error):
    """A stage that cannot be built fails the run for good, and is named by its path."""
    outcome = await run(Numbers, error)
    assert (RunState.FAILED, False, "s1") == (outcome.state, outcome.retryable, outcome.error.stage)


async def test_a_chain_without_stages_is_refused():
    """An empty chain fails with a message that says what to do."""
    outcome = await run()
    assert (RunState.FAILED, False, True) == (
        outcome.state,
        outcome.retryable,
        "has no stages" in outcome.error.message,
    )


async def test_a_function_that_hides_a_coroutine_is_refused():
    """A plain function that returns an awaitable is told to be written as an async one."""

    class Awaitable:
        def __await__(self):
            yield

    outcome = await run(Numbers, lambda _: Awaitable())
    assert "async def" in outcome.error.message


async def test_the_traceback_is_short_and_begins_with_the_users_line():
    """The traceback begins in the user's file, holds nothing of ours, and has at most 20 lines."""

    def deep(number):
        return deep(number - 1) if number else {}["rate"]

    def stage(_):
        try:
            return deep(50)
        except KeyError as error:
            raise ValueError("x" * 5000) from error

    outcome = await run(Numbers, Odd, stage)
    lines = outcome.error.traceback.splitlines()
    assert ("test_chain.py", True, "caused by KeyError: 'rate'", 2000) == (
        lines[0].split('"')[1].rsplit("/")[-1],
        len(lines) <= 20,
        lines[-1],
        len(outcome.error.message),
    )


async def test_an_error_whose_text_fails_is_told():
    """An exception that cannot be turned into text still ends the run as failed."""

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError

    def stage(_):
        raise Mute

    outcome = await run(Numbers, stage)
    assert ("Mute", RunState.FAILED) == (outcome.error.type, outcome.state)


async def test_the_bases_of_an_exception_are_named():
    """The error names the classes that the exception derives from, so that a retry can be decided on."""
    outcome = await run(Numbers, lambda item: {}["rate"])
    assert {"KeyError", "LookupError", "Exception"} <= outcome.error.class_names


class Noted(Transform):
    """Notes when it is entered and closed, and may raise at any of it."""

    notes: list[str]

    def __init__(self, name, notes, fails=""):
        self.name, self.notes, self.fails = name, notes, fails

    async def note(self, what):
        self.notes.append(f"{what} {self.name}")
        if what == self.fails:
            raise OSError(what)

    async def __aenter__(self):
        await self.note("enter")
        return self

    async def __aexit__(self, kind, *_):
        await self.note("close")
        return True

    async def __call__(self, items):
        async for item in items:
            await self.note("item")
            yield item


@pytest.mark.parametrize(
    ("fails", "expected"),
    [
        (("", ""), ["enter a", "enter b", "item a", "item b", "close b", "close a"]),
        (("", "item"), ["enter a", "enter b", "item a", "item b", "close b", "close a"]),
        (("", "enter"), ["enter a", "enter b", "close a"]),
        (("close", "close"), ["enter a", "enter b", "item a", "item b", "close b", "close a"]),
    ],
)
async def test_stages_are_entered_in_order_and_closed_in_reverse(fails, expected):
    """Stages are entered in order and those entered are closed in reverse, whatever fails; none swallows a failure."""
    notes = []
    outcome = await run(Noted("a", notes, fails[0]), Noted("b", notes, fails[1]))
    state = RunState.FAILED if any(fails) else RunState.SUCCEEDED
    stage = "Noted#2" if any(fails) else None
    assert (expected, state, stage) == (notes, outcome.state, outcome.error and outcome.error.stage)


async def test_cancel_closes_and_comes_through():
    """Cancelling the task closes the stages, then `CancelledError` comes out; counts and messages can be had."""
    notes, reached = [], asyncio.Event()

    async def wait(_):
        current_run().emit("discord:1", {})
        reached.set()
        await asyncio.sleep(1000)

    cancelled = chain(Noted("a", notes), wait)
    task = asyncio.create_task(cancelled.run())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (["enter a", "item a", "close a"], [(1, 1), (1, 0)], 1) == (
        notes,
        [(stage.items_in, stage.items_out) for stage in cancelled.counts()],
        len(cancelled.messages),
    )


async def test_a_stage_may_stop_early():
    """Stages before one that has had enough are closed, and counts say what was taken from them."""
    closed = []

    class Endless(Transform):
        async def __call__(self, items):
            try:
                number = 0
                while True:
                    yield (number := number + 1)
            finally:
                closed.append(True)

    class First(Transform):
        async def __call__(self, items):
            async with aclosing(items):
                async for item in items:
                    yield item
                    if item == 1000:
                        return

    outcome = await run(Endless, add, First)
    assert ([True], [(0, 999), (999, 999), (999, 999)]) == (closed, flow(outcome))


async def test_messages_and_state_come_with_success_only():
    """Messages come with any outcome, one for each key; changed state with a success only."""

    def stage(item):
        run = current_run()
        run.emit("discord:1", {"n": item}, key="k")
        run.state["n"] = item
        return item

    good, bad = await run(Numbers, stage), await run(Numbers, stage, lambda item: 1 // 0)
    assert ([{"n": 0}], {"n": 2}) == ([message.body for message in good.messages], good.change.values)
    assert (1, None) == (len(bad.messages), bad.change.values)


async def test_counts_can_be_read_while_the_chain_runs():
    """Counts read in the middle are those of the items that have passed."""
    reached, go_on, told = asyncio.Event(), asyncio.Event(), []

    async def gate(item):
        if item == 500:
            reached.set()
            await go_on.wait()
        return item

    running = chain(lambda _: 0, Numbers(range(1000)), Odd, add, gate)
    task = asyncio.create_task(running.run())
    await reached.wait()
    told = [(stage.items_in, stage.items_out) for stage in running.counts()]
    go_on.set()
    outcome = await task
    assert [(1, 1), (1, 500), (500, 250), (250, 250), (250, 249)] == told
    assert [(1, 1), (1, 1000), (1000, 500), (500, 500), (500, 500)] == flow(outcome)


async def test_counts_are_told_every_half_second():
    """`run_chain` tells counts while the chain runs."""
    told = asyncio.Event()

    async def wait(_):
        await told.wait()

    prepared = chain(wait)
    outcome = await run_chain(
        prepared._job, prepared._registry, MemoryState(), on_counts=lambda counts: told.set() if counts else None
    )
    assert RunState.SUCCEEDED is outcome.state


def in_memory(_):
    yield from range(150_000)


class InMemory(Transform):
    async def __call__(self, items):
        for number in range(150_000):
            yield number


@pytest.mark.parametrize(
    "stages",
    [
        (in_memory, add, drop_thirds, lambda _: None),
        (in_memory, add, Odd, lambda _: None),
        (InMemory, Odd, lambda _: None),
        (InMemory,),
        (Numbers, in_memory),
        (InMemory, later, lambda _: None, Odd),
    ],
)
async def test_the_event_loop_goes_on(stages):
    """A chain with everything in memory lets the event loop run often, also when all items are dropped."""
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count_turns())
    began = time.process_time()
    outcome = await run(*stages)
    spent_s = time.process_time() - began
    counting.cancel()
    assert RunState.SUCCEEDED is outcome.state
    assert turns >= spent_s / 0.05


async def test_busy_seconds_are_the_stages_own():
    """The slow stage has nearly all the seconds, and all together are not more than the clock's."""

    def slow(item):
        time.sleep(0.002)
        return item

    async def slower(item):
        await asyncio.sleep(0.004)
        return item

    began = time.perf_counter()
    outcome = await run(Numbers(range(30)), add, slow, Odd, slower, add)
    wall_s = time.perf_counter() - began
    busy = {stage.name: stage.busy_s for stage in outcome.stages}
    assert busy["slow"] >= 0.06
    assert busy["slower"] >= 0.06
    assert sum(busy.values()) <= wall_s
