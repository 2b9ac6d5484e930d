"""How often somebody came with a wrong token, so that guessing is slow. In memory, and bounded."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic

ALLOWED = 10
"""So many wrong tokens may come from one address…"""
WITHIN_S = 60.0
"""…in so many seconds."""
REMEMBERED = 10_000
"""So many addresses are remembered; beyond, the one that failed longest ago is forgotten. Of good tokens as well."""


class Attempts:
    """The failures of the last minute, by address.

    Who came from there with a good token before is always listened to: else one guesser would lock out everybody who
    comes through the same proxy.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` tells seconds."""
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._good: OrderedDict[tuple[str, str], None] = OrderedDict()

    def failed(self, client: str) -> None:
        """Note that somebody at an address came with a wrong token."""
        times = self._failed.setdefault(client, deque(maxlen=ALLOWED))
        times.append(self._clock())
        self._failed.move_to_end(client)
        if len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)

    def succeeded(self, client: str, digest: str) -> None:
        """Note that somebody at an address came with a good token, by its digest."""
        self._good[client, digest] = None
        self._good.move_to_end((client, digest))
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)

    def wait_s(self, client: str, digest: str) -> float:
        """Return for how many seconds that address is not listened to with that token, by its digest; 0: it is."""
        times = self._failed.get(client)
        if times is None or len(times) < ALLOWED or (client, digest) in self._good:
            return 0.0
        return max(0.0, times[0] + WITHIN_S - self._clock())
