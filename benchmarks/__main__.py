"""Measure everything, print the table, and write it to `docs/benchmarks.md`. Names on the command line select parts."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks import (
    autocomplete,
    burst,
    chain_items,
    doors,
    growth,
    idle,
    interactions,
    keeping,
    machines,
    many_schedules,
    recorded_runs,
    registration,
    reload,
    terminal,
)
from benchmarks.measure import Row

PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "autocomplete": autocomplete.measure,
    "burst": burst.measure,
    "chain": chain_items.measure,
    "doors": doors.measure,
    "growth": growth.measure,
    "idle": idle.measure,
    "interactions": interactions.measure,
    "keeping": keeping.measure,
    "machines": machines.measure,
    "registration": registration.measure,
    "reload": reload.measure,
    "runs": recorded_runs.measure,
    "schedules": many_schedules.measure,
    "terminal": terminal.measure,
}
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main(names: list[str]) -> None:
    """Measure the named parts (all, when none is named); the page is written only when all were measured."""
    rows = []
    for name in names or PARTS:
        for row in PARTS[name]():
            rows.append(row)
            print(f"{row.work:48} {row.ours:>26}   {row.peer:>24}   {_ratio(row):>7}   {row.target}", flush=True)
    if not names:
        PAGE.write_text(_page(rows), encoding="utf-8")


def _ratio(row: Row) -> str:
    return f"{row.ratio:.2f}" if row.ratio is not None else ""


def _page(rows: Iterable[Row]) -> str:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench` on {machine}: one run, each row side by side with its peer. A ratio says how many",
        "times better ours is; trust ratios of two and more, not third digits. The peer of schedules and runs is",
        "APScheduler 3.11 with its SQLAlchemy store on SQLite in WAL mode, without a history; the peer of chains is",
        "the same loop in bare Python.",
        "",
        "How soon Discord gets an answer is measured by a fake Discord on the same machine: 20 interactions a second",
        "of all kinds, to a service with 10,000 pipelines. The peer is a bare discord.py bot without pipelines, whose",
        "one command answers at once; under load it has 1,000 APScheduler idle jobs in memory, and a process",
        "spins beside it.",
        "",
        "Pages and REST are asked for by another process, one after the other, over a store with 1,000,000 runs",
        "of 10,000 pipelines, a fifth of them of one. The peer is the same uvicorn and FastAPI with an answer of",
        "the same size that stands in memory; ratios are of p50. How long the loop was held at worst is beside.",
        "",
        "Runs on workers (EXECUTOR=procrastinate) are asked for by a scheduler that executes nothing, on PostgreSQL",
        "15 with its settings as shipped, and executed by `pipecall worker`, four at one time in each. The peers are",
        "bare procrastinate, whose tasks share the worker's event loop as inline stages do, with its manual's recipe",
        "for stalled jobs (heartbeat 2 s, stalled after 6 s, looked for every 2 s), and bare Celery with processes,",
        "acks_late, a prefetch of one, and on Redis a visibility_timeout of 6 s that is looked at every second: with",
        "it a task of more than 6 s runs twice. Neither keeps attempts, stages, counts or leases of a run. Another",
        "machine is a worker in a PID namespace of its own, whose death nobody sees.",
        "",
        "What a run costs a store with a history is the time of the three transactions that queue, claim and end it,",
        "each safe on disk. Schedules on PostgreSQL: one is due each second, the others once a day; the peer is",
        "APScheduler with its SQLAlchemy store there, which reads no jobs when it starts.",
        "",
        "| work | Pipecall | peer | ratio | target |",
        "|---|---|---|---|---|",
        *(f"| {row.work} | {row.ours} | {row.peer} | {_ratio(row)} | {row.target} |" for row in rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
