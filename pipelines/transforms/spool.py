"""A file that appears whole or not at all: written beside its target, then put in its place or added to its end.

Plain blocking file work, to be called in a thread; what is written into the file is decided in `file_sink`.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from threading import Lock
from typing import BinaryIO


class Spool:
    """A hidden temporary file beside `target`; calls from several threads come one after the other.

    Open it, write, and end it with one of `replace`, `append` and `discard`. Only a process that is killed leaves the
    file behind; it is called `.<target's name>.<8 hexadecimal digits>.tmp` then and may be deleted.
    """

    def __init__(self, target: Path) -> None:
        """Name the target; nothing is made yet."""
        self.target = target
        self._path = target
        self._file: BinaryIO | None = None
        self._ended = False
        self._lock = Lock()

    def open(self) -> None:
        """Make the target's folder where it is missing, and the temporary file; a symbolic link is followed.

        Does nothing after `discard`, which may overtake it when a run is cancelled.

        Raises:
            OSError: one of them cannot be made.
        """
        with self._lock:
            if self._ended:
                return
            self.target = self.target.resolve()
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self._path = self.target.with_name(f".{self.target.name}.{secrets.token_hex(4)}.tmp")
            self._file = self._path.open("xb")

    def write(self, text: str) -> None:
        """Add text, as UTF-8; half a surrogate pair becomes a question mark."""
        with self._lock:
            if self._file is not None:
                self._file.write(text.encode("utf-8", "replace"))

    def replace(self) -> None:
        """Put what was written in the target's place, durably; an existing file's permissions are kept.

        Raises:
            OSError: it could not be done; the target is as before and the temporary file is gone.
        """
        with self._lock:
            try:
                self._sync_and_close()
                if self.target.exists():
                    shutil.copymode(self.target, self._path)
                self._path.replace(self.target)
            except OSError:
                self._path.unlink(missing_ok=True)
                raise
            _sync_folder(self.target.parent)

    def append(self, header: str = "") -> None:
        """Add what was written to the target's end, durably; `header` goes before it in a target that is empty.

        Raises:
            OSError: it could not be done; the target is cut back to what it was and the temporary file is gone.
        """
        with self._lock:
            try:
                self._sync_and_close()
                with self.target.open("ab") as target, self._path.open("rb") as written:
                    _add(target, written, header)
            finally:
                self._path.unlink(missing_ok=True)
            _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Throw away what was written; the target is as before."""
        with self._lock:
            self._ended = True
            if self._file is not None:
                self._file.close()
                self._file = None
                self._path.unlink(missing_ok=True)

    def _sync_and_close(self) -> None:
        if self._file is None:
            raise ValueError(f"{self.target} is not open for writing")
        with self._file as file:
            self._file = None
            self._ended = True
            file.flush()
            os.fsync(file.fileno())


def _add(target: BinaryIO, written: BinaryIO, header: str) -> None:
    size = target.seek(0, os.SEEK_END)
    try:
        if not size:
            target.write(header.encode())
        elif not _ends_a_line(Path(target.name)):
            target.write(b"\n")
        shutil.copyfileobj(written, target)
        target.flush()
        os.fsync(target.fileno())
    except OSError:
        target.truncate(size)
        raise


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable, where the system knows how (POSIX)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
