"""Browsers that signed in: a random id in a cookie here, what it stands for there. A restart signs all out."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

IDLE_S = 12 * 3600.0
"""A session that was not used for so many seconds is over."""
KEPT = 1_000
"""So many sessions are kept; beyond, the one that was used longest ago ends."""


@dataclass(slots=True)
class Session:
    """One browser: the digest of the token it signed in with, what its forms must carry, and when it was last seen."""

    digest: str
    seen: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class Sessions:
    """All sessions, by their id."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` tells seconds."""
        self._clock = clock
        self._all: OrderedDict[str, Session] = OrderedDict()

    def begin(self, digest: str) -> str:
        """Begin a session for a token, by its digest; return its id."""
        session_id = secrets.token_urlsafe(32)
        self._all[session_id] = Session(digest, self._clock())
        if len(self._all) > KEPT:
            self._all.popitem(last=False)
        return session_id

    def get(self, session_id: str) -> Session | None:
        """Return a session that goes on, and note that it was used; None where there is none."""
        session = self._all.get(session_id)
        if session is None:
            return None
        now = self._clock()
        if now - session.seen > IDLE_S:
            self.end(session_id)
            return None
        session.seen = now
        self._all.move_to_end(session_id)
        return session

    def end(self, session_id: str) -> None:
        """End a session, if there is one."""
        self._all.pop(session_id, None)
