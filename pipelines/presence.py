"""A process's own word, every few seconds, that it takes part in a store; and who on this machine is gone.

What is written is in `store.processes`. Who notes a death on the same machine need not wait for a lease to end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from pipelines.errors import StoreError
from pipelines.model import Process, ProcessRole, ProcessState
from pipelines.settings import Settings
from pipelines.store import processes
from pipelines.store.processes import Beat
from pipelines.store.writer import Writer

logger = logging.getLogger(__name__)

EVERY_S = 3.0
"""So often, in seconds, a process says that it is there; where leases are short, three times in one."""
ALONE_S = 10.0
"""So often where there are no others who would want to know."""
LOOK_S = 0.25
"""So soon, in seconds, it says so as well where it is another than it said."""
AGAIN = 100
"""After so many beats the versions are told again: the row may have been pruned while the process was frozen."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_UNKNOWN = secrets.token_hex(8)
"""The key of a machine that cannot be told from others: no other process has the same."""
_HIDDEN = "hidden"
"""In place of when a process started: it is there, but this one may not see more of it."""


def process_id() -> str:
    """Return a new name for this process, as owner of runs: `host:pid:random`."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def machine_key() -> str:
    """Return the key by which others on this machine see whether this process is still there.

    It tells the machine since its boot (and the container, in which pids are counted anew), and when the process
    started, by a clock that nobody sets: another process that is given the same pid later has another key.
    """
    return f"{_machine()}:{_started(os.getpid())}"


def dead_here(process: Process) -> bool:
    """Say whether a process of this very machine is gone; False for one elsewhere, of which nothing is known here."""
    if process.machine.rpartition(":")[0] != _machine():
        return False
    started = _started(process.pid)
    return started != _HIDDEN and process.machine != f"{_machine()}:{started}"


def _machine() -> str:
    if platform.system() == "Linux":
        try:
            return f"{_BOOT.read_text().strip()}/{_NAMESPACE.readlink()}"
        except OSError:
            return _UNKNOWN
    return f"{socket.gethostname()}/{psutil.boot_time():.0f}"


def _started(pid: int) -> str | None:
    """Return when a process started, comparable only with what this returns for the same pid; None: it is gone."""
    try:
        if platform.system() != "Linux":
            return f"{psutil.Process(pid).create_time():.3f}"
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in {"Z", "X"} else fields[19]
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return _HIDDEN if psutil.pid_exists(pid) else None
    except (psutil.AccessDenied, PermissionError):
        return _HIDDEN


class Presence:
    """Says of one process that it is there, as what, and how busy."""

    def __init__(  # noqa: PLR0913 -- all that a process says of itself is asked of those who know it
        self,
        writer: Writer,
        *,
        role: ProcessRole,
        settings: Settings,
        running: Callable[[], int],
        slots: Callable[[], int],
        queues: frozenset[str] | None,
        leads: Callable[[], bool],
        web: Callable[[], str | None],
        versions: Callable[[], Mapping[str, str]],
        clock: Callable[[], datetime],
        id: str | None = None,  # noqa: A002 -- as the field of Process
    ) -> None:
        """Speak through `writer`, of what the others return when asked; see `Process` for what they mean.

        `versions` are those of the pipelines in force. `clock` gives the time now, UTC. `id` is what `process_id`
        returned, where it was needed before (None: a new one).
        """
        self.id = id if id is not None else process_id()
        self._writer = writer
        self._role = role
        self._running = running
        self._slots = slots
        self._queues = queues
        self._leads = leads
        self._web = web
        self._versions = versions
        self._machine = machine_key()
        self._program = _program()
        self._started_at = clock()
        self._clock = clock
        self._state = ProcessState.WORKING
        self._lease_s = settings.run_lease_seconds
        self._every_s = min(EVERY_S, self._lease_s / 3)
        self._told: Mapping[str, str] | None = None
        self._beats = 0

    def draining(self) -> None:
        """From now on, say that the process only ends what it has begun."""
        self._state = ProcessState.DRAINING

    async def keep(self, *, alone: bool = False) -> None:
        """Say that the process is there, for ever: every few seconds, and at once when it is another than it said.

        Where it has the store for itself (`alone`), whoever else is listed was killed, and is forgotten first.
        """
        if alone:
            with suppress(StoreError):
                await self._writer.call(processes.prune, timedelta(0), durable=False)
        every_s = min(ALONE_S, self._lease_s / 3) if alone else self._every_s
        while True:
            seen = self._seen()
            await self.beat()
            for _ in range(max(1, round(every_s / LOOK_S))):
                await asyncio.sleep(min(LOOK_S, every_s))
                if self._seen() != seen:
                    break

    async def arrive(self, within: timedelta, gone: frozenset[str]) -> bool:
        """Say for the first time that this scheduler is there; return whether no other one was.

        Others count that have spoken `within` so long, and are not known to be `gone`.

        Raises:
            StoreError: the database refused.
        """
        first = processes.Arrival(Beat(self.process(), dict(self._versions())), within, gone)
        alone: bool = await self._writer.call(processes.arrive, first, durable=False)
        return alone

    async def beat(self) -> None:
        """Say it once, now. What the store refuses is said again at the next beat."""
        now = dict(self._versions())
        told = None if now == self._told and self._beats % AGAIN else now
        try:
            await self._writer.call(processes.beat, Beat(self.process(), told), durable=False)
            if self._beats % AGAIN == 0:
                await self._writer.call(processes.prune, processes.KEPT, durable=False)
        except StoreError as error:
            logger.debug("this process could not say that it is there: %s", error)
            return
        self._told = now
        self._beats += 1

    async def leave(self) -> None:
        """Take the process off the list, once it has stopped; what the store refuses is left to the pruning."""
        with suppress(StoreError):
            await self._writer.call(processes.leave, self.id, durable=False)

    def process(self) -> Process:
        """Return what is to be said now."""
        return Process(
            id=self.id,
            role=self._role,
            state=self._state,
            host=socket.gethostname(),
            pid=os.getpid(),
            machine=self._machine,
            program=self._program,
            started_at=self._started_at,
            beat_at=self._clock(),
            leads=self._leads(),
            slots=self._slots(),
            running=self._running(),
            queues=self._queues,
            web=self._web(),
        )

    def _seen(self) -> tuple[object, ...]:
        return self._leads(), self._state, self._web()


def _program() -> str:
    try:
        return version("pipecall")
    except PackageNotFoundError:
        return "unknown"
