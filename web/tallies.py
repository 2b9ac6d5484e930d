"""What is counted here as it happens, for metrics: how long runs took, how late they started; under how many names.

These begin at nothing when the service starts. How many runs ended is not among them: the store keeps that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from pipelines import Run

NAMES = 200
"""So many pipelines have series of their own: each costs about twenty, and 10,000 would be too many to keep."""
OTHERS = "(others)"
"""The label of all other pipelines together; no pipeline can be called so."""
DURATIONS_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
LAGS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)


class Names:
    """The pipelines that have series of their own. Who is in stays in, so that no counter jumps."""

    def __init__(self, most: int = NAMES) -> None:
        """Take at most `most`."""
        self._most = most
        self.known: dict[str, None] = {}

    def take(self, names: Iterable[str]) -> None:
        """Let names in, in their order, while there is room."""
        for name in names:
            if len(self.known) >= self._most:
                return
            self.known.setdefault(name)

    def label(self, name: str) -> str:
        """Return the name if it is in, else that of the others."""
        return name if name in self.known else OTHERS


class Spread:
    """How often something took how long, in seconds, by upper bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Begin with nothing; what is over the last of `bounds` is counted as well."""
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def add(self, taken_s: float) -> None:
        """Count one; a clock that was put back makes it 0."""
        taken_s = max(taken_s, 0.0)
        self._counts[bisect_left(self._bounds, taken_s)] += 1
        self.total_s += taken_s

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """How many took at most so long, for each bound and for all, as Prometheus has it."""
        bounds = (*(f"{bound:g}" for bound in self._bounds), "+Inf")
        return [(bound, float(count)) for bound, count in zip(bounds, accumulate(self._counts), strict=True)]


class Tallies:
    """Watches runs: how long each took that was executed to its end, and how late each scheduled one started."""

    def __init__(self, names: Names) -> None:
        """Count under the labels that `names` gives."""
        self._names = names
        self.durations: dict[str, Spread] = {}
        self.lag = Spread(LAGS_S)
        self._started: set[int] = set()

    def happened(self, run: Run) -> None:
        """Take note of what became of a run."""
        if run.attempt == 1 and run.due_at is not None and run.started_at is not None:
            if run.id not in self._started:  # of a run elsewhere its end may be told without its start
                self.lag.add((run.started_at - run.due_at).total_seconds())
            self._started.add(run.id)
        if run.state.final:
            self._started.discard(run.id)
        if run.state.final and run.duration is not None:
            label = self._names.label(run.pipeline)
            spread = self.durations.get(label)
            if spread is None:
                spread = self.durations[label] = Spread(DURATIONS_S)
            spread.add(run.duration.total_seconds())
