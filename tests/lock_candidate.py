"""A process that competes for a lock and says what it does, for tests that freeze and kill it: see `Candidate`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from tests import forked
from tests.project import ROOT, until


class Candidate:
    """The process, as its test sees it. What it says is a word and the time: `leads`, `works` (often), `lost`."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        """It is running."""
        self.process = process
        self._output = output

    def said(self, word: str) -> list[float]:
        """When it said a word, in seconds since 1970."""
        lines = [line.split() for line in self._output.read_text(encoding="utf-8").splitlines()]
        return [float(at) for at, what in lines if what == word]

    def wait_for(self, word: str, count: int = 1) -> None:
        """Wait until it has said a word so often."""
        until(
            lambda: len(self.said(word)) >= count or self.process.poll() is not None,
            f"it never said {word}: {{}}",
            self._output.read_text,
        )
        assert self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)


@contextmanager
def candidate(folder: Path, kind: str, *arguments: Any, **more: Any) -> Iterator[Candidate]:
    """Start one that competes for `pipelines.locks.KIND(*arguments, **more)`; it is killed at the end."""
    output = folder / f"candidate-{time.monotonic_ns()}"
    output.touch()
    process = forked.start(
        ["-m", "tests.lock_candidate", kind, json.dumps([arguments, more])],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        output=output,
        errors=output.with_suffix(".errors"),
    )
    try:
        yield Candidate(process, output)
    finally:
        process.kill()
        process.wait()


def _say(word: str, at: float | None = None) -> None:
    os.write(1, f"{time.time() if at is None else at} {word}\n".encode())


async def _compete(kind: str, arguments: list[Any], more: dict[str, Any]) -> None:
    leadership = resolve_name("pipelines.leadership:Leadership")(
        resolve_name(f"pipelines.locks.{kind}")(*arguments, **more)
    )

    async def begin() -> None:
        _say("leads")

    async def end(_why: str) -> None:
        _say("lost")

    competing = asyncio.create_task(leadership.run(begin, end))
    while not competing.done():
        at = time.time()  # whatever happens to this process between the next two lines, it was sure at that time
        if leadership.leads:
            _say("works", at)
        await asyncio.sleep(0.005)
    await competing


if __name__ == "__main__":
    asyncio.run(_compete(sys.argv[1], *json.loads(sys.argv[2])))
