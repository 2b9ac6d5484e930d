"""What all three places have in common."""

from __future__ import annotations

import asyncio

import pytest

from pipelines import elapsed
from pipelines.execution import Lease
from pipelines.model import RunState
from tests.execution.conftest import Heard, execute, job, opened, until

KINDS = ["inline", "thread", "process"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_chain_runs_and_counts(kind):
    """A chain that ends well gives `succeeded` and what each stage did."""
    async with opened(kind) as executor:
        outcome = await execute(executor, job(("numbers", {"count": 5}), "double"))
    assert (RunState.SUCCEEDED, [(1, 5), (5, 5)]) == (
        outcome.state,
        [(stage.items_in, stage.items_out) for stage in outcome.stages],
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_begins_without_a_lease(kind):
    """Where a lease is over as the chain is about to begin, no stage sees an item: another may execute it."""
    heard = Heard()
    async with opened(kind) as executor:
        outcome = await execute(executor, job(("numbers", {"count": 5}), "double"), heard, lease=Lease(elapsed.now_s()))
    assert (RunState.CRASHED, 0) == (outcome.state, sum(stage.items_out for stage in outcome.stages))


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_names_stage_and_line(kind):
    """A failing stage gives its name, the exception, and a traceback that starts in the user's file."""
    async with opened(kind) as executor:
        outcome = await execute(executor, job(("numbers", {"count": 5}), ("fail_at", {"at": 3})))
    assert ("fail_at: ValueError: bad item 3", "wild.py") == (
        str(outcome.error),
        outcome.error.traceback.splitlines()[0].split('"')[1].rsplit("/")[-1],
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("stage", "state", "said"),
    [
        ("skip", RunState.SKIPPED, "no new rows"),
        ("later", RunState.FAILED, 12.5),
        ("leave", RunState.FAILED, "leave: SystemExit: the stage called sys.exit(4)"),
        ("interrupt", RunState.FAILED, "interrupt: KeyboardInterrupt"),
    ],
)
async def test_ends_of_their_own_kind(kind, stage, state, said):
    """Skip, RetryLater, sys.exit and KeyboardInterrupt end the run, not the service, and are told as what they are."""
    async with opened(kind) as executor:
        outcome = await execute(executor, job(stage))
    assert outcome.state is state
    assert said in (outcome.reason, outcome.retry_after_s, str(outcome.error).rstrip(": "))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stage_that_is_not_there_is_not_retried(kind):
    """A class path that leads nowhere fails the run as an error of configuration."""
    async with opened(kind) as executor:
        outcome = await execute(executor, job("nothing_here"))
    assert (RunState.FAILED, False, "nothing_here") == (outcome.state, outcome.retryable, outcome.error.stage)


@pytest.mark.parametrize("kind", KINDS)
async def test_timeout_closes_the_stages(kind, tmp_path):
    """When time is up the stage is cancelled and closed, and the run is timed out with its counts."""
    started, closed = tmp_path / "started", tmp_path / "closed"
    async with opened(kind, close_s=10) as executor:
        stage = ("Wait", {"started": str(started), "closed": str(closed)})
        if kind == "process":
            await execute(executor, job("numbers"))
        outcome = await execute(executor, job(stage), timeout_s=0.3)
    assert (RunState.TIMED_OUT, "took longer than 0.3 s", True, 1) == (
        outcome.state,
        outcome.reason,
        closed.exists(),
        outcome.stages[0].items_in,
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_cancel_closes_the_stages(kind, tmp_path):
    """When a run is cancelled its stages are closed."""
    started, closed, cancel = tmp_path / "started", tmp_path / "closed", asyncio.Future()
    async with opened(kind, close_s=10) as executor:
        stage = ("Wait", {"started": str(started), "closed": str(closed)})
        running = asyncio.create_task(execute(executor, job(stage), cancel=cancel))
        await until(started.exists)
        cancel.set_result(None)
        outcome = await running
    assert (RunState.CANCELLED, True) == (outcome.state, closed.exists())


@pytest.mark.parametrize("kind", KINDS)
async def test_a_chain_that_finishes_all_the_same_counts(kind, tmp_path):
    """A chain that comes to its end in spite of being cancelled has succeeded."""
    started, cancel = tmp_path / "started", asyncio.Future()
    async with opened(kind, close_s=10) as executor:
        running = asyncio.create_task(
            execute(executor, job(("Wait", {"started": str(started), "finish": True})), cancel=cancel)
        )
        await until(started.exists)
        cancel.set_result(None)
        outcome = await running
    assert RunState.SUCCEEDED is outcome.state


@pytest.mark.parametrize("kind", KINDS)
async def test_messages_state_and_collections(kind, heard):
    """Messages, small state and collections come back with the outcome; collections are read through the listener."""
    heard.entries = {"old": 1, "other": 2}
    async with opened(kind) as executor:
        outcome = await execute(
            executor, job(("emit", {"count": 2}), ("remember", {"count": 3}), values={"a": 1}), heard
        )
    change = outcome.change.collections["seen"]
    assert ["hello 0", "hello 1", "once"] == [message.body["text"] for message in outcome.messages]
    assert {"a": 1, "known": ["old"], "stored": 2} == outcome.change.values
    assert ({"key-0000000": 0, "key-0000001": 1, "key-0000002": 2}, {"old"}) == (change.put, change.removed)
    assert [(0.5, "half")] == heard.notes


@pytest.mark.parametrize("kind", KINDS)
async def test_a_listener_that_cannot_answer_fails_the_stage(kind, heard):
    """An error of the service while it looks something up is raised in the stage that asked."""
    heard.broken = True
    async with opened(kind) as executor:
        outcome = await execute(executor, job("remember"), heard)
    assert (RunState.FAILED, "remember", True) == (
        outcome.state,
        outcome.error.stage,
        "the database is away" in outcome.error.message,
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_the_run_log_reaches_the_listener(kind, heard):
    """What a stage logs with the run's logger is told, at debug too."""
    async with opened(kind) as executor:
        await execute(executor, job("log_some"), heard)
    assert ("run.p", "told at debug") == (heard.lines[0].source, heard.lines[0].text)


@pytest.mark.parametrize("kind", KINDS)
async def test_counts_come_while_the_run_goes_on(kind, heard, tmp_path):
    """While a run goes on its counts are told."""
    cancel = asyncio.Future()
    async with opened(kind) as executor:
        running = asyncio.create_task(
            execute(executor, job(("Wait", {"started": str(tmp_path / "s")})), heard, cancel=cancel)
        )
        await until(lambda: heard.counts)
        cancel.set_result(None)
        await running
    assert [("Wait", 1, 0)] == [(stage.name, stage.items_in, stage.items_out) for stage in heard.counts[0]]


async def test_a_thread_that_does_not_stop_is_left_behind(tmp_path):
    """A thread whose stage blocks frees the run's slot, and the outcome says that it still runs."""
    async with opened("thread", close_s=0.1) as executor:
        outcome = await execute(executor, job(("block", {"started": str(tmp_path / "s")})), timeout_s=0.1)
        executor._running.clear()
    assert (RunState.TIMED_OUT, True) == (outcome.state, "cannot be stopped" in outcome.reason)


@pytest.mark.parametrize("kind", ["inline", "thread", "process"])
async def test_messages_come_back_while_the_run_goes_on(kind, tmp_path):
    """What a stage emits is told at once, before the run has ended, and is in its outcome as well."""
    heard, go = Heard(), tmp_path / "go"
    async with opened(kind) as executor:
        running = asyncio.create_task(execute(executor, job(("Announce", {"go": str(go)})), heard))
        await until(lambda: heard.messages)
        assert not running.done()
        go.touch()
        outcome = await running
    assert (RunState.SUCCEEDED, heard.messages) == (outcome.state, list(outcome.messages))
