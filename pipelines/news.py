"""What became of runs, told to all parts that want to know: each state of a run once, and none after a newer one.

A run may be executed by this process or by another, of which a signal brings the news: late, twice, or of an end
without its start, as only the newest state is read then. Whoever watches sees no difference but the skipped states.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from pipelines.model import Run, RunState

REMEMBERED = 20_000
"""Of so many runs it is remembered what was told last; of those before, news may be told a second time."""

_STAND = {RunState.RUNNING: 0, RunState.WAITING_RETRY: 1, RunState.QUEUED: 2}
"""The order of the states that a run can have with one number of attempts; a final one comes after them."""


class News:
    """Those who watch runs."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        """Begin with nobody who watches, and nothing told."""
        self._watchers: list[Callable[[Run], None]] = []
        self._told: OrderedDict[int, tuple[int, int]] = OrderedDict()  # a dict's first key is slow to find
        self._remembered = remembered

    def watch(self, callback: Callable[[Run], None]) -> None:
        """Have `callback` called with each run as it is queued, starts, waits for an attempt, and ends.

        It is called in the event loop: it must be quick and must not raise. Each state comes once and never after a
        newer one, but news of a run that another process executes may come late, and states may be left out: an end
        without its start, or a start without its queueing. What is to happen once for a run, however many processes
        watch it, must not hang on this.
        """
        self._watchers.append(callback)

    def tell(self, run: Run) -> None:
        """Tell how a run stands now, unless that is known already, or something newer."""
        now = (run.attempt, _STAND.get(run.state, len(_STAND)))
        if now <= self._told.get(run.id, (-1, 0)):
            return
        self._told[run.id] = now
        if len(self._told) > self._remembered:
            self._told.popitem(last=False)
        for watcher in self._watchers:
            watcher(run)
