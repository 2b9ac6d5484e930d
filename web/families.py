"""A reading of the service as families of metrics for Prometheus: pure functions of values, with names and help texts.

Names follow Prometheus' conventions: base units, `_total` for what only grows. docs/deployment.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from pipelines import Health, Machines, RunState, ScheduleState
from web.machine_families import machine_families
from web.tallies import OTHERS

STATUSES = ("ok", "degraded", "down")
FACES = ("off", "standby", "connecting", "ready", "waiting", "disabled")
"""The words that the state of a face begins with."""
ENDS = tuple(state for state in RunState if state.final)
Ended = Sequence[tuple[str, RunState, int, datetime]]
SUMS = "since the store was made: a restart does not reset it"


@dataclass(frozen=True, slots=True)
class Reloads:
    """Whether the newest pipelines file is in force, and when it last changed (UTC; None: not since the start)."""

    ok: bool
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All that is told at one time.

    `ended` is how many runs of each pipeline ended in each state, and when the last did ('': of all that are not among
    `names`). `durations` are buckets and sum by pipeline, `lag` those of all. `next_due_at` is the soonest (UTC).
    `machines` are those who take part in the store (None: not read yet).
    """

    health: Health
    version: str
    names: Sequence[str]
    pipelines: int
    ended: Ended
    durations: Mapping[str, tuple[list[tuple[str, float]], float]]
    lag: tuple[list[tuple[str, float]], float]
    schedules: Mapping[ScheduleState, int]
    next_due_at: datetime | None
    reloads: Reloads
    machines: Machines | None = None


def families(read: Reading) -> Iterator[Metric]:
    """Return everything that a reading says."""
    yield _gauge("pipecall_build_info", "The version that runs; always 1.", [({"version": read.version}, 1.0)])
    yield from _service(read)
    yield from _queue(read.health)
    if read.machines is not None:
        yield from machine_families(read.machines)
    yield from _runs(read)
    yield from _schedules(read)
    yield from _outbox(read.health)
    yield from _reloads(read.reloads)


def _service(read: Reading) -> Iterator[Metric]:
    health = read.health
    verdicts = [({"status": each}, float(health.status.value == each)) for each in STATUSES]
    yield _gauge("pipecall_status", "1 for what the service is: ok, degraded or down.", verdicts)
    yield _plain(
        "pipecall_event_loop_lag_seconds", "By how much the event loop was late just now, at worst.", health.loop_lag_s
    )
    if health.tick_age_s is not None:
        yield _plain(
            "pipecall_timetable_tick_age_seconds",
            "How long ago the timetable looked at the clock; it does every half minute.",
            health.tick_age_s,
        )
    yield _plain("pipecall_store_usable", "1 if the store can be read and written, else 0.", health.refused is None)
    yield _plain("pipecall_store_writes_waiting", "Writes that wait for the store.", health.waiting_writes)
    dropped = "Batches of log lines that were dropped as the store did not keep up, since the start."
    yield CounterMetricFamily("pipecall_log_batches_dropped", dropped, value=health.dropped_lines)
    faces = [
        ({"face": name, "state": word}, float(_first(state) == word))
        for name, state in health.faces.items()
        for word in FACES
    ]
    yield _gauge("pipecall_face_state", "1 for where a way in (Discord, web) stands.", faces)


def _queue(health: Health) -> Iterator[Metric]:
    live = {
        RunState.QUEUED: health.queued,
        RunState.RUNNING: health.running,
        RunState.WAITING_RETRY: health.retrying,
    }
    counts = [({"state": state.value}, float(count)) for state, count in live.items()]
    yield _gauge("pipecall_runs", "Runs that are not over, by state.", counts)
    yield _plain("pipecall_slots", "How many runs may go on at one time.", health.slots)
    yield _plain(
        "pipecall_queue_oldest_age_seconds",
        "How long the oldest due run has waited for its start; 0 when none does.",
        _age(health, health.queued_since),
    )


def _runs(read: Reading) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "pipecall_runs_ended", f"Runs that are over, by pipeline and state, {SUMS}.", labels=["pipeline", "state"]
    )
    counted = {(name or OTHERS, state): count for name, state, count, _ in read.ended}
    for name in (*read.names, OTHERS):
        for state in ENDS:  # from 0 on, as what appears with 1 has not increased in the eyes of Prometheus
            ended.add_metric([name, state.value], counted.get((name, state), 0))
    yield ended
    successes = [
        ({"pipeline": name}, last.timestamp())
        for name, state, _, last in read.ended
        if name and state is RunState.SUCCEEDED
    ]
    yield _gauge("pipecall_last_success_timestamp_seconds", "When a pipeline last succeeded, Unix time.", successes)
    took = HistogramMetricFamily(
        "pipecall_run_duration_seconds",
        "From the start of the first attempt to the end of the last, since the service started.",
        labels=["pipeline"],
    )
    for name, (buckets, total_s) in read.durations.items():
        took.add_metric([name], buckets, total_s)
    yield took
    yield HistogramMetricFamily(
        "pipecall_start_lag_seconds",
        "From the instant a run was due to the start of its first attempt, since the service started.",
        buckets=read.lag[0],
        sum_value=read.lag[1],
    )


def _schedules(read: Reading) -> Iterator[Metric]:
    yield _plain("pipecall_pipelines", "Pipelines in force.", read.pipelines)
    states = [
        ({"state": state.value}, float(read.schedules.get(state, 0)))
        for state in (ScheduleState.ACTIVE, ScheduleState.PAUSED)
    ]
    yield _gauge("pipecall_schedules", "Schedules, by state.", states)
    if read.next_due_at is not None:
        yield _plain(
            "pipecall_next_due_timestamp_seconds",
            "When the next scheduled run is due, Unix time.",
            read.next_due_at.timestamp(),
        )


def _outbox(health: Health) -> Iterator[Metric]:
    counts = [({"state": "unsent"}, float(health.unsent)), ({"state": "dead"}, float(health.dead))]
    yield _gauge("pipecall_outbox_messages", "Messages that wait (unsent) or were refused for good (dead).", counts)
    yield _plain(
        "pipecall_outbox_oldest_age_seconds",
        "How long the oldest message has waited for its delivery; 0 when none does.",
        _age(health, health.unsent_since),
    )


def _reloads(reloads: Reloads) -> Iterator[Metric]:
    yield _plain("pipecall_reload_ok", "1 if the newest pipelines file is in force, 0 if it was refused.", reloads.ok)
    if reloads.at is not None:
        yield _plain(
            "pipecall_reload_timestamp_seconds",
            "When the pipelines file was last taken over, Unix time.",
            reloads.at.timestamp(),
        )


def _plain(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=float(value))


def _gauge(name: str, told: str, values: Iterable[tuple[dict[str, str], float]]) -> Metric:
    family = Metric(name, told, "gauge")
    for labels, value in values:
        family.add_sample(name, labels, value)
    return family


def _first(state: str) -> str:
    return state.split(maxsplit=1)[0].rstrip(":") if state.strip() else "off"


def _age(health: Health, since: datetime | None) -> float:
    return max((health.at - since).total_seconds(), 0.0) if health.at is not None and since is not None else 0.0
