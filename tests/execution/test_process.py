"""Worker processes: whatever a stage does to its process, the service goes on and the run says what happened."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.execution.process_worker import Worker
from pipelines.execution.system_process import WorkerArguments
from pipelines.model import RunState
from tests.execution.conftest import PLUGINS, execute, job, opened, until


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def written(path):
    """Whether a stage has written its process's number; the file is there a moment earlier."""
    return path.exists() and path.read_text(encoding="utf-8")


def pids(path):
    return path.read_text(encoding="utf-8").split()


async def test_a_stage_that_never_lets_go_is_killed(tmp_path):
    """A stage that spins or blocks in C is killed after its time to close, and the slot is free at once."""
    async with opened("process", processes=1, close_s=0.2) as executor:
        await execute(executor, job("numbers"))
        for stage in ("spin", "block"):
            started = tmp_path / stage
            outcome = await execute(executor, job((stage, {"started": str(started)})), timeout_s=0.3)
            after = await execute(executor, job("numbers"))
            assert (RunState.TIMED_OUT, True, False, RunState.SUCCEEDED) == (
                outcome.state,
                "killed" in outcome.reason,
                alive(started.read_text(encoding="utf-8")),
                after.state,
            )


async def test_a_stage_that_ignores_cancel_is_killed(tmp_path):
    """A stage that swallows every cancellation is killed, and the run is cancelled."""
    started, cancel = tmp_path / "started", asyncio.Future()
    async with opened("process", close_s=0.2) as executor:
        running = asyncio.create_task(
            execute(executor, job(("Wait", {"started": str(started), "ignore": True})), cancel=cancel)
        )
        await until(lambda: written(started))
        cancel.set_result(None)
        outcome = await running
    assert (RunState.CANCELLED, True) == (outcome.state, "killed" in outcome.reason)


DEATHS = (
    (("exit_hard", {"code": 3}), "exit code 3 (os._exit or sys.exit)", "about to go"),
    (("exit_hard", {"code": 0}), "exit code 0", "about to go"),
    ("kill_self", "killed by SIGKILL: perhaps the system ran out of memory", ""),
    (("kill_self", {"number": int(signal.SIGTERM)}), "killed by SIGTERM", ""),
    ("segfault", "killed by SIGSEGV", "in segfault"),
)


async def test_a_process_that_dies_is_told():
    """A stage that ends its process crashes the run, with what happened, and the next run has a new process.

    What was printed last before the process died is in the outcome: a segmentation fault's dump names the line.
    """
    async with opened("process", processes=1) as executor:
        for stage, said, last in DEATHS:
            outcome = await execute(executor, job(stage))
            after = await execute(executor, job("numbers"))
            assert (RunState.CRASHED, RunState.SUCCEEDED) == (outcome.state, after.state), stage
            assert said in outcome.error.message
            assert last in (outcome.error.traceback or "")


async def test_a_flood_of_output_is_bounded(heard):
    """A stage that prints 50 MB ends well; the newest lines are kept and the rest is noted as dropped."""
    async with opened("process") as executor:
        outcome = await execute(executor, job("flood"), heard)
    assert (RunState.SUCCEEDED, "the end", True, True) == (
        outcome.state,
        heard.texts[-1],
        any("lines dropped here" in text for text in heard.texts),
        len(heard.texts) < 20_000,
    )


async def test_a_flood_of_log_records_is_bounded(heard):
    """A stage that logs 100,000 lines ends well; the newest are kept, in order, and the rest is noted as dropped."""
    async with opened("process") as executor:
        outcome = await execute(executor, job("log_much"), heard)
    numbers = [int(text.split()[1]) for text in heard.texts if text.startswith("line ")]
    assert (RunState.SUCCEEDED, 99_999, True) == (outcome.state, numbers[-1], numbers == sorted(numbers))
    assert len(numbers) == 100_000 or any("lines dropped here" in text for text in heard.texts)


