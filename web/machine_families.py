"""Who takes part in the store, its queues and leases, as families of metrics for Prometheus. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from pipelines import Machines, ProcessRole, ProcessState

SILENT = "silent"
"""In place of the state of a process that has not spoken for longer than a lease."""


def machine_families(read: Machines) -> Iterator[Metric]:
    """Return what is told of all who share the store; every scheduler tells the same."""
    counted = Counter((each.role, each.state.value if each in read.alive else SILENT) for each in read.processes)
    processes = GaugeMetricFamily(
        "pipecall_processes", "Schedulers and workers on the store, by state.", labels=["role", "state"]
    )
    for role in ProcessRole:
        for state in (*ProcessState, SILENT):
            processes.add_metric([role.value, str(state)], counted[role, str(state)])
    yield processes
    yield _plain("pipecall_leader", "1 if one of the schedulers leads, else 0.", read.leader is not None)
    yield _plain(
        "pipecall_worker_slots", "How many runs all live processes have room for; see pipecall_slots.", read.slots
    )
    yield _plain("pipecall_worker_running", "How many they say that they execute.", sum(x.running for x in read.alive))
    overdue = sum(each.left_s is not None and each.left_s < 0 for each in read.leases)
    yield _plain("pipecall_leases", "Runs that go on, each held by a process.", len(read.leases))
    yield _plain("pipecall_leases_expired", "Runs whose holder has not renewed its lease in time.", overdue)
    yield from _queues(read)


def _queues(read: Machines) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "pipecall_queue_waiting", "Runs that wait for their start, or are due again.", labels=["queue"]
    )
    lag = GaugeMetricFamily(
        "pipecall_queue_lag_seconds", "How long the oldest of them has waited; 0 when none does.", labels=["queue"]
    )
    servers = GaugeMetricFamily("pipecall_queue_servers", "Live processes that take runs from it.", labels=["queue"])
    for queue in read.queues:
        waiting.add_metric([queue.name], queue.waiting)
        lag.add_metric([queue.name], queue.lag_s)
        servers.add_metric([queue.name], len(queue.servers))
    yield from (waiting, lag, servers)


def _plain(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=float(value))
