"""What a service costs that has nothing to do: memory of its process, and processor time in a minute.

With the shipped pipelines, one of which runs once meanwhile, in a process of its own that is not counted. The peer is
the same service with WEB=off.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from benchmarks.measure import Row
from tests.project import ROOT, Project

SETTLE_S, WATCHED_S = 10.0, 60.0


def measure() -> Iterator[Row]:
    """Yield the rows."""
    with_memory, with_cpu = _idle({"WEB": "on", "WEB_PORT": "0"})
    memory, cpu = _idle({"WEB": "off"})
    off = "with WEB=off"
    yield Row(
        "memory of the idle service with the web",
        f"{with_memory / 1e6:.0f} MB",
        f"{memory / 1e6:.0f} MB {off}",
        memory / with_memory,
        "≤ 120 MB",
    )
    yield Row(
        "processor time of the idle service with the web",
        f"{with_cpu:.2f} s a minute",
        f"{cpu:.2f} s {off}",
        cpu / with_cpu,
    )


def _idle(env: dict[str, str]) -> tuple[int, float]:
    """Return the bytes that the service's process holds, and its seconds of processor time in a minute."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for shipped in ("pipelines.yml", "plugins"):
            copy = shutil.copytree if (ROOT / shipped).is_dir() else shutil.copy
            copy(ROOT / shipped, folder / shipped)
        with Project(folder, env).service() as service:
            service.wait_for("ready")
            time.sleep(SETTLE_S)
            process = psutil.Process(service.process.pid)
            before = process.cpu_times()
            time.sleep(WATCHED_S)
            after = process.cpu_times()
            memory = int(process.memory_info().rss)
            service.stop()
    spent = (after.user - before.user) + (after.system - before.system)
    return memory, spent * 60 / WATCHED_S
