"""Can the schedules of a file be timed? Ids, zones, times and parameters, each mistake with its place.

What a time means is worked out in `triggers`, what a pipeline takes in `parameters`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from pipelines import parameters
from pipelines.definition import ScheduleDefinition
from pipelines.errors import BadSchedule, Problem
from pipelines.model import Params, ScheduleRow
from pipelines.triggers import Trigger, check_zone, offset_of, within
from pipelines.wording import quoted
from pipelines.yaml_values import KeyPath

Tell: TypeAlias = Callable[[KeyPath, str], None]
"""Takes the place of a mistake and what people are told of it."""
Place: TypeAlias = Callable[[KeyPath, str], Problem]
"""Makes a problem of the same, which knows its line."""
Ids: TypeAlias = dict[str, tuple[KeyPath, Place]]
"""The ids that are taken, and where they stand."""


@dataclass(frozen=True, slots=True)
class ScheduleEntry:
    """One schedule of the file, ready to be timed.

    `zone` is the one it thinks in, `params` are the pipeline's under its own, with `${NAME}` as written:
    `PipelineDefinition.resolved_params` fills them in for the run.
    """

    id: str
    pipeline: str
    definition: ScheduleDefinition
    trigger: Trigger
    zone: str
    params: Params

    @property
    def offset(self) -> timedelta:
        """How much later than due it starts, always."""
        return offset_of(self.id, self.definition.jitter)

    def row(self) -> ScheduleRow:
        """Return the schedule as the store is told of it."""
        return ScheduleRow(
            id=self.id,
            pipeline=self.pipeline,
            spec=self.definition.spec(),
            timezone=self.zone,
            words=self.trigger.words,
            params=self.params,
        )


class ScheduleChecks:
    """The checks of one loading; `entries` gathers the schedules that can be timed, `ids` what is taken by now."""

    def __init__(
        self,
        tell: Tell,
        warn: Tell,
        place: Place,
        *,
        ids: Ids | None = None,
    ) -> None:
        """`place` finds the line of a place in the file; `ids` are taken by another file."""
        self._tell = tell
        self._warn = warn
        self._place = place
        self.ids: Ids = {} if ids is None else ids
        self._triggers: dict[tuple[str, ...], Trigger] = {}
        self.entries: list[ScheduleEntry] = []

    def check(
        self, pipeline: str, params: Params, schedule: ScheduleDefinition, *, path: KeyPath, default_zone: str
    ) -> None:
        """Check a schedule and keep its entry.

        Args:
            pipeline: the pipeline's name.
            params: the pipeline's own parameters, as written.
            schedule: what the file says.
            path: its place, which ends with its number among the pipeline's schedules.
            default_zone: for a schedule that names none.
        """
        place = int(path[-1])
        schedule_id = schedule.id or (f"{pipeline}-{place + 1}" if place else pipeline)
        self._claim_id(schedule_id, path)
        merged = self._merged(params, schedule.params, (*path, "params"))
        zone = schedule.timezone or default_zone
        try:
            way: KeyPath = (*path, "timezone")
            check_zone(zone)
            way = (*path, schedule.kind)
            trigger = self._trigger(schedule, zone, schedule_id)
            way = (*path, "start")
            start = schedule.starts(zone)
            way = (*path, "end")
            trigger = within(trigger, start, schedule.ends(zone))
        except BadSchedule as error:
            self._tell(way, str(error))
            return
        for warning in trigger.warnings:
            self._warn((*path, schedule.kind), warning)
        self.entries.append(ScheduleEntry(schedule_id, pipeline, schedule, trigger, zone, merged))

    def take_over(self, entry: ScheduleEntry, path: KeyPath) -> None:
        """Keep an entry as it is, which was checked before; only its id may be taken by now."""
        self._claim_id(entry.id, path)
        self.entries.append(entry)

    def _merged(self, params: Params, own: Params, path: KeyPath) -> Params:
        """Return the parameters of its runs; a pipeline that declares none takes any that a schedule has."""
        declared, wrong = parameters.read(params)
        if wrong or not declared:
            return {**params, **own}
        problems = list(parameters.faults(params, own))
        for name, message in problems:
            self._tell((*path, name) if name in own else path, message)
        return {**params, **own} if problems else {**parameters.defaults(params), **parameters.check(params, own)}

    def _claim_id(self, schedule_id: str, path: KeyPath) -> None:
        first, place = self.ids.setdefault(schedule_id, (path, self._place))
        if (first, place) != (path, self._place):
            other = place(first, "")
            file = f" of {other.file}" if place != self._place else ""
            taken = f"the schedule id {quoted(schedule_id)} is taken by {other.path} in line {other.line}{file}"
            self._tell((*path, "id"), f"{taken}; give one of the two another 'id'")

    def _trigger(self, schedule: ScheduleDefinition, zone: str, schedule_id: str) -> Trigger:
        written = str(getattr(schedule, schedule.kind))
        # Reading a cron text takes a millisecond and many pipelines share one; 'H' stands for a slot of the id's own.
        own = schedule_id if "h" in written.casefold() else ""
        key = (schedule.kind, written, zone, own)
        if key not in self._triggers:
            self._triggers[key] = schedule.times(zone, schedule_id)
        return self._triggers[key]
