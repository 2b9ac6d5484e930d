"""How the service is started from a terminal: in this process, or as one of its own that outlives the terminal."""

from __future__ import annotations

import asyncio
import socket
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
from pipelines.cli.standing import SILENT, reader, standing, who
from pipelines.errors import InvalidTransition, PipecallError, StoreError
from pipelines.model import Process
from pipelines.serving import Serving
from pipelines.settings import Settings
from pipelines.store import processes
from pipelines.store.database import file_of
from pipelines.store.holding import holder

LOOK_S = 0.1
"""So often, in seconds, it is looked whether the service is ready."""
ADDRESS_S = 5.0
"""So long, in seconds, a service that is there is given to say at which address its web is; it may have none."""
TAIL = 20
"""So many lines of the log are shown where it did not come up."""


def refuse_second(chosen: Settings) -> None:
    """Let it pass that no service runs on the store, or that several may.

    Raises:
        InvalidTransition: one does; the text names it.
    """
    several = file_of(chosen.scheduler_db_url) is None
    held = None if several else holder(chosen.scheduler_db_url)
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
    printing.line(ready_line(process.pid, said.web, path, wanted=chosen.web == "on"))
    return codes.OK


def ready_line(pid: int, web: str | None, log: Path, *, wanted: bool) -> str:
    """Return what to say of a service that was started; `wanted` says whether its web was to be opened."""
    address = f", {web}" if web else ", without its web, which is not open yet" if wanted else ""
    return f"the service runs: pid {pid}{address}; its log is {log}"


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


def _ready(
    chosen: Settings, process: subprocess.Popen[bytes], log: Path, *, until: float, began: int
) -> Process | Serving:
    """Wait until the service says of itself that it is there."""
    address_by = None
    while True:
        code = process.poll()
        if code is not None:
            refuse_second(chosen)  # another one was quicker
            raise PipecallError(f"the service ended as it started, with exit code {code}; {_last(log, began)}")
        found = asyncio.run(_there(chosen, process.pid))
        if found is not None:
            address_by = address_by or time.monotonic() + ADDRESS_S
            if found.web or chosen.web == "off" or time.monotonic() > address_by:
                return found
        if time.monotonic() > until:
            raise PipecallError(f"pid {process.pid} is not ready yet, and goes on starting; {_last(log, began)}")
        time.sleep(LOOK_S)


async def _there(chosen: Settings, pid: int) -> Process | Serving | None:
    """Return what a process of this machine says of itself: where several share a store, only the leader has a note."""
    if file_of(chosen.scheduler_db_url) is not None:
        said = (await standing(chosen)).said
        return said if said is not None and said.pid == pid else None
    try:
        async with reader(chosen) as reads:
            found = await reads.read(processes.schedulers, SILENT)
    except StoreError:
        return None  # its tables are only being made
    return next((each for each in found if (each.pid, each.host) == (pid, socket.gethostname())), None)


def _last(log: Path, began: int) -> str:
    """Return where the log is, and its newest lines."""
    with log.open("rb") as file:
        file.seek(began)
        lines = file.read().decode("utf-8", errors="replace").splitlines()[-TAIL:]
    return "\n".join([f"its log is {log}", *(f"  {line}" for line in lines)])
