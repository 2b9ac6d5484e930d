"""How much time has passed, also while the machine or this process slept."""

from __future__ import annotations

import time

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def now_s() -> float:
    """Return seconds since some instant: those of all processes of one machine are the same.

    On Linux they go on while the machine is suspended, unlike `time.monotonic`.
    """
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()
