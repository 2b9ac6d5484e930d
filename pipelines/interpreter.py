"""How Python itself is set for a process that serves: how often threads take turns, and where it looks for garbage."""

from __future__ import annotations

import gc
import sys

YOUNG_OBJECTS = 10_000
"""So many new objects make Python look for garbage, instead of 700."""

TURN_S = 0.0005
"""So long, in seconds, a busy thread may keep the event loop waiting, instead of 5 ms: the writer is one in a burst."""


def take_turns() -> None:
    """Let the event loop have its turn soon while other threads are busy."""
    sys.setswitchinterval(TURN_S)


def settle_memory() -> None:
    """Keep the garbage collector off what was loaded to stay, and let it look at the rest less often.

    The definitions of 10,000 pipelines are so many objects that each full collection held the event loop for 200 to
    450 ms, in the middle of a burst as a rule; and every 700 new objects it took a fifth of a short run's cost.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