async def test_output_belongs_to_the_run_that_printed_it(heard):
    """Printed text without a line's end is the run's own; other loggers are told at INFO."""
    async with opened("process", processes=1) as executor:
        await execute(executor, job("write_partial"), heard)
        await execute(executor, job("log_some", run_id=2), other := type(heard)())
    assert (["no newline here"], {"told at debug", "told at info", "printed"}) == (heard.texts, set(other.texts))


async def test_a_process_is_used_again(tmp_path):
    """Runs after each other use the same warm process."""
    async with opened("process", processes=1) as executor:
        for _ in range(3):
            await execute(executor, job(("pid", {"path": str(tmp_path / "pids")})))
    assert 1 == len(set(pids(tmp_path / "pids")))


async def test_a_process_is_replaced_when_used_up(tmp_path):
    """After the set number of runs a process is replaced."""
    async with opened("process", processes=1, max_runs_per_worker=2) as executor:
        for _ in range(4):
            await execute(executor, job(("pid", {"path": str(tmp_path / "pids")})))
    first, second, third, fourth = pids(tmp_path / "pids")
    assert (first, third, True) == (second, fourth, first != third)


async def test_a_process_with_threads_left_behind_is_replaced(tmp_path):
    """A stage that leaves a thread running gets its process replaced, as the thread would run into the next run."""
    async with opened("process", processes=1) as executor:
        for stage in ("leave_thread", "numbers"):
            await execute(executor, job(("pid", {"path": str(tmp_path / "pids")}), stage))
    first, second = pids(tmp_path / "pids")
    assert first != second


async def test_tasks_left_behind_are_cancelled(tmp_path):
    """Tasks that a stage started and forgot are cancelled with the run's end, and the process is used again."""
    ended = tmp_path / "ended"
    async with opened("process", processes=1) as executor:
        await execute(executor, job(("pid", {"path": str(tmp_path / "pids")}), ("leave_task", {"ended": str(ended)})))
        gone = ended.exists()
        await execute(executor, job(("pid", {"path": str(tmp_path / "pids")})))
    assert (True, 1) == (gone, len(set(pids(tmp_path / "pids"))))


async def test_what_a_stage_started_dies_with_its_process(tmp_path):
    """A child process that a stage started does not outlive the worker process."""
    pid_file = tmp_path / "pid"
    async with opened("process") as executor:
        await execute(executor, job(("leave_child", {"pid_file": str(pid_file)})))
        await until(lambda: not alive(pid_file.read_text(encoding="utf-8")))


async def test_a_start_given_up_leaves_nothing():
    """Wherever the start of a worker process is cancelled, no process, socket or pipe is left of it."""
    before = left_behind()
    for turns in range(100):
        spawning = asyncio.create_task(Worker.spawn(WorkerArguments(None, ())))
        for _ in range(turns):
            await asyncio.sleep(0)
        if spawning.done():
            break
        spawning.cancel()
        await asyncio.wait((spawning,))
        assert before == left_behind(), f"cancelled after {turns} turns of the loop"
    spawning.result().kill()
    await spawning.result().ended()
    assert turns > 2


def left_behind():
    """How many files this process has open, and who its children are."""
    this = psutil.Process()
    return this.num_fds(), [child.pid for child in this.children()]


async def test_runs_go_on_at_the_same_time(tmp_path):
    """As many runs go on at the same time as there may be processes; one more waits for its turn."""
    (tmp_path / "met").mkdir()
    meet = ("Meet", {"folder": str(tmp_path / "met"), "parties": 2})
    async with opened("process", processes=2) as executor:
        outcomes = await asyncio.gather(
            execute(executor, job(meet, run_id=1)),
            execute(executor, job(meet, run_id=2)),
            execute(executor, job(("pid", {"path": str(tmp_path / "pids")}), run_id=3)),
        )
    assert [RunState.SUCCEEDED] * 3 == [outcome.state for outcome in outcomes]


