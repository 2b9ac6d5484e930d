"""All who take part in a store at one time, with its queues and leases, and what a run lacks among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pipelines.model.processes import Process, ProcessName, ProcessRole, ProcessState
from pipelines.model.runs import Run


@dataclass(frozen=True, slots=True)
class Lease:
    """A run that goes on: the process that holds it, and until when (UTC) unless it renews the lease.

    `left_s` says how many seconds that was away when it was read, by the database's clock; below 0 it has run out.
    """

    run_id: int
    pipeline: str
    queue: str
    attempt: int
    owner: str | None
    until: datetime | None
    left_s: float | None

    @property
    def holder(self) -> ProcessName | None:
        """The process that holds it; None where nobody does."""
        return ProcessName.of(self.owner) if self.owner is not None else None


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue: how many of its runs wait, the oldest since when (UTC) and for how many seconds, how many go on.

    `servers` are the ids of the live processes that take runs from it.
    """

    name: str
    waiting: int = 0
    waiting_since: datetime | None = None
    lag_s: float = 0.0
    running: int = 0
    servers: tuple[str, ...] = ()

    @property
    def unserved(self) -> bool:
        """True where runs wait that nobody can take."""
        return self.waiting > 0 and not self.servers


@dataclass(frozen=True, slots=True)
class Machines:
    """Who took part at `at` (UTC, by the database's clock), with the queues by name and the runs that went on.

    A process that has been silent for longer than `within` is not alive. `versions` are those of each pipeline that
    those have who execute runs; none while no run waits. `by_workers` says that schedulers execute none. `limit` is how
    many runs may go on at one time on all of them (None: as many as they have slots).
    """

    at: datetime
    within: timedelta
    processes: tuple[Process, ...] = ()
    queues: tuple[Queue, ...] = ()
    leases: tuple[Lease, ...] = ()
    versions: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    by_workers: bool = False
    limit: int | None = None

    @property
    def alive(self) -> tuple[Process, ...]:
        """Those who have spoken lately: the leader first, then schedulers, then workers."""
        return tuple(each for each in self.processes if each.silent_s <= self.within.total_seconds())

    @property
    def silent(self) -> tuple[Process, ...]:
        """Those who have neither spoken lately nor said that they stop."""
        return tuple(each for each in self.processes if each.silent_s > self.within.total_seconds())

    @property
    def many(self) -> bool:
        """True where there is more to tell than that one service executes its own runs."""
        return len(self.processes) > 1 or any(
            each.role is ProcessRole.WORKER or each.slots == 0 for each in self.processes
        )

    @property
    def leader(self) -> Process | None:
        """The scheduler whose timetable is in use; None where none leads now."""
        return next((each for each in self.alive if each.leads), None)

    @property
    def divided(self) -> bool:
        """True where two schedulers say that they lead: for a moment when one takes over, or by different locks."""
        return sum(each.leads for each in self.alive) > 1

    @property
    def slots(self) -> int:
        """How many runs all of them have room for at one time; one that drains only has its own."""
        return sum(each.slots if each.state is ProcessState.WORKING else each.running for each in self.alive)

    @property
    def places(self) -> int:
        """How many runs may go on at one time: as many as there are slots, unless the limit is lower."""
        return self.slots if self.limit is None else min(self.slots, self.limit)

    @property
    def executing(self) -> int:
        """How many of them execute runs at all."""
        return sum(each.slots > 0 for each in self.alive)

    def of(self, role: ProcessRole) -> tuple[Process, ...]:
        """Return the live processes of a role."""
        return tuple(each for each in self.alive if each.role is role)

    @property
    def programs(self) -> tuple[str, ...]:
        """The versions of this program that the live processes run."""
        return tuple(sorted({each.program for each in self.alive}))

    def __str__(self) -> str:
        """`1 scheduler, 3 workers, 7 of 12 slots busy, host-1 leads`, and what else people must know at once."""
        counts = [(len(self.of(role)), role.value) for role in ProcessRole]
        told = [f"{count} {what}{'s' * (count != 1)}" for count, what in counts if count]
        told.append(self._busy())
        told.append(f"{self.leader.host} leads" if self.leader is not None else "nobody leads")
        if len(self.programs) > 1:
            told.append(f"versions {' and '.join(self.programs)}")
        return ", ".join(told)

    def _busy(self) -> str:
        if self.places == self.slots:
            return f"{len(self.leases)} of {self.slots} slots busy"
        return f"{len(self.leases)} of {self.places} running (max_parallel_jobs), {self.slots} slots"

    def lacking(self, run: Run) -> str | None:
        """Say in words whom a run that waits for its start lacks; None where somebody could take it."""
        servers = [each for each in self.alive if each.serves(run.queue)]
        if not servers:
            return f"waits for a worker that serves queue {run.queue} (none does)"
        if not self.versions or run.version is None or run.version in self.versions.get(run.pipeline, ()):
            return None  # where nobody's versions were read, as nothing waited then, none is lacking
        return "waits for a worker with this version of the pipeline (none has it)"
