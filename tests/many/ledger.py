"""What stages write down of themselves, and what must be true of it: no attempt begins before the last one is over.

Each line stands on its own, whoever wrote it and however that one ended: what happened, the run, the attempt, the pid
and the time since the boot, the same for all processes of a machine. A stage ticks while it is at work, so that the
last line of one that was killed tells how long it lived at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

FILE = "ledger.txt"
PLUGIN = f"""
import asyncio
import os
import time
from pathlib import Path

from pipelines import current_run

CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
TICK_S, WORK_S = 0.02, 0.5

def note(kind):
    run = current_run()
    line = f"{{kind}} {{run.run_id}} {{run.attempt}} {{os.getpid()}} {{time.clock_gettime(CLOCK):.6f}}\\n"
    file = os.open("{FILE}", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)

def quick(item):
    note("begin")
    note("end")

async def work(item):
    note("begin")
    until = time.monotonic() + WORK_S
    while time.monotonic() < until:
        await asyncio.sleep(TICK_S)
        note("tick")
    note("end")

def block(item):
    note("begin")
    until = time.monotonic() + WORK_S
    while time.monotonic() < until:
        time.sleep(TICK_S)
        note("tick")
    note("end")

async def gate(item):
    note("begin")
    while not Path("open").exists():
        await asyncio.sleep(TICK_S)
        note("tick")
    note("end")

def stuck(item):
    note("begin")
    while not Path("open").exists():
        time.sleep(TICK_S)
        note("tick")
    note("end")
"""


@dataclass(frozen=True, slots=True)
class Span:
    """One attempt as its stage saw it, in seconds since the boot; `last` is its last sign of life."""

    run: int
    attempt: int
    pid: int
    begin: float
    last: float
    ended: bool

    def __str__(self) -> str:
        """For people."""
        how = "ended" if self.ended else "was cut off"
        return f"run {self.run} attempt {self.attempt} in pid {self.pid}: {self.begin:.3f} to {self.last:.3f}, {how}"


def spans(folder: Path) -> list[Span]:
    """Read all attempts, by run, attempt and pid: one that two processes executed stands there twice."""
    path = folder / FILE
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text(encoding="ascii").splitlines(keepends=True) if line[-1] == "\n"]
    notes = [(int(run), int(attempt), int(pid), float(at), kind) for kind, run, attempt, pid, at in lines]
    notes.sort(key=lambda note: note[:4])
    found = []
    for (run, attempt, pid), group in groupby(notes, key=lambda note: note[:3]):
        mine = list(group)
        kinds = [kind for *_, kind in mine]
        found.append(Span(run, attempt, pid, mine[0][3], mine[-1][3], "end" in kinds))
        assert 1 == kinds.count("begin"), f"attempt {attempt} of run {run} began {kinds.count('begin')} times in {pid}"
    return found


def overlaps(found: Iterable[Span]) -> list[str]:
    """Say where an attempt gave a sign of life after the next one of its run had begun, or was executed twice."""
    told = []
    for _, group in groupby(sorted(found, key=lambda span: (span.run, span.begin)), key=lambda span: span.run):
        mine = list(group)
        told += [f"{one}; {other}" for one, other in pairwise(mine) if one.last > other.begin]
        told += [f"{one}; {other}" for one, other in pairwise(mine) if one.attempt >= other.attempt]
    return told


def most_at_once(found: Iterable[Span], key: Callable[[Span], str | None]) -> dict[str, int]:
    """Return for each key how many attempts with it went on at one time, at most; those with None do not count."""
    changes: dict[str, list[tuple[float, int]]] = {}
    for span in found:
        if (name := key(span)) is not None:
            changes.setdefault(name, []).extend([(span.begin, 1), (span.last, -1)])
    most = {}
    for name, steps in changes.items():
        now = top = 0
        for _, step in sorted(steps):
            now += step
            top = max(top, now)
        most[name] = top
    return most
