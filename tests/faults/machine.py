"""What can go wrong with the machine under a service: its clock, its disk, its power."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import struct
import subprocess
import time
from pathlib import Path

import psutil

_SHIM = Path(__file__).with_name("clock.c")
_FULL_BYTES = 8_192
_WAL_HEADER, _FRAME_HEADER = 32, 24


class SteppedClock:
    """A wall clock for services that can be set while they run; without a C compiler it is the machine's own."""

    def __init__(self, folder: Path) -> None:
        """Build what a service loads; `folder` keeps it and the clock's setting."""
        self.ahead_s = 0
        self._file, library = folder / "clock", folder / "clock.so"
        self._write()
        compiler = shutil.which("cc") or shutil.which("gcc")
        self.environment: dict[str, str] = {}
        if compiler:
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SHIM], check=True)
            self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self._file)}

    @property
    def can_step(self) -> bool:
        """Whether services see what `step` does."""
        return bool(self.environment)

    def now(self) -> float:
        """The time that services see, in seconds since 1970."""
        return time.time() + self.ahead_s

    def step(self, seconds: int) -> None:
        """Set the clock forward, or back."""
        self.ahead_s += seconds
        self._write()

    def _write(self) -> None:
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", self.ahead_s))


def family(pid: int) -> list[psutil.Process]:
    """The worker processes of a service."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def fill_disk(pid: int) -> None:
    """Let no file that the service writes grow further."""
    _limit(pid, resource.RLIMIT_FSIZE, _FULL_BYTES)


def free_disk(pid: int) -> None:
    """Let files grow again, also those of processes that were started meanwhile."""
    for each in (pid, *(child.pid for child in family(pid))):
        _limit(each, resource.RLIMIT_FSIZE)


def take_memory(pid: int) -> None:
    """Let a process have no more memory than it has now."""
    _limit(pid, resource.RLIMIT_AS, 1)


def give_memory(pid: int) -> None:
    """Let it have more again."""
    _limit(pid, resource.RLIMIT_AS)


def _limit(pid: int, what: int, size: int = resource.RLIM_INFINITY) -> None:
    try:
        resource.prlimit(pid, what, (size, resource.RLIM_INFINITY))
    except (ProcessLookupError, PermissionError):
        return  # it ended in this moment


def lock_store(store: Path) -> sqlite3.Connection:
    """Take the write lock of the store; closing what is returned lets it go."""
    connection = sqlite3.connect(store, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def image(store: Path, aside: Path, dice: random.Random) -> None:
    """Copy the store of a service that stands still as a power cut would leave it: with a torn page behind the log."""
    wal = Path(f"{store}-wal")
    shutil.copy(store, aside)
    if wal.exists():
        content = wal.read_bytes()
        end = _committed(content)
        torn = dice.randbytes(dice.randint(1, 6_000))
        Path(f"{aside}-wal").write_bytes(content[:end] + torn + content[end + len(torn) :])


def boot_from(aside: Path, store: Path) -> None:
    """Put an image in the store's place."""
    for tail in ("", "-wal", "-shm"):
        Path(f"{store}{tail}").unlink(missing_ok=True)
        if Path(f"{aside}{tail}").exists():
            os.replace(f"{aside}{tail}", f"{store}{tail}")  # noqa: PTH105 - the names are texts here


def _committed(wal: bytes) -> int:
    """How many bytes of a write-ahead log hold committed transactions (https://www.sqlite.org/fileformat.html#walformat)."""
    if len(wal) < _WAL_HEADER:
        return len(wal)
    page, salts = struct.unpack(">I", wal[8:12])[0], wal[16:24]
    end = place = _WAL_HEADER
    while place + _FRAME_HEADER + page <= len(wal) and wal[place + 8 : place + 16] == salts:
        place += _FRAME_HEADER + page
        if wal[place - page - _FRAME_HEADER + 4 : place - page - _FRAME_HEADER + 8] != b"\0\0\0\0":
            end = place
    return end
