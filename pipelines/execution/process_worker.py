"""One worker process as the service sees it: started, given runs one after the other, followed, killed, reaped.

How many there are is `process`'s business; what goes on inside is `worker_process`'s.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.chain.failure import failed, message_of
from pipelines.execution.output import Output
from pipelines.execution.protocol import Listener, Stop, supervise
from pipelines.execution.wire import (
    BadFrame,
    Frame,
    Gathered,
    counts_from_json,
    encoded,
    job_to_json,
    lines_from_json,
    read_frame,
)
from pipelines.model import Job, Outcome, RunError, RunState, StageCount

logger = logging.getLogger(__name__)

MODULE = "pipelines.execution.worker_process"
MARK_S = 1.0
"""So long the end of a run's output is waited for. In seconds."""
LAST_FRAMES_S = 0.5
"""So long frames and output of a process that has died are waited for. In seconds."""
READ_LIMIT = 2**20


@dataclass(frozen=True, slots=True)
class WorkerArguments:
    """What every worker process is told at its start: the plugins folder (None: none) and the allowed modules."""

    plugins: Path | None
    allow: tuple[str, ...]

    def line(self, socket_number: int) -> str:
        """Return the one argument of `worker_process`."""
        plugins = str(self.plugins) if self.plugins is not None else None
        given = {"socket": socket_number, "parent": os.getpid(), "plugins": plugins, "allow": self.allow}
        return json.dumps(given)


class _Attempt:
    """A run that a worker is busy with."""

    def __init__(self, listener: Listener) -> None:
        self.token = secrets.token_hex(16)
        self.listener = listener
        self.gathered = Gathered()
        self.counts: tuple[StageCount, ...] = ()
        self.clean = False
        self.done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def end(self, outcome: Outcome) -> None:
        if not self.done.done():
            self.done.set_result(outcome)

    def died(self, what: str, output: str) -> None:
        error = RunError(type="WorkerDied", message=what, traceback=output or None)
        self.end(Outcome(state=RunState.CRASHED, error=error, stages=self.counts))


