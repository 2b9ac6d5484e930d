"""The set of pipelines in force, by name: what may run, what is due when. Replaced as a whole or not at all.

A file that was refused never comes here, so that the last good set stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.definition import PipelineDefinition, SchedulerSection
from pipelines.errors import InvalidTransition, UnknownName
from pipelines.loader import Loaded, ScheduleEntry

__all__ = ["Catalog", "ScheduleEntry"]


class Catalog:
    """The current valid set. Reading it from any thread is safe while it is replaced: each call sees one set.

    `version` grows with each change.
    """

    def __init__(self, loaded: Loaded) -> None:
        """Start with a loaded file."""
        self._loaded = loaded
        self.version = 0
        self._own: dict[str, PipelineDefinition] = {}
        self._all = dict(loaded.file.pipelines)

    @property
    def loaded(self) -> Loaded:
        """The file in force, with its digest and its secrets."""
        return self._loaded

    @property
    def options(self) -> SchedulerSection:
        """What holds for all pipelines."""
        return self._loaded.file.scheduler

    @property
    def pipelines(self) -> Mapping[str, PipelineDefinition]:
        """All pipelines by name, the disabled ones too: those of the file, then those that the program itself added."""
        return MappingProxyType(self._all)

    def get(self, name: str) -> PipelineDefinition:
        """Return the pipeline of this name.

        Raises:
            UnknownName: there is none; the error knows the nearest.
        """
        pipelines = self._all
        if name not in pipelines:
            raise UnknownName("pipeline", name, pipelines)
        return pipelines[name]

    def enabled(self) -> list[PipelineDefinition]:
        """Return the pipelines that are not switched off, in the order of the file."""
        return [each for each in self._all.values() if each.enabled]

    def schedules(self) -> list[ScheduleEntry]:
        """Return the schedules of the enabled pipelines, in the order of the file."""
        loaded = self._loaded
        return [entry for entry in loaded.schedules if loaded.file.pipelines[entry.pipeline].enabled]

    def alerts_target(self, pipeline: str) -> str | None:
        """Return where people are told of trouble with a pipeline, as the target of a message; None: nowhere."""
        base, definition = self._loaded.file.alerts, self._all.get(pipeline)
        own = definition.alerts if definition is not None else None
        channel = (own.over(base) if own is not None else base).channel_id
        return f"discord:{channel}" if channel is not None else None

    def unscheduled(self) -> list[PipelineDefinition]:
        """Return the file's enabled pipelines that no schedule or job names, be it switched off: they run at start."""
        loaded = self._loaded
        scheduled = {entry.pipeline for entry in loaded.schedules} | loaded.timed
        return [each for name, each in loaded.file.pipelines.items() if each.enabled and name not in scheduled]

    def add(self, definition: PipelineDefinition) -> None:
        """Put a pipeline beside those of the file, or in the place of one that was added under its name before.

        Raises:
            InvalidTransition: the file has one of that name.
        """
        name = definition.name
        if name in self._loaded.file.pipelines:
            raise InvalidTransition(f"the pipelines file has a pipeline '{name}' already; give this one another name")
        self._own[name] = definition
        self._put_together()

    def discard(self, name: str) -> None:
        """Take away a pipeline that was added; one that is not there is fine."""
        if self._own.pop(name, None) is not None:
            self._put_together()

    def replace(self, loaded: Loaded) -> Loaded:
        """Put another valid set in force; return the one that was. What was added stays; the file's own names win."""
        before, self._loaded = self._loaded, loaded
        self._put_together()
        return before

    def _put_together(self) -> None:
        self._all = {
            **self._loaded.file.pipelines,
            **{k: v for k, v in self._own.items() if k not in self._loaded.file.pipelines},
        }
        self.version += 1
