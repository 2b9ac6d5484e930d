"""What the REST interface answers about who takes part in the store: processes, queues and leases."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from pydantic import BaseModel, Field

from pipelines import Lease, Machines, Process, Queue
from web import examples
from web.values import like


class ProcessValue(BaseModel):
    """A scheduler or a worker, as it said of itself at `beat_at`, `silent_s` seconds ago.

    `alive` is false where that is longer ago than the lease of a run. `queues` are those it takes runs from (null: all
    of them), `slots` how many it executes at one time.
    """

    model_config = like(examples.PROCESS)
    id: str
    role: str
    state: str
    alive: bool
    leads: bool
    host: str
    pid: int
    version: str
    started_at: datetime
    beat_at: datetime
    silent_s: float
    slots: int
    running: int
    queues: list[str] | None
    web: str | None

    @classmethod
    def of(cls, process: Process, alive: bool) -> ProcessValue:
        """Tell of a process."""
        return cls(
            id=process.id,
            role=process.role.value,
            state=process.state.value,
            alive=alive,
            leads=process.leads and alive,
            host=process.host,
            pid=process.pid,
            version=process.program,
            started_at=process.started_at,
            beat_at=process.beat_at,
            silent_s=process.silent_s,
            slots=process.slots,
            running=process.running,
            queues=sorted(process.queues) if process.queues is not None else None,
            web=process.web,
        )


class LeaseValue(BaseModel):
    """A run that goes on: `owner` holds it `until` then, unless that process renews the lease."""

    run_id: int
    pipeline: str
    queue: str
    attempt: int
    owner: str | None
    until: datetime | None

    @classmethod
    def of(cls, lease: Lease) -> LeaseValue:
        """Tell of a lease."""
        return cls(
            run_id=lease.run_id,
            pipeline=lease.pipeline,
            queue=lease.queue,
            attempt=lease.attempt,
            owner=lease.owner,
            until=lease.until,
        )


class ProcessesValue(BaseModel):
    """Who takes part: `leader` is the id of the scheduler whose timetable is in use (null: none leads now).

    `slots` is how many runs all of them have room for, `limit` how many may go on at one time however many slots there
    are, as `max_parallel_jobs` says (null: no limit). `leases` are of the runs that the caller may look at.
    """

    at: datetime
    leader: str | None
    slots: int
    limit: int | None
    running: int = Field(description="Runs that go on, on all of them.")
    processes: list[ProcessValue]
    leases: list[LeaseValue]

    @classmethod
    def of(cls, machines: Machines, pipelines: Collection[str]) -> ProcessesValue:
        """Tell of all, with the leases of runs of these pipelines."""
        leader = machines.leader
        return cls(
            at=machines.at,
            leader=leader.id if leader is not None else None,
            slots=machines.slots,
            limit=machines.limit,
            running=len(machines.leases),
            processes=[ProcessValue.of(each, each in machines.alive) for each in machines.processes],
            leases=[LeaseValue.of(each) for each in machines.leases if each.pipeline in pipelines],
        )


class QueueValue(BaseModel):
    """A queue: runs that wait for their start, or are due for another attempt, and the processes that take from it.

    The oldest has waited for `lag_s` seconds.
    """

    model_config = like(examples.QUEUE)
    name: str
    waiting: int
    waiting_since: datetime | None
    lag_s: float
    running: int
    servers: list[str]

    @classmethod
    def of(cls, queue: Queue) -> QueueValue:
        """Tell of a queue."""
        return cls(
            name=queue.name,
            waiting=queue.waiting,
            waiting_since=queue.waiting_since,
            lag_s=queue.lag_s,
            running=queue.running,
            servers=list(queue.servers),
        )
