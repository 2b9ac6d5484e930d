"""Turns what happens in the engine into events for those who listen: runs, and pipelines files that are taken up."""

from __future__ import annotations

from pipelines import Engine, Run
from web.events import Event, Events
from web.values import RunValue


class Changes:
    """Follows one engine."""

    def __init__(self, engine: Engine, events: Events) -> None:
        """Tell `events` what happens in `engine`, once `watch` is called."""
        self._engine, self._events = engine, events

    def watch(self) -> None:
        """Begin."""
        self._engine.watch(self._run)
        self._engine.reload.watch(self._reload)

    def _run(self, run: Run) -> None:
        if self._events.listening:
            self._events.tell(Event("run", RunValue.model_validate(run).model_dump(mode="json"), run.pipeline))

    def _reload(self, change: object) -> None:
        refused = isinstance(change, Exception)
        self._events.tell(Event("reload", {"ok": not refused, "text": str(change)}))
