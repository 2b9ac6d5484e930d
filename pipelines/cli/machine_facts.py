"""Who takes part in the store, its queues and leases, as facts for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pipelines.cli import records, words
from pipelines.model import Machines, Process, Queue

Fact = tuple[str, str]


def facts(machines: Machines, now: datetime) -> Iterator[Fact]:
    """Yield what to show at `now` (UTC), each line with its heading; nothing where one service is alone."""
    if not machines.many:
        return
    yield "machines", str(machines)
    for each in machines.alive:
        yield each.role.value, _alive(each)
    for each in machines.silent:
        yield "silent", f"{each.role} {_where(each)} since {words.off(each.beat_at, now)}"
    for queue in machines.queues:
        if queue.waiting or queue.running or not queue.servers:
            yield "queue", _queue(queue)


def _alive(process: Process) -> str:
    told = [_where(process)]
    if process.leads:
        told.append("leads")
    if process.state != "working":
        told.append(process.state.value)
    if process.slots:
        told.append(f"{process.running} of {process.slots} slots busy")
        told.append("all queues" if process.queues is None else f"queues {', '.join(sorted(process.queues))}")
    return ", ".join([*told, f"version {process.program}"])


def _where(process: Process) -> str:
    return f"pid {process.pid} on host {process.host}"


def _queue(queue: Queue) -> str:
    waits = f"{queue.waiting} waiting"
    if queue.waiting:
        waits += f" (the oldest for {words.lasting(timedelta(seconds=round(queue.lag_s)))})"
    count = len(queue.servers)
    served = f"served by {count} process{'es' * (count != 1)}" if count else "nobody serves it"
    return f"{queue.name}: {waits}, {queue.running} running, {served}"


def record(machines: Machines | None) -> records.Record:
    """Return all of it for JSON; empty lists where there is no store yet."""
    if machines is None:
        return {"leader": None, "slots": 0, "limit": None, "processes": [], "queues": [], "leases": []}
    return {
        "leader": machines.leader.id if machines.leader is not None else None,
        "slots": machines.slots,
        "limit": machines.limit,
        "processes": [_process(each, machines) for each in machines.processes],
        "queues": [
            {
                **{name: getattr(each, name) for name in ("name", "waiting", "waiting_since", "lag_s", "running")},
                "servers": list(each.servers),
            }
            for each in machines.queues
        ],
        "leases": [
            {name: getattr(each, name) for name in ("run_id", "pipeline", "queue", "attempt", "owner", "until")}
            for each in machines.leases
        ],
    }


def _process(process: Process, machines: Machines) -> records.Record:
    names = ("id", "host", "pid", "started_at", "beat_at", "silent_s", "leads", "slots", "running", "web")
    return {
        **{name: getattr(process, name) for name in names},
        "role": process.role.value,
        "state": process.state.value,
        "alive": process in machines.alive,
        "version": process.program,
        "queues": sorted(process.queues) if process.queues is not None else None,
    }
