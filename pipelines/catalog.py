"""The set of pipelines in force, by name: what may run, what is due when. Replaced as a whole or not at all.

A file that was refused never comes here, so that the last good set stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.definition import PipelineDefinition, SchedulerSection
from pipelines.errors import UnknownName
from pipelines.loader import Loaded, ScheduleEntry

__all__ = ["Catalog", "ScheduleEntry"]


class Catalog:
    """The current valid set. Reading it from any thread is safe while it is replaced: each call sees one set."""

    def __init__(self, loaded: Loaded) -> None:
        """Start with a loaded file."""
        self._loaded = loaded

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
        """All pipelines by name, the disabled ones too."""
        return MappingProxyType(self._loaded.file.pipelines)

    def get(self, name: str) -> PipelineDefinition:
        """Return the pipeline of this name.

        Raises:
            UnknownName: there is none; the error knows the nearest.
        """
        pipelines = self._loaded.file.pipelines
        if name not in pipelines:
            raise UnknownName("pipeline", name, pipelines)
        return pipelines[name]

    def enabled(self) -> list[PipelineDefinition]:
        """Return the pipelines that are not switched off, in the order of the file."""
        return [each for each in self._loaded.file.pipelines.values() if each.enabled]

    def schedules(self) -> list[ScheduleEntry]:
        """Return the schedules of the enabled pipelines, in the order of the file."""
        loaded = self._loaded
        return [entry for entry in loaded.schedules if loaded.file.pipelines[entry.pipeline].enabled]

    def alerts_target(self, pipeline: str) -> str | None:
        """Return where people are told of trouble with a pipeline, as the target of a message; None: nowhere."""
        base, definition = self._loaded.file.alerts, self._loaded.file.pipelines.get(pipeline)
        own = definition.alerts if definition is not None else None
        channel = (own.over(base) if own is not None else base).channel_id
        return f"discord:{channel}" if channel is not None else None

    def unscheduled(self) -> list[PipelineDefinition]:
        """Return the enabled pipelines without a schedule: they run once at start."""
        return [each for each in self.enabled() if not each.schedules]

    def replace(self, loaded: Loaded) -> Loaded:
        """Put another valid set in force; return the one that was."""
        before, self._loaded = self._loaded, loaded
        return before
