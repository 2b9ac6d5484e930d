"""What systemd hears of the service: from a real process over a real socket, and what is not said."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from pipelines.health import Health, Status
from pipelines.systemd import Systemd, attended
from tests.project import until

WELL = Health(loop_lag_s=0.0, waiting_writes=0, dropped_lines=0, running=0, queued=0, slots=1)
DOWN = replace(WELL, refused="no space left")
WATCHDOG_S = 0.5


class Manager:
    """The other end of the socket: what it heard, each datagram as its lines."""

    def __init__(self, receiver: socket.socket) -> None:
        receiver.setblocking(False)
        self._receiver = receiver
        self.heard: list[list[str]] = []

    def listen(self) -> list[list[str]]:
        """Take what has come in, and return all there ever was."""
        while True:
            try:
                self.heard.append(self._receiver.recv(4096).decode().splitlines())
            except BlockingIOError:
                return self.heard

    def count(self, state: str) -> int:
        return sum(state in lines for lines in self.listen())

    def wait_for(self, state: str, more_than: int = 0) -> None:
        until(lambda: self.count(state) > more_than, f"systemd never heard {state}: {{}}", lambda: str(self.heard))

    def wait_for_text(self, *starts: str) -> None:
        """Wait for a datagram whose lines begin so."""

        def heard() -> bool:
            pairs = (zip(lines, starts, strict=False) for lines in self.listen() if len(lines) == len(starts))
            return any(all(line.startswith(start) for line, start in each) for each in pairs)

        until(heard, f"systemd never heard {starts}: {{}}", lambda: str(self.heard))


@contextmanager
def manager_at(path: str):
    """A socket such as systemd's, at a path or an abstract address."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
        receiver.bind("\0" + path[1:] if path.startswith("@") else path)
        yield Manager(receiver)


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_a_service_tells_how_it_lives(project, abstract):
    """It says READY with its pid, shows signs of life but not while it is held, then STOPPING; and ends with 0."""
    project.write("pipelines: {}")
    project.bare = not abstract  # a process that is held is seen by its parent alone
    path = f"@pipecall-{os.getpid()}-{project.folder.name}" if abstract else str(project.folder / "notify")
    project.env |= {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    with manager_at(path) as manager, project.service() as service:
        manager.wait_for("READY=1")
        assert ["READY=1", f"MAINPID={service.process.pid}", "STATUS=ready"] == manager.heard[0]
        manager.wait_for("WATCHDOG=1", more_than=1)
        if not abstract:
            _held(manager, service.process)
        assert 0 == service.stop()
        assert ["STOPPING=1", "STATUS=stopping"] in manager.listen()


def _held(manager: Manager, process) -> None:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    before = manager.count("WATCHDOG=1")
    time.sleep(2 * WATCHDOG_S)  # what must not come can only be waited for
    assert before == manager.count("WATCHDOG=1")
    process.send_signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1", more_than=before)


async def test_a_service_that_is_down_gives_no_sign_of_life(tmp_path):
    """While the service is down systemd hears why, but no sign of life; once it is well again, it does."""
    found = [DOWN, DOWN, WELL]

    async def health() -> Health:
        return found.pop(0) if len(found) > 1 else found[0]

    path = str(tmp_path / "notify")
    env = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"}
    with manager_at(path) as manager:
        async with attended(env, health), asyncio.timeout(10):
            while not manager.count("WATCHDOG=1"):
                await asyncio.sleep(0.005)
    told = [lines for lines in manager.heard if "READY=1" not in lines]
    assert [[f"STATUS={DOWN}"], [f"STATUS={DOWN}"], ["WATCHDOG=1", f"STATUS={WELL}"]] == told[:3]
    assert Status.DOWN is DOWN.status


async def test_what_fails_to_answer_gives_no_sign_of_life(tmp_path, caplog):
    """A fault in asking how the service is ends neither the service nor the asking, and is no sign of life."""
    asked = []

    async def health() -> Health:
        asked.append(True)
        if len(asked) == 1:
            raise RuntimeError("broken")
        return WELL

    path = str(tmp_path / "notify")
    with manager_at(path) as manager:
        async with attended({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000"}, health), asyncio.timeout(10):
            while not manager.count("WATCHDOG=1"):
                await asyncio.sleep(0.005)
    assert "could not be asked" in caplog.text


def test_nothing_is_told_without_systemd(caplog):
    """Without a socket nothing is sent, and a watchdog meant for another process is left alone."""
    assert Systemd(None, None) == Systemd.of({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    Systemd.of({}).ready()
    assert "" == caplog.text


def test_a_watchdog_is_read_in_seconds():
    """What is given in microseconds is seconds here; what is no number, or 0, means that nobody watches."""
    patience = [Systemd.of({"WATCHDOG_USEC": given}).watchdog_s for given in ("30000000", "0", "soon", "")]
    assert [30.0, None, None, None] == patience


def test_a_socket_that_is_gone_is_told_in_the_log(tmp_path, caplog):
    """Where systemd cannot be reached the service goes on, and the log says so."""
    Systemd.of({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "systemd was not told READY=1" in caplog.text
