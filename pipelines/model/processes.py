"""The schedulers and workers that take part in one store, each as it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ProcessRole(StrEnum):
    """What a process is there for: a scheduler keeps the timetable and the faces, a worker only executes runs."""

    SCHEDULER = "scheduler"
    WORKER = "worker"


class ProcessState(StrEnum):
    """Whether a process takes part, or only ends what it has begun before it stops."""

    WORKING = "working"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class ProcessName:
    """What a process goes by: its id, and what that tells of where it is.

    `host` and `pid` are None where the id is none that this program makes.
    """

    id: str
    host: str | None = None
    pid: int | None = None

    @classmethod
    def of(cls, process_id: str) -> ProcessName:
        """Read an id, which is `host:pid:random`."""
        match process_id.rsplit(":", 2):
            case [host, pid, _] if host and pid.isascii() and pid.isdecimal():
                return cls(process_id, host, int(pid))
        return cls(process_id)

    def __str__(self) -> str:
        """`host-1, pid 7`."""
        return f"{self.host}, pid {self.pid}" if self.host is not None else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process on a store, as it was when it last said so: at `beat_at` (UTC, by the database's clock).

    `id` is what runs name as their owner: host, pid, and a part that no other process has. `machine` is the key by
    which a process of the same machine finds it (see `presence.machine_key`). `program` is the version that it runs.
    `slots` is how many runs it executes at one time, 0 where it executes none, and `running` how many it does now.
    `queues` are those it takes runs from (None: all), `web` the address of its REST interface and dashboard (None: it
    has none). `leads` is true for the one scheduler whose timetable and Discord face are in use. `silent_s` says how
    many seconds before the row was read that was.
    """

    id: str
    role: ProcessRole
    state: ProcessState
    host: str
    pid: int
    machine: str
    program: str
    started_at: datetime
    beat_at: datetime
    leads: bool = False
    slots: int = 0
    running: int = 0
    queues: frozenset[str] | None = None
    web: str | None = None
    silent_s: float = 0.0

    def serves(self, queue: str) -> bool:
        """Say whether it takes runs from a queue: not while it drains, nor where it executes none."""
        takes = self.slots > 0 and self.state is ProcessState.WORKING
        return takes and (self.queues is None or queue in self.queues)
