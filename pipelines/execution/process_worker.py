"""One worker process as the service sees it: started, given runs one after the other, followed, killed, reaped.

How many there are is `process`'s business; what goes on inside is `worker_process`'s.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pipelines.chain.failure import failed, message_of
from pipelines.execution.lease import Lease
from pipelines.execution.protocol import Listener, Stop, supervise
from pipelines.execution.system_process import Started, WorkerArguments, cause_of_death, kill_group, start
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
from pipelines.model import Job, Message, Outcome, RunError, RunState, StageCount

logger = logging.getLogger(__name__)

MARK_S = 1.0
"""So long the end of a run's output is waited for. In seconds."""
LAST_FRAMES_S = 0.5
"""So long frames and output of a process that has died are waited for. In seconds."""
READ_LIMIT = 2**20


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

    def __init__(self, started: Started) -> None:
        """Follow a process that was just started; use `spawn`."""
        self.runs = 0
        self.usable = True
        self.idle_since = 0.0
        self._process = started.process
        self._output = started.output
        self._output_transport = started.output_transport
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
        started = await start(arguments)
        worker = cls(started)
        try:
            reader, worker._writer = await asyncio.open_unix_connection(sock=started.socket, limit=READ_LIMIT)
        except BaseException:
            await started.discard()
            raise
        worker._reading = asyncio.create_task(worker._read(reader), name=f"worker {worker.pid} frames")
        worker._reaping = asyncio.create_task(worker._reap(), name=f"worker {worker.pid} end")
        return worker

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def run(
        self,
        job: Job,
        listener: Listener,
        *,
        timeout_s: float | None,
        cancel: asyncio.Future[None],
        close_s: float,
        own: Mapping[str, Any] | None = None,
        lease: Lease | None = None,
    ) -> Outcome:
        """Run one job; see `Executor.execute`. When the calling task is cancelled, the process is killed.

        `own` says, as JSON, where the process finds what the program registered itself, by path (None: nothing).
        """
        attempt, lease = _Attempt(listener), lease or Lease()
        about = {"token": attempt.token, "own": dict(own or {}), "until": lease.until_s}
        try:
            frame = encoded({"kind": "job", "job": job_to_json(job), **about})
        except BadFrame as error:
            return failed("ValueError", f"parameters, keywords or state: {error}", retryable=False)
        self.runs += 1
        self._attempt = attempt
        self._output.begin(attempt.token, listener.log)
        self._writer.write(frame)

        def ask_to_stop() -> None:
            self._writer.write(encoded({"kind": "cancel", "token": attempt.token}))

        def renewed(until_s: float) -> None:
            self._writer.write(encoded({"kind": "lease", "token": attempt.token, "until": until_s}))

        def give_up(stop: Stop) -> Outcome:
            self.kill()
            return stop.outcome(attempt.counts, note=f"killed, as a stage did not close within {close_s:g} s")

        try:
            if not self.usable:
                attempt.died("the worker process ended before the run began", self._output.tail())
            with lease.followed(renewed):
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
        kill_group(self._process)

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
            case "emitted":
                attempt.listener.message(Message(**frame["message"]))
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
        kill_group(self._process)
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


async def _asked(frame: Frame, listener: Listener) -> Any:
    collection = str(frame["collection"])
    if frame["what"] == "lookup":
        return dict(await listener.lookup(collection, [str(key) for key in frame["keys"]]))
    if frame["what"] == "scan":
        return list(await listener.scan(collection, str(frame["after"]), int(frame["limit"])))
    raise BadFrame(f"a question for {frame['what']!r}; known are lookup and scan")
