"""How the service is started from a terminal: in this process, or as one of its own that outlives the terminal."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

from pipelines import faces, service
from pipelines.cli import codes, frame, printing
from pipelines.cli.places import log_file
from pipelines.cli.standing import Standing, standing, who
from pipelines.errors import InvalidTransition, PipecallError
from pipelines.settings import Settings
from pipelines.store.holding import holder

LOOK_S = 0.1
"""So often, in seconds, it is looked whether the service is ready."""
TAIL = 20
"""So many lines of the log are shown where it did not come up."""


def refuse_second(chosen: Settings) -> None:
    """Let it pass that no service runs on the store.

    Raises:
        InvalidTransition: one does; the text names it.
    """
    held = holder(chosen.scheduler_db_url)
    if held is not None:
        since = f", since {held.since}" if held.since else ""
        raise InvalidTransition(f"a service runs on this store already: {who(held)}{since}; 'pipecall stop' stops it")


def here(arguments: Sequence[str] = ()) -> int:
    """Run the service in this process until it is told to stop; return its exit code. For `arguments` see its main."""
    return service.main(partial(service.serve_or_run_once, faces=faces.shipped()), arguments)


def detached(chosen: Settings, timeout_s: float, arguments: Sequence[str] = ()) -> int:
    """Start the service, with `arguments`, as a process of its own; wait up to `timeout_s` seconds until it is ready.

    Raises:
        ConfigError: the pipelines file is wrong; nothing was started.
        InvalidTransition: another one was started in the same moment.
        PipecallError: it ended as it started, or is not ready in time; the text says where its log is.
    """
    frame.catalog(chosen)
    path = log_file(chosen)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        began = log.tell()
        process = _spawned(log, arguments)
    said = _ready(chosen, process, path, until=time.monotonic() + timeout_s, began=began)
    web = f", {said.said.web}" if said.said and said.said.web else ""
    printing.line(f"the service runs: pid {process.pid}{web}; its log is {path}")
    return codes.OK


def _spawned(log: IO[bytes], arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, so that closing the terminal does not reach it."""
    return subprocess.Popen(  # noqa: S603 - our own program, with a fixed command line
        [*_command(), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _command() -> list[str]:
    """Return the command line of the service."""
    return [sys.executable, "-m", "pipelines", "start"]


def _ready(chosen: Settings, process: subprocess.Popen[bytes], log: Path, *, until: float, began: int) -> Standing:
    """Wait until the service says of itself that it is there."""
    while True:
        code = process.poll()
        if code is not None:
            refuse_second(chosen)  # another one was quicker
            raise PipecallError(f"the service ended as it started, with exit code {code}; {_last(log, began)}")
        found = asyncio.run(standing(chosen))
        if found.said is not None and found.said.pid == process.pid:
            return found
        if time.monotonic() > until:
            raise PipecallError(f"pid {process.pid} is not ready yet, and goes on starting; {_last(log, began)}")
        time.sleep(LOOK_S)


def _last(log: Path, began: int) -> str:
    """Return where the log is, and its newest lines."""
    with log.open("rb") as file:
        file.seek(began)
        lines = file.read().decode("utf-8", errors="replace").splitlines()[-TAIL:]
    return "\n".join([f"its log is {log}", *(f"  {line}" for line in lines)])
