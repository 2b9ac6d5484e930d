"""Until when a run is this process's to execute. It is kept up by `leases`, and known wherever the chain runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipelines import elapsed
from pipelines.model import Outcome, RunError, RunState

NOT_BEGUN = Outcome(state=RunState.CRASHED, error=RunError(type="LeaseOver", message="its lease was over"))
"""What becomes of a run whose lease is over when its chain is about to begin: another may execute it."""


class Lease:
    """The end of a lease as its holder reckons with it: `until_s` by `elapsed.now_s`; None: it cannot be lost."""

    def __init__(self, until_s: float | None = None) -> None:
        """Begin with a lease until then."""
        self.until_s = until_s
        self._follower: Callable[[float], None] | None = None

    @property
    def over(self) -> bool:
        """True from the end on: somebody else may hold it by now."""
        return self.until_s is not None and self.until_s <= elapsed.now_s()

    def renew(self, until_s: float) -> None:
        """It is ours until then, and whoever follows it knows."""
        self.until_s = until_s
        if self._follower is not None:
            self._follower(until_s)

    @contextmanager
    def followed(self, follower: Callable[[float], None]) -> Iterator[None]:
        """Within the block `follower` is called with each later end."""
        self._follower = follower
        try:
            yield
        finally:
            self._follower = None