class Worker:
    """One worker process. `runs` counts what it was given; `usable` is False once it must not be given more."""

    def __init__(self, process: asyncio.subprocess.Process, output: Output, output_transport: asyncio.ReadTransport):
        """Follow a process that was just started; use `spawn`."""
        self.runs = 0
        self.usable = True
        self.idle_since = 0.0
        self._process = process
        self._output = output
        self._output_transport = output_transport
        self._attempt: _Attempt | None = None
        self._why: str | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]
        self._reaping: asyncio.Task[None]

    @classmethod
    async def spawn(cls, arguments: WorkerArguments) -> Worker:
        """Start a worker process; it need not be ready yet to be given a run.

        Raises:
            OSError: the system does not start another process.
        """
        ours, theirs = socket.socketpair()
        read_end, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                MODULE,
                arguments.line(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(read_end)
            raise
        finally:
            theirs.close()
            os.close(write_end)
        loop = asyncio.get_running_loop()
        transport, output = await loop.connect_read_pipe(Output, os.fdopen(read_end, "rb", 0))
        worker = cls(process, output, transport)
        reader, worker._writer = await asyncio.open_unix_connection(sock=ours, limit=READ_LIMIT)
        worker._reading = asyncio.create_task(worker._read(reader), name=f"worker {process.pid} frames")
        worker._reaping = asyncio.create_task(worker._reap(), name=f"worker {process.pid} end")
        return worker

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def run(
        self, job: Job, listener: Listener, *, timeout_s: float | None, cancel: asyncio.Event, close_s: float
    ) -> Outcome:
        """Run one job; see `Executor.execute`. When the calling task is cancelled, the process is killed."""
        attempt = _Attempt(listener)
        try:
            frame = encoded({"kind": "job", "token": attempt.token, "job": job_to_json(job)})
        except BadFrame as error:
            return failed("ValueError", f"parameters, keywords or state: {error}", retryable=False)
        self.runs += 1
        self._attempt = attempt
        self._output.begin(attempt.token, listener.log)
        self._writer.write(frame)

        def ask_to_stop() -> None:
            self._writer.write(encoded({"kind": "cancel", "token": attempt.token}))

        def give_up(stop: Stop) -> Outcome:
            self.kill()
            return stop.outcome(attempt.counts, note=f"killed, as a stage did not close within {close_s:g} s")

        try:
            if not self.usable:
                attempt.died("the worker process ended before the run began", self._output.tail())
            return await supervise(
                attempt.done,
                timeout_s=timeout_s,
                cancel=cancel,
                close_s=close_s,
                ask_to_stop=ask_to_stop,
                give_up=give_up,
            )
        except asyncio.CancelledError:
            self.kill()
            raise
        finally:
            self.usable = self.usable and attempt.clean
            self._attempt = None
            self._output.end()

    def kill(self, why: str | None = None) -> None:
        """Kill the process and all that its stages started; `why` is told to the run it was busy with."""
        self.usable = False
        self._why = self._why or why
        _kill_group(self._process)

    def retire(self) -> None:
        """Let an idle process end: it does when its socket is closed."""
        self.usable = False
        self._writer.close()

    async def ended(self) -> None:
        """Wait until the process is gone and all that was held for it is free."""
        await asyncio.shield(self._reaping)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (frame := await read_frame(reader)) is not None:
                await self._take(frame)
            self.kill()
        except (BadFrame, ValueError, TypeError, KeyError) as error:
            self.kill(f"the worker process sent {message_of(error)}")
        except Exception:  # the task's outermost frame: a run must not hang because something failed to listen to it
            logger.exception("following worker process %s failed", self.pid)
            self.kill("following the run failed; the service's log says how")

    async def _take(self, frame: Frame) -> None:
        attempt = self._attempt
        if attempt is None:
            return
        match frame.get("kind"):
            case "log":
                attempt.listener.log(lines_from_json(frame["lines"]))
            case "counts":
                attempt.counts = counts_from_json(frame["stages"])
                attempt.listener.stages(attempt.counts)
            case "progress":
                done = frame["done"]
                attempt.listener.progress(float(done) if done is not None else None, str(frame["note"]))
            case "ask":
                task = asyncio.create_task(self._answer(frame, attempt.listener))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            case "closing":
                attempt.clean = bool(frame["clean"])
            case _:
                if (outcome := attempt.gathered.take(frame)) is not None:
                    await self._end(attempt, outcome)

    async def _end(self, attempt: _Attempt, outcome: Outcome) -> None:
        if not await self._output.marked(MARK_S):
            attempt.clean = False
        attempt.end(outcome)

    async def _answer(self, frame: Frame, listener: Listener) -> None:
        reply: dict[str, Any] = {"kind": "answer", "number": frame["number"]}
        try:
            reply["answer"] = await _asked(frame, listener)
            data = encoded(reply)
        except Exception as error:  # noqa: BLE001 - the task's outermost frame: the stage that asked gets the error
            data = encoded({**reply, "error": f"{type(error).__name__}: {message_of(error)}"})
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def _reap(self) -> None:
        """Wait for the process's end, take in what it still sent, tell the run, free what is held."""
        code = await self._process.wait()
        self.usable = False
        await asyncio.wait((self._reading, self._output.closed), timeout=LAST_FRAMES_S)
        _kill_group(self._process)
        self._reading.cancel()
        if self._attempt is not None:
            self._attempt.died(self._why or cause_of_death(code), self._output.tail())
        for task in self._answers:
            task.cancel()
        self._output_transport.close()
        self._writer.close()
        with suppress(ConnectionError, asyncio.CancelledError):
            await self._reading
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def cause_of_death(code: int) -> str:
    """Say in words how a process ended, given its return code; negative ones are signals."""
    if code >= 0:
        return f"the stage ended its process with exit code {code} (os._exit or sys.exit)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hints = {
        "SIGKILL": ": perhaps the system ran out of memory",
        "SIGSEGV": ": a library written in C made a mistake; the lines below say where",
    }
    return f"killed by {name}{hints.get(name, '')}"


async def _asked(frame: Frame, listener: Listener) -> Any:
    collection = str(frame["collection"])
    if frame["what"] == "lookup":
        return dict(await listener.lookup(collection, [str(key) for key in frame["keys"]]))
    if frame["what"] == "scan":
        return list(await listener.scan(collection, str(frame["after"]), int(frame["limit"])))
    raise BadFrame(f"a question for {frame['what']!r}; known are lookup and scan")


def _environment() -> dict[str, str]:
    """Let the child find this package wherever it was imported from."""
    home = str(Path(__file__).parents[2])
    paths: Sequence[str] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, *(path for path in paths if path != home)])}


def _kill_group(process: asyncio.subprocess.Process) -> None:
    # The process leads its own session, so its group is all that it started.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
