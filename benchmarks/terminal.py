"""How long commands of the terminal take, from their start to their end, beside a service with 10,000 jobs.

The peer is a Python that does nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Row, ms, percentile, write_project
from tests.project import Project

JOBS = 10_000
TIMES = 10
COMMANDS = {"--help": "≤ 400 ms", "status": "", "status --json": "", "jobs --json": "", "jobs": "", "check": ""}


def measure() -> Iterator[Row]:
    """Yield a row for each command."""
    program = Path(sys.executable).with_name("pipecall")
    with TemporaryDirectory() as name:
        project = _project(Path(name))
        with project.service() as service:
            service.wait_for("ready")
            peer = [_taken_s([sys.executable, "-c", "pass"], project.folder, project.environment) for _ in range(TIMES)]
            for command, target in COMMANDS.items():
                arguments = [str(program), *command.split()]
                taken = [_taken_s(arguments, project.folder, project.environment) for _ in range(TIMES)]
                ratio = percentile(peer, 0.5) / percentile(taken, 0.5)
                what = f"pipecall {command}, beside a service with {JOBS:,} jobs: p50 / worst"
                yield Row(what, _both(taken), f"{_both(peer)}, python -c pass", ratio, target)


def _project(folder: Path) -> Project:
    stage = {"executor": "inline", "chain": ["benchmarks.stages.nothing"]}
    pipelines = {f"p{at}": stage | {"schedule": f"{at % 60} {at // 60 % 24} * * *"} for at in range(JOBS)}
    write_project(folder, {"pipelines": pipelines})
    return Project(folder, {"PLUGINS_ALLOW": "benchmarks.stages", "LOG_LEVEL": "INFO"})


def _taken_s(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Return how many seconds a program took; raises RuntimeError where it failed."""
    began = time.perf_counter()
    done = subprocess.run(arguments, cwd=folder, env={**os.environ, **environment}, capture_output=True, check=False)
    taken = time.perf_counter() - began
    if done.returncode not in (0, 1):  # 1: status says that not all is well
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr.decode()[-500:]}")
    return taken


def _both(seconds: Sequence[float]) -> str:
    return f"{ms(percentile(seconds, 0.5))} / {ms(max(seconds))}"
