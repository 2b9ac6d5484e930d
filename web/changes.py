"""Turns what happens in the engine into events for those who listen: runs, jobs, and pipelines files taken up."""

from __future__ import annotations

from pipelines import Engine, Run, ScheduleRow
from web.events import Event, Events
from web.service_values import JobEvent, ReloadEvent
from web.values import RunValue


class Changes:
    """Follows one engine."""

    def __init__(self, engine: Engine, events: Events) -> None:
        """Tell `events` what happens in `engine`, once `watch` is called."""
        self._engine, self._events = engine, events

    def watch(self) -> None:
        """Begin."""
        self._engine.watch(self._run)
        self._engine.jobs.watch(self._job)
        self._engine.reload.watch(self._reload)

    def _run(self, run: Run) -> None:
        if self._events.listening:
            self._events.tell(
                Event("run", RunValue.of(run, self._engine.redactor).model_dump(mode="json"), run.pipeline)
            )

    def _job(self, row: ScheduleRow) -> None:
        if self._events.listening:
            told = JobEvent(
                id=row.id, pipeline=row.pipeline, state=row.state.value, gone=row.id not in self._engine.jobs.rows
            )
            self._events.tell(Event("job", told.model_dump(mode="json"), row.pipeline))

    def _reload(self, change: object) -> None:
        told = ReloadEvent(ok=not isinstance(change, Exception), text=str(change))
        self._events.tell(Event("reload", told.model_dump(mode="json")))
