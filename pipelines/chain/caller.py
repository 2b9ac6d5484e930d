"""Which stage of a chain a call comes from, told by the frames that it came through.

Streams pull at each other in one task and one context, and a note of who is at work would cost every hop. So nothing is
noted: whoever asks has the frames of the asking stage nearest, then those of the stages that pull at it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any

from pipelines.chain.fused import AT_WORK, LOOPS
from pipelines.chain.kinds import Stage
from pipelines.chain.links import Link


def calling_stage(stages: Sequence[Stage], links: Sequence[Link]) -> Stage | None:
    """Return the stage whose code asks; None where the frames do not tell, as in a task or thread of its own.

    There, a method of a stage object still tells. A chain of one stage leaves no doubt.
    """
    inner = None
    for frame in _frames():
        found = _streaming(frame, links) or _in_loop(frame, inner, links) or _method(frame, stages, links)
        if found is not None:
            return found
        inner = frame
    return stages[0] if len(stages) == 1 else None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the documented way to the stack, without its text
    while frame is not None:
        yield frame
        frame = frame.f_back


def _streaming(frame: FrameType, links: Sequence[Link]) -> Stage | None:
    """Return the stage whose stream this very frame is: also of two stages of one class the right one."""
    for link in links:
        if link.run is None and link.boundary is not None and _own_frame(link.boundary.stream) is frame:
            return link.stages[0]
    return None


def _in_loop(frame: FrameType, inner: FrameType | None, links: Sequence[Link]) -> Stage | None:
    """Return the function that one of the loops in `fused` has called; `inner` is the frame that the loop called."""
    if frame.f_code not in LOOPS:
        return None
    seen = frame.f_locals
    run = seen["run"] if "run" in seen else seen["self"]
    link = next((each for each in links if each.run is run), None)
    if link is None or link.run is None:
        return None
    if link.source is not None and inner is not None and inner.f_code is _code(link.source.thing):
        return link.source
    if frame.f_code not in AT_WORK or "function" not in seen:
        return None
    return link.stages[link.run.slots[seen["function"]].index + (link.source is not None)]


def _method(frame: FrameType, stages: Sequence[Stage], links: Sequence[Link]) -> Stage | None:
    """Return the stage whose object, or whose stream's object, is the first argument here; None if two share it."""
    code = frame.f_code
    if not code.co_argcount:
        return None
    first = frame.f_locals.get(code.co_varnames[0])
    if first is None:
        return None
    own = [stage for stage in stages if stage.thing is first]
    own += [link.stages[0] for link in links if link.boundary is not None and link.boundary.stream is first]
    return own[0] if len(own) == 1 else None


def _own_frame(stream: Any) -> FrameType | None:
    frame: FrameType | None = getattr(stream, "ag_frame", None)
    return frame


def _code(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__code__", None)
