"""The operating system's side of a worker process: how one is started and killed, and what it died of."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.execution.output import Output

MODULE = "pipelines.execution.worker_process"


@dataclass(frozen=True, slots=True)
class WorkerArguments:
    """What every worker process is told at its start: the plugins folder (None: none) and the allowed modules."""

    plugins: Path | None
    allow: tuple[str, ...]

    def line(self, socket_number: int) -> str:
        """Return the one argument of `worker_process`."""
        plugins = str(self.plugins) if self.plugins is not None else None
        given = {"socket": socket_number, "parent": os.getpid(), "plugins": plugins, "allow": self.allow}
        return json.dumps(given)


@dataclass(frozen=True, slots=True)
class Started:
    """A worker process that was just started, and the service's ends of its socket and its output."""

    process: asyncio.subprocess.Process
    socket: socket.socket
    output: Output
    output_transport: asyncio.ReadTransport

    async def discard(self) -> None:
        """End it before it was used."""
        self.socket.close()
        self.output_transport.close()
        await _end(self.process)


async def start(arguments: WorkerArguments) -> Started:
    """Start a worker process in a session of its own, so that no Ctrl-C meant for the service reaches it.

    Raises:
        OSError: the system does not start another process.
    """
    ours, theirs = socket.socketpair()
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            MODULE,
            arguments.line(theirs.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=write_end,
            pass_fds=(theirs.fileno(),),
            env=_environment(),
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        os.close(read_end)
        raise
    finally:
        theirs.close()
        os.close(write_end)
    loop = asyncio.get_running_loop()
    try:
        transport, output = await loop.connect_read_pipe(Output, os.fdopen(read_end, "rb", 0))
    except BaseException:
        ours.close()
        await _end(process)
        raise
    return Started(process, ours, output, transport)


async def _end(process: asyncio.subprocess.Process) -> None:
    kill_group(process)
    await process.wait()


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a process and all that it started."""
    # By hand, as `process.kill` may reap the process and so hide its return code from asyncio.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def cause_of_death(code: int) -> str:
    """Say in words how a process ended, given its return code; negative ones are signals."""
    if code >= 0:
        return f"the stage ended its process with exit code {code} (os._exit or sys.exit)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hints = {
        "SIGKILL": ": perhaps the system ran out of memory",
        "SIGSEGV": ": a library written in C made a mistake; the lines below say where",
    }
    return f"killed by {name}{hints.get(name, '')}"


def _environment() -> dict[str, str]:
    """Let the child find this package wherever it was imported from."""
    home = str(Path(__file__).parents[2])
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([home, *(path for path in paths if path != home)])}
