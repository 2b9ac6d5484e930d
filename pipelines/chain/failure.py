"""Words for what went wrong in a chain: the error with a short traceback that starts at the user's own line.

Which stage it was is told by `run`, which knows the frames of its stages.
"""

from __future__ import annotations

import sys
import traceback
from traceback import FrameSummary
from types import TracebackType
from typing import Any

from pipelines.errors import PipecallError, RetryLater, Skip
from pipelines.model import Outcome, RunError, RunState
from pipelines.tracebacks import frame_lines, users_frames

MAX_MESSAGE = 2_000
"""Longer messages are cut, in characters."""
MAX_LINES = 20
"""Longer tracebacks lose their middle."""
LINES_KEPT_AT_TOP = 4


def outcome_of(
    error: BaseException | None, *, stage: str | None, building: bool, trace: TracebackType | None = None
) -> dict[str, Any]:
    """Return the fields of an `Outcome` that follow from how the chain ended.

    `stage` is the failing stage's name. `building` is True when its constructor, not its work, failed. `trace` is the
    part of the error's traceback that is the failing stage's (None: all of it).
    """
    whole, error = error, _sole(error)
    if error is None:
        return {"state": RunState.SUCCEEDED}
    if isinstance(error, Skip):
        return {"state": RunState.SKIPPED, "reason": clean(str(error.reason))[:MAX_MESSAGE]}
    return {
        "state": RunState.FAILED,
        "error": run_error(error, stage, trace if error is whole else None),
        "retryable": _retryable(error, building),
        "retry_after_s": _retry_after_s(error),
    }


def failed(kind: str, message: str, *, retryable: bool = True) -> Outcome:
    """Return the outcome of an attempt that failed outside its stages."""
    return Outcome(state=RunState.FAILED, error=RunError(type=kind, message=message), retryable=retryable)


def run_error(error: BaseException, stage: str | None, trace: TracebackType | None = None) -> RunError:
    """Return type, message and short traceback of what a stage raised; `trace` as in `short_traceback`."""
    return RunError(
        type=type(error).__name__,
        message=message_of(error),
        stage=stage,
        traceback=short_traceback(error, trace),
        bases=tuple(base.__name__ for base in type(error).__mro__[1:-1]),
    )


def message_of(error: BaseException) -> str:
    """Return the text of an exception, cut to a bearable length; also of one whose text cannot be had."""
    try:
        text = clean(str(error))
    except Exception as problem:  # noqa: BLE001 - the user's `__str__` may raise anything, and there is an error to tell
        text = f"(its text could not be had: {type(problem).__name__})"
    if isinstance(error, SystemExit):
        text = f"the stage called sys.exit({text})"
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…"


def short_traceback(error: BaseException, trace: TracebackType | None = None) -> str:
    """Return the traceback from the user's own first line on, at most 20 lines, the causes each in one line.

    `trace` is the part of the traceback to show; None: all of it, or that of the cause where it shows nothing.
    """
    lines = frame_lines(users_frames(trace or error.__traceback__) or _frames_of(error.__cause__))
    if isinstance(error, SyntaxError):
        lines += [
            line.rstrip("\n") for line in traceback.TracebackException.from_exception(error).format_exception_only()
        ]
    else:
        lines.append(_one_line(error))
    lines += [f"caused by {_one_line(cause)}" for cause in _causes(error)]
    if len(lines) > MAX_LINES:
        left_out = len(lines) - MAX_LINES + 1
        lines[LINES_KEPT_AT_TOP : LINES_KEPT_AT_TOP + left_out] = [f"  … {left_out} lines left out"]
    return clean("\n".join(lines))


def clean(text: str) -> str:
    """Make text fit for any database and terminal: no NUL, no half characters."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _frames_of(error: BaseException | None) -> list[FrameSummary]:
    return users_frames(error.__traceback__) if error is not None else []


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(message_of(error).split())}".removesuffix(": ")


def _causes(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    cause = error.__cause__
    while cause is not None and cause not in causes and len(causes) < LINES_KEPT_AT_TOP:
        causes.append(cause)
        cause = cause.__cause__
    return causes


def _sole(error: BaseException | None) -> BaseException | None:
    """Unwrap a group of one exception, which is how a stage's own task group hands on a `Skip`."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _retryable(error: BaseException, building: bool) -> bool:
    if isinstance(error, RetryLater):
        return True
    if isinstance(error, ImportError | SyntaxError) or getattr(error, "retryable", True) is False:
        return False
    return not (building and isinstance(error, PipecallError | TypeError))


def _retry_after_s(error: BaseException) -> float | None:
    if not isinstance(error, RetryLater):
        return None
    try:
        after_s = float(error.after_s)
    except (TypeError, ValueError):
        return None
    return min(max(after_s, 0.0), sys.float_info.max) if after_s == after_s else None  # noqa: PLR0124 - NaN is not itself
