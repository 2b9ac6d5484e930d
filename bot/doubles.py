"""Keeps an impatient second press from starting the same run twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

WINDOW_S = 10.0
"""The same wish of the same person within so many seconds is the same wish."""


@dataclass(slots=True)
class Begun:
    """A run that is being started, and (once it is known) its number and a link to its card."""

    at: float
    run_id: int | None = None
    link: str = ""

    def __str__(self) -> str:
        """Say what became of it: `already started: #812 <link>`."""
        return f"already started: #{self.run_id} {self.link}".rstrip() if self.run_id else "already being started"


class Doubles:
    """What was begun in the last seconds, by whom, of what, and with which parameters."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` tells a time in seconds that only rises."""
        self._clock = clock
        self._begun: dict[str, Begun] = {}

    def earlier(self, actor_id: str, pipeline: str, params: Mapping[str, Any]) -> Begun | None:
        """Return the same wish as it was begun before, or None: then it counts as begun now, see `begun`."""
        now = self._clock()
        self._begun = {key: each for key, each in self._begun.items() if now - each.at < WINDOW_S}
        key = _key(actor_id, pipeline, params)
        before = self._begun.get(key)
        if before is None:
            self._begun[key] = Begun(now)
        return before

    def begun(self, actor_id: str, pipeline: str, params: Mapping[str, Any], *, run_id: int, link: str = "") -> None:
        """Note which run came of a wish, and where its card is."""
        wish = self._begun.get(_key(actor_id, pipeline, params))
        if wish is not None:
            wish.run_id, wish.link = run_id, link

    def failed(self, actor_id: str, pipeline: str, params: Mapping[str, Any]) -> None:
        """Forget a wish of which nothing came, so that it can be tried again at once."""
        self._begun.pop(_key(actor_id, pipeline, params), None)


def _key(actor_id: str, pipeline: str, params: Mapping[str, Any]) -> str:
    return json.dumps([actor_id, pipeline, dict(params)], sort_keys=True, default=str)
