"""Programs of ours as processes of their own, without the second that an interpreter takes to import them.

One process of pytest's own (`python -m tests.forked`) imports what the programs need, and forks for each that is asked
for. The new process is given the folder, the environment, the arguments and the output that it would have had, and then
runs the program's file or module from its first line to the end of its interpreter. It is killed, frozen and waited for
like any other. What is proved about imports and about the first moments of a program needs a start of its own
(`tests.project`).
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from pipelines.collector import collector_off

ROOT = Path(__file__).parent.parent
LOOK_S = 0.02
"""So often, in seconds, it is looked whether a process has ended."""
PROGRAMS = (
    "bot.face",
    "pipelines.cli.worker",
    "pipelines.distributed.service",
    "pipelines.faces",
    "pipelines.locks.postgres_lock",
    "pipelines.service",
    "pipelines.store.silence",
    "procrastinate.schema",
    "psycopg.sql",
    "web.face",
)
"""What is imported before the first fork, besides what these import: all that schedulers and workers may need."""


class Forked(subprocess.Popen[bytes]):
    """A process that was forked; it is there until its end was asked for, as a child would be."""

    _child_created = False  # by this process: `Popen` has nothing to look after

    def __init__(self, forks: Forks, pid: int, arguments: Sequence[str]) -> None:
        """It runs."""
        self.args = arguments
        self.stdin = self.stdout = self.stderr = None
        self.pid = pid
        self.returncode: int | None = None
        self._forks = forks

    def poll(self) -> int | None:
        """Return its exit code, minus the signal that killed it, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._forks.ask(ended=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most so many seconds (None: for ever). Raises TimeoutExpired then."""
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and timeout is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(LOOK_S)
        return code


class Forks:
    """The process that forks, as this process asks it; its children do not outlive it."""

    def __init__(self) -> None:
        """Start it; it imports while this process goes on."""
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked", str(theirs.fileno())],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                pass_fds=[theirs.fileno()],
            )
        self._answers = self._control.makefile("r", encoding="utf-8")
        self._turn = Lock()

    def ask(self, **question: Any) -> Any:
        """Ask for something, and return the answer; from any thread."""
        with self._turn:
            self._control.sendall(json.dumps(question).encode() + b"\n")
            return json.loads(self._answers.readline())

    def close(self) -> None:
        """End it, and what it forked."""
        self._answers.close()
        self._control.close()
        self._process.wait()


@cache
def _forks() -> Forks:
    made = Forks()
    atexit.register(made.close)
    return made


def start(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], output: Path, errors: Path | None = None
) -> Forked:
    """Start `python ARGUMENTS...` (a file or `-m`, and what follows) there.

    What it says is added to `output`; what it says on standard error to `errors`, if that is another file.
    """
    forks = _forks()
    said = {"output": str(output), "errors": str(errors or output)}
    pid = forks.ask(arguments=list(arguments), cwd=str(cwd), env=dict(env), **said)
    return Forked(forks, pid, arguments)


# ---------------------------------------------------------------- in the process that forks


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Answer until the other side is gone (None), or until this is a new process: then return what it shall become."""
    born: set[int] = set()
    with control, control.makefile("r", encoding="utf-8") as questions:
        for line in questions:
            asked = json.loads(line)
            if "ended" in asked:
                pid, status = os.waitpid(asked["ended"], os.WNOHANG)
                born.discard(pid)
                answer = os.waitstatus_to_exitcode(status) if pid else None
            elif (answer := os.fork()) == 0:
                return dict(asked)
            else:
                born.add(answer)
            control.sendall(json.dumps(answer).encode() + b"\n")
    for pid in born:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return None


def _become(asked: Mapping[str, Any]) -> None:
    """Run a program as a fresh interpreter would."""
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    for number, name in ((1, "output"), (2, "errors")):
        said = os.open(asked[name], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(said, number)
        os.close(said)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    first, *rest = asked["arguments"]
    if first == "-m":
        sys.path[0], sys.argv = asked["cwd"], rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = str(Path(first).parent), [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's, which ends this one
    with collector_off(keep=False):
        for name in PROGRAMS:
            import_module(name)
    gc.collect()
    gc.freeze()
    if (told := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        _become(told)
