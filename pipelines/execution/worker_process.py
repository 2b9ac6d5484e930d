"""A worker process's main: takes jobs from the service over a socket, runs their chains, sends back what happens.

Started by `process` with the number of the socket, never by hand. The main thread runs the event loop and in it the
chain; a second thread reads the socket, so that the end of the service is noticed while a stage blocks.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from pipelines.chain import Chain
from pipelines.chain.failure import failed
from pipelines.execution.channel import Channel, LogSender, WirePort
from pipelines.execution.lease import NOT_BEGUN
from pipelines.execution.lines import FLUSH_EVERY_S
from pipelines.execution.watchdog import Watchdog
from pipelines.execution.wire import BadFrame, Frame, counts_to_json, encoded, job_from_json, outcome_frames
from pipelines.model import Job, Outcome, RunState
from pipelines.registry import Registry

COUNTS_EVERY_S = 0.5
"""How often counts are sent. In seconds."""
LEFTOVERS_S = 1.0
"""So long may tasks that a run left behind take to end when they are cancelled. In seconds."""
PR_SET_PDEATHSIG = 1


class WorkerProcess:
    """Runs one job after the other, in the loop of the main thread."""

    def __init__(self, channel: Channel, registry: Registry, log: LogSender) -> None:
        """Take jobs from `channel`."""
        self._channel = channel
        self._registry = registry
        self._log = log
        self._jobs: asyncio.Queue[Frame] = asyncio.Queue()
        self._task: asyncio.Task[Outcome] | None = None
        self._cancelled: str | None = None
        self._port = WirePort(channel)
        self._watchdog = Watchdog(end_group)
        self._token = ""

    async def main(self) -> None:
        """Run what comes, for ever."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), name="pipecall reader", daemon=True).start()
        while True:
            frame = await self._jobs.get()
            for path, own in frame.get("own", {}).items():
                self._registry.own.refer(path, own)
            await self._run(job_from_json(frame["job"]), str(frame["token"]))

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while True:
                frame = self._channel.receive(self._watchdog.wait)
                self._watch(frame)
                loop.call_soon_threadsafe(self._take, frame)
        except (EOFError, BadFrame, RuntimeError):
            # The service is gone: nobody is left to run for, and a stage that blocks must not outlive it.
            end_group()

    def _watch(self, frame: Frame) -> None:
        """Take note of how long the lease is, in this thread: the loop may be blocked by a stage."""
        if frame.get("kind") == "job" or (frame.get("kind") == "lease" and frame.get("token") == self._token):
            self._token = str(frame.get("token"))
            self._watchdog.set(frame.get("until"))

    def _take(self, frame: Frame) -> None:
        match frame.get("kind"):
            case "job":
                self._jobs.put_nowait(frame)
            case "answer":
                self._port.answered(frame)
            case "cancel":
                self._cancel(str(frame.get("token")))

    def _cancel(self, token: str) -> None:
        self._cancelled = token
        if self._task is not None and self._task.get_name() == token:
            self._task.cancel()

    async def _run(self, job: Job, token: str) -> None:
        own = asyncio.all_tasks()
        before = set(threading.enumerate())
        logging.getLogger(f"run.{job.pipeline}").setLevel(logging.DEBUG)
        chain = Chain(job, self._registry, self._port)
        self._task = asyncio.create_task(self._outcome(chain, token), name=token)
        teller = asyncio.create_task(self._tell(chain))
        outcome = await self._task
        self._task, self._token = None, ""
        self._watchdog.set(None)
        teller.cancel()
        clean = await _cancel_leftovers(own) and not _threads_left(before)
        self._port.flush()
        self._log.flush()
        _mark_output(token)
        self._send_end(outcome, clean=clean)

    async def _outcome(self, chain: Chain, token: str) -> Outcome:
        try:
            if self._cancelled == token:
                return Outcome(state=RunState.CANCELLED)
            if self._watchdog.over:  # the watchdog may come too late for a chain that takes no time
                return NOT_BEGUN
            outcome = await chain.run()
            if self._channel.copied:
                os._exit(0)  # a stage's `os.fork` that came back to us: this run and the next are the original's
            return outcome
        except asyncio.CancelledError:
            return Outcome(state=RunState.CANCELLED, stages=chain.counts(), messages=chain.messages)

    async def _tell(self, chain: Chain) -> None:
        next_counts = time.monotonic() + COUNTS_EVERY_S
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            self._log.flush()
            self._port.flush()
            if time.monotonic() >= next_counts:
                next_counts = time.monotonic() + COUNTS_EVERY_S
                self._channel.send({"kind": "counts", "stages": counts_to_json(chain.counts())})

    def _send_end(self, outcome: Outcome, *, clean: bool) -> None:
        closing = encoded({"kind": "closing", "clean": clean})
        try:
            for data in outcome_frames(outcome):
                self._channel.send_bytes(closing + data)  # together, as each sending wakes the service
                closing = b""
        except BadFrame as error:
            self._channel.send_bytes(closing + encoded({"kind": "reset"}))
            message = f"what the run wants to keep cannot be kept: {error}"
            for data in outcome_frames(failed("TypeError", message, retryable=False)):
                self._channel.send_bytes(data)


async def _cancel_leftovers(own: set[asyncio.Task[Any]]) -> bool:
    """Cancel what tasks a run left behind; return whether they ended."""
    left = asyncio.all_tasks() - own
    for task in left:
        task.cancel()
    if not left:
        return True
    _, pending = await asyncio.wait(left, timeout=LEFTOVERS_S)
    return not pending


def _threads_left(before: set[threading.Thread]) -> bool:
    """Tell whether a run left threads behind; those of asyncio's own pool are for any run to use."""
    return any(not thread.name.startswith("asyncio_") for thread in set(threading.enumerate()) - before)


def _mark_output(token: str) -> None:
    """Write to the standard output that the run's output ends here."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with suppress(OSError):
        os.write(1, f"\0{token}\n".encode("ascii"))


def end_group() -> None:
    """End this process, and with it all that its stages started, at once."""
    with suppress(OSError):
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _prepare(parent: int) -> None:
    """Set the process up so that no signal meant for the service ends it, and that it cannot outlive the service."""
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: Sequence[str]) -> None:
    """Run jobs until the service is gone. The one argument is JSON: socket, service's process id, plugins, allow."""
    given = json.loads(arguments[0])
    _prepare(int(given["parent"]))
    sock = socket.socket(fileno=int(given["socket"]))
    sock.set_inheritable(False)
    sock.setblocking(True)
    channel = Channel(sock)
    log = LogSender(channel)
    logging.basicConfig(level=logging.INFO, handlers=[log])
    for name in ("asyncio", "alembic"):  # the latter speaks when a program's file that imports the store is loaded
        logging.getLogger(name).setLevel(logging.WARNING)
    plugins = Path(given["plugins"]) if given["plugins"] is not None else None
    asyncio.run(WorkerProcess(channel, Registry(plugins, given["allow"]), log).main())


if __name__ == "__main__":
    main(sys.argv[1:])