async def test_a_run_that_waits_for_a_process_can_be_cancelled(tmp_path):
    """A run that has not begun, as all processes are busy, is cancelled at once."""
    started, first, second = tmp_path / "started", asyncio.Future(), asyncio.Future()
    async with opened("process", processes=1) as executor:
        running = asyncio.create_task(execute(executor, job(("Wait", {"started": str(started)})), cancel=first))
        await until(lambda: written(started))
        waiting = asyncio.create_task(execute(executor, job("numbers"), cancel=second))
        await asyncio.sleep(0)
        second.set_result(None)
        outcome = await waiting
        first.set_result(None)
        await running
    assert RunState.CANCELLED is outcome.state


async def test_cancelling_the_call_kills_at_once(tmp_path):
    """When the task that executes a run is cancelled, the process is killed and the slot is free."""
    started = tmp_path / "started"
    async with opened("process", processes=1, close_s=100) as executor:
        running = asyncio.create_task(execute(executor, job(("block", {"started": str(started)}))))
        await until(lambda: written(started))
        pid = started.read_text(encoding="utf-8")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        after = await execute(executor, job("numbers"))
        await until(lambda: not alive(pid))
    assert RunState.SUCCEEDED is after.state


async def test_closing_kills_what_is_left(tmp_path):
    """Closing the executor kills running processes, and their runs say so."""
    started = tmp_path / "started"
    async with opened("process") as executor:
        running = asyncio.create_task(execute(executor, job(("block", {"started": str(started)}))))
        await until(lambda: written(started))
        await executor.close()
        outcome = await running
    assert (RunState.CRASHED, "the service stopped") == (outcome.state, outcome.error.message)
    await until(lambda: not alive(started.read_text(encoding="utf-8")))


async def test_a_process_killed_while_idle_is_not_used(tmp_path):
    """A process that dies between runs is noticed, and the next run gets another."""
    path = tmp_path / "pids"
    async with opened("process", processes=1) as executor:
        await execute(executor, job(("pid", {"path": str(path)})))
        os.kill(int(pids(path)[0]), signal.SIGKILL)
        await until(lambda: not executor._idle)
        outcome = await execute(executor, job("numbers"))
    assert RunState.SUCCEEDED is outcome.state


async def test_idle_processes_beyond_the_first_are_ended():
    """Idle processes are ended but for one."""
    async with opened("process", processes=2) as executor:
        executor.retire_idle(time.monotonic() + 1)
        await until(lambda: len(executor._workers) == 1)


async def test_a_hundred_thousand_keys_come_back_in_slices():
    """A large change of a collection passes, entry by entry the same."""
    async with opened("process") as executor:
        outcome = await execute(executor, job(("remember", {"count": 100_000})))
    put = outcome.change.collections["seen"].put
    assert (100_000, 99_999) == (len(put), put["key-0099999"])


async def test_state_that_is_not_json_fails_the_run():
    """A value that cannot be kept fails the run, names the place, and is not retried."""
    async with opened("process") as executor:
        outcome = await execute(executor, job("emit", "keep_unfit"))
    assert (RunState.FAILED, True, False, ()) == (
        outcome.state,
        "the pipeline's state holds not JSON" in outcome.error.message,
        outcome.retryable,
        outcome.messages,
    )


SERVICE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.execution.conftest import execute, job, opened

async def main():
    async with opened("process", processes=2) as executor:
        await asyncio.gather(
            execute(executor, job(("block", {{"started": sys.argv[1]}}), run_id=1)),
            execute(executor, job(("Wait", {{"started": sys.argv[2]}}), run_id=2)),
        )

asyncio.run(main())
"""


async def test_no_process_outlives_the_service(tmp_path):
    """When the service is killed with -9 its worker processes end, also one whose stage blocks."""
    root = str(PLUGINS.parents[2])
    files = [tmp_path / "blocked", tmp_path / "waiting"]
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE.format(root=root), *map(str, files), cwd=root
    )
    try:
        await until(lambda: all(file.exists() and file.read_text(encoding="utf-8") for file in files))
    finally:
        service.kill()
        await service.wait()
    await until(lambda: not any(alive(file.read_text(encoding="utf-8")) for file in files))
