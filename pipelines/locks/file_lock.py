"""A lock on a file, for processes of one machine; it vanishes with the process, however that ends.

Whoever is frozen keeps it: the operating system knows nothing of time.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from pathlib import Path

import filelock

from pipelines.errors import StoreError

POLL_S = 0.2
"""How often, in seconds, one who waits tries."""
LOOK_S = 1.0
"""How often, in seconds, one who holds it sees whether the file is still there."""
NOTICE_S = 1.25 * LOOK_S
"""See `Lock.notice_s`: only the look tells that the file was removed."""


class FileLock:
    """The lock on the file at `path`; beside it, `….holder` says who has it."""

    kind = "file"
    notice_s = NOTICE_S

    def __init__(self, path: Path | str, process: str) -> None:
        """Touch nothing yet; `process` is told to those who wait."""
        self._path = Path(path).absolute()
        self._told = self._path.with_name(f"{self._path.name}.holder")
        self._process = process
        self._lock = filelock.FileLock(self._path, blocking=False, fallback_to_soft=False, thread_local=False)
        self._file: tuple[int, int] | None = None

    @property
    def sure_until(self) -> float:
        """For ever while it is held, else never: see `Lock`."""
        return -math.inf if self._file is None else math.inf

    async def acquire(self) -> None:
        """See `Lock`. Raises StoreError where there can be no such lock."""
        while not self._taken():  # noqa: ASYNC110 - other processes are waited for, and they send no event
            await asyncio.sleep(POLL_S)

    def _taken(self) -> bool:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._file = _identity(self._path)
        except filelock.Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            remedy = "name a file on a local disk in SCHEDULER_LOCK_URL, or choose another SCHEDULER_LOCK"
            raise StoreError(f"{self._path}: cannot be locked: {error}; {remedy}") from error
        if self._file is None:  # somebody removed it in this instant
            self._lock.release()
            return False
        with suppress(OSError):
            self._told.write_text(self._process, encoding="utf-8")
        return True

    async def hold(self) -> str:
        """See `Lock`. It is lost when somebody removes the file, as the next one then locks a new one."""
        while self._file is not None and _identity(self._path) == self._file:  # noqa: ASYNC110 - as above
            await asyncio.sleep(LOOK_S)
        self._file = None
        return f"{self._path} was removed or replaced"

    async def release(self) -> None:
        """See `Lock`."""
        if self._file is not None:
            self._file = None
            with suppress(OSError):
                self._told.unlink(missing_ok=True)
        self._lock.release()

    async def holder(self) -> str | None:
        """See `Lock`."""
        try:
            return self._told.read_text(encoding="utf-8").strip() or None
        except OSError:
            return None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
