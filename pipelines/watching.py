"""Tells when files that say what is to run have changed on disk: the pipelines file, the job file, the user's plugins.

What the changes mean is not known here. Folders are watched, not files, so that files may be replaced, made anew, or
reached through links that are turned over, as Kubernetes does it. Beside the events of the system, every few seconds
the files' dates are looked at: some file systems send no events.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from watchfiles import Change, awatch

QUIET_MS = 300
"""So long, in milliseconds, a burst of changes is waited for at most before it is told as one."""
STEP_MS = 50
"""So often, in milliseconds, events are collected; each time costs as much as a look at the files' dates."""
LOOK_MS = 2_000
"""So often, in milliseconds, the files' dates are looked at when no event came."""
MAX_LINKS = 40

Files = Callable[[], Sequence[Path]]
Mark = tuple[int, int, int]
"""Inode, time of change in nanoseconds, and size of a file."""


async def changed(
    files: Files, plugins: Path | None = None, *, stop: asyncio.Event | None = None, look_ms: int = LOOK_MS
) -> AsyncIterator[None]:
    """Yield at once, for what changed before anybody watched, then once after each burst of changes.

    It goes on for ever, or until `stop` is set.

    Args:
        files: names the files; asked again after each change. They need not exist.
        plugins: a folder whose `*.py` files at any depth count (None: no such folder); it need not exist.
        stop: ends the iteration; it is set when the iteration is ended from outside, too.
        look_ms: so often, in milliseconds, the files' dates are looked at without an event.
    """
    stop = stop or asyncio.Event()
    polling = None
    seen = await asyncio.to_thread(_marks, files(), plugins)
    yield
    while not stop.is_set():
        ways, folders = await asyncio.to_thread(_places, files(), plugins)
        watched = awatch(
            *sorted(folders),
            watch_filter=_Relevant(ways, folders),
            debounce=QUIET_MS,
            step=STEP_MS,
            stop_event=stop,
            rust_timeout=look_ms,
            yield_on_timeout=True,
            force_polling=polling,
            recursive=False,
            ignore_permission_denied=True,
        )
        try:
            async with aclosing(watched):
                async for _ in watched:
                    marks = await asyncio.to_thread(_marks, files(), plugins)
                    if marks != seen:
                        seen = marks
                        yield
                    if await asyncio.to_thread(_places, files(), plugins) != (ways, folders):
                        break
        except OSError:
            # A folder vanished just now, or the system has no watches left: looking at dates needs none.
            polling = True
            await asyncio.sleep(look_ms / 1000)


def fingerprint(files: Sequence[Path], plugins: Path | None = None) -> Mapping[Path, str]:
    """Return the SHA-256 in hex of what each file holds, `*.py` below `plugins` among them.

    A file that is not there has no entry; one that cannot be read has an empty one.
    """
    return {path: _digest(path) for path in (*files, *_modules(plugins)) if _mark(path) is not None}


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _marks(files: Sequence[Path], plugins: Path | None) -> dict[Path, Mark]:
    marks = ((path, _mark(path)) for path in (*files, *_modules(plugins)))
    return {path: mark for path, mark in marks if mark is not None}


def _mark(path: Path) -> Mark | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    # Opening a pipe would wait for somebody to write into it.
    return (status.st_ino, status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None


def _modules(plugins: Path | None) -> list[Path]:
    if plugins is None:
        return []
    return sorted(folder / name for folder, names in _tree(plugins) for name in names if name.endswith(".py"))


def _tree(plugins: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder with the names of its files; hidden ones and what Python keeps are left out."""
    for folder, below, names in os.walk(plugins):
        below[:] = [name for name in below if not name.startswith((".", "__pycache__"))]
        yield Path(folder), [name for name in names if not name.startswith(".")]


def _places(files: Sequence[Path], plugins: Path | None) -> tuple[frozenset[str], frozenset[str]]:
    """Return the paths whose change may change what is read, and the folders in which to watch for it."""
    ways = {way for path in (*files, *([plugins] if plugins is not None else [])) for way in _ways(path)}
    folders = {way.parent for way in ways if way.parent.is_dir()}
    below = {folder for folder, _ in _tree(plugins)} if plugins is not None else set()
    ways |= {path.absolute() for path in below}
    return frozenset(map(str, ways)), frozenset(str(path.absolute()) for path in folders | below)


def _ways(path: Path) -> set[Path]:
    """Return the path itself, the links on the way to it, where they lead, and the folders that are missing."""
    ways: set[Path] = set()
    todo = [_straight(path)]
    while todo and len(ways) < MAX_LINKS:
        here = todo.pop()
        if here in ways:
            continue
        ways.add(here)
        for part in here.parents:
            if not part.exists():
                ways.add(part)
        for part in (here, *here.parents):
            if part.is_symlink():
                ways.add(part)
                todo.append(_straight(part.parent / part.readlink() / here.relative_to(part)))
                break
    return ways


def _straight(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 -- 'resolve' would follow the links that are looked for here


class _Relevant:
    """Lets through what may change what is read: not the database in the same folder, nor its journal."""

    def __init__(self, ways: frozenset[str], folders: frozenset[str]) -> None:
        self._ways, self._folders = ways, folders

    def __call__(self, _: Change, path: str) -> bool:
        """Say whether a change of this path counts."""
        return path in self._ways or path in self._folders or path.endswith(".py")
