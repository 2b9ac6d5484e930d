"""Tracebacks for people who write stages: they start at the user's own line, fold what is library, mark the last line.

Three origins of a frame are told apart by its file: the engine's own, a library's (Python's too), and the user's. What
an error says and which stage it came from is `chain`'s matter.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from itertools import groupby
from pathlib import Path
from traceback import FrameSummary, StackSummary
from types import TracebackType

FOLDED_FROM = 4
"""So many library frames in a row are folded: the first and the last stay."""
MARK = "> "
"""Stands before the last line of the user's own."""

_PACKAGE = Path(__file__).parent
_BUILT_IN = tuple(str(_PACKAGE / name) for name in ("transforms/", "testing.py"))
_ENGINE = tuple(f"{each}/" for each in (_PACKAGE, _PACKAGE.parent / "bot", _PACKAGE.parent / "web"))
_PYTHON = Path(traceback.__file__).parent
_MACHINERY = (f"{_PYTHON / 'asyncio'}/", f"{_PYTHON / 'importlib'}/", str(_PYTHON / "contextlib.py"), "<frozen ")
_LIBRARIES = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_INSTALLED = ("/site-packages/", "/dist-packages/")


class Origin(Enum):
    """Whose a line of code is."""

    MACHINERY = auto()
    """The engine's, or what carries any coroutine and import: never shown."""
    LIBRARY = auto()
    """A library's, Python's, or a stage's that ships with the engine."""
    USER = auto()
    """The user's own."""


def origin_of(filename: str) -> Origin:
    """Tell whose a file is, by its path."""
    if filename.startswith((*_BUILT_IN, "<")) and not filename.startswith("<frozen "):
        return Origin.LIBRARY
    if filename.startswith((*_ENGINE, *_MACHINERY)):
        return Origin.MACHINERY
    installed = filename.startswith(_LIBRARIES) or any(each in filename for each in _INSTALLED)
    return Origin.LIBRARY if installed else Origin.USER


def users_frames(trace: TracebackType | None) -> list[FrameSummary]:
    """Return the frames from the user's own first one on, without machinery; all others where none is the user's."""
    shown = [frame for frame in traceback.extract_tb(trace) if origin_of(frame.filename) is not Origin.MACHINERY]
    first = next((at for at, frame in enumerate(shown) if origin_of(frame.filename) is Origin.USER), 0)
    return shown[first:]


def users_line(error: BaseException) -> tuple[str, int] | None:
    """Return file and line (from 1) of the user's last own line that an error or its cause passed; None: none."""
    seen: BaseException | None = error
    for _ in range(FOLDED_FROM):
        if seen is None:
            return None
        if isinstance(seen, SyntaxError) and seen.filename and seen.lineno:
            return seen.filename, seen.lineno
        frames = [each for each in users_frames(seen.__traceback__) if origin_of(each.filename) is Origin.USER]
        if frames:
            return frames[-1].filename, frames[-1].lineno or 1
        seen = seen.__cause__ or seen.__context__
    return None


def frame_lines(frames: Sequence[FrameSummary]) -> list[str]:
    """Return frames as lines: libraries folded where there are many in a row, the user's last line marked."""
    last = max((at for at, frame in enumerate(frames) if origin_of(frame.filename) is Origin.USER), default=None)
    lines: list[str] = []
    for origin, numbered in groupby(enumerate(frames), key=lambda each: origin_of(each[1].filename)):
        group = list(numbered)
        marked = last is not None and last == group[-1][0]
        run = [frame for _, frame in group]
        if origin is Origin.LIBRARY:
            lines.extend(_folded(run))
        elif marked:
            lines.extend(_formatted(run[:-1]))
            lines.extend(_marked(run[-1]))
        else:
            lines.extend(_formatted(run))
    return lines


def _folded(run: Sequence[FrameSummary]) -> Iterator[str]:
    if len(run) < FOLDED_FROM:
        yield from _formatted(run)
        return
    yield from _formatted(run[:1])
    yield f"  … {len(run) - 2} frames of libraries left out"
    yield from _formatted(run[-1:])


def _marked(frame: FrameSummary) -> Iterator[str]:
    first, *rest = _formatted([frame])
    yield f"{MARK}{first.removeprefix('  ')}"
    yield from rest


def _formatted(run: Sequence[FrameSummary]) -> list[str]:
    return [line for entry in StackSummary.from_list(list(run)).format() for line in entry.rstrip("\n").split("\n")]
