"""Who is told what of trouble: pure, from what stands in the store to what shall be said.

The first event of an incident is a new message that pings. Whatever follows changes that message without a sound; a
reminder comes now and then while the trouble lasts; the end turns the message green and adds one quiet line. Trouble of
several pipelines at one time shares a message. What is muted waits, and is told when the mute ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pipelines.face_definition import AlertKind, AlertsSection
from pipelines.model import Incident, Mute
from pipelines.store.tellings import Mark

BURST = 3
"""So many pipelines that get into trouble within `BURST_WINDOW`, in one channel, share a message."""
BURST_WINDOW = timedelta(seconds=60)
_BURST_KEY = "burst:"


class Tell(StrEnum):
    """What a message is for."""

    ALERT = "alert"
    CHANGE = "change"
    REMINDER = "reminder"
    RECOVERY = "recovery"
    UNMUTED = "unmuted"


@dataclass(frozen=True, slots=True)
class Telling:
    """One thing to say in a channel (`target`), under a `key` that makes it unique.

    `edits` is the key of the message that a change replaces. `mutes` are those of its pipelines that are in force, or
    have just ended. `mention` are ids of roles.
    """

    act: Tell
    target: str
    key: str
    incidents: tuple[Incident, ...] = ()
    mutes: tuple[Mute, ...] = ()
    mention: tuple[int, ...] = ()
    edits: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """What stands in the store: incidents that are open, or changed, or share a message with a changed one; mutes."""

    incidents: Sequence[Incident]
    mutes: Sequence[Mute]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to say, what is known to people then, which mutes are over, and the reminder that each message has had."""

    tellings: Sequence[Telling]
    marks: Sequence[Mark]
    lifted: Sequence[Mute]
    reminded: Mapping[str, int]


def plan(
    situation: Situation,
    section: Callable[[str], AlertsSection],
    now: datetime,
    reminded: Mapping[str, int],
) -> Plan:
    """Return what is to be said now.

    Args:
        situation: what stands in the store.
        section: the `alerts` section in force for a pipeline.
        now: the time, UTC.
        reminded: the number of the last reminder of each message, by its key, as earlier plans said.
    """
    planner = _Planner(situation, section, now, dict(reminded))
    planner.take_changes()
    planner.tell_new()
    planner.end_mutes()
    planner.tell_changes()
    planner.tell_recoveries()
    planner.remind()
    told = {each.message_key for each in planner.open.values()} | {each.key for each in planner.tellings}
    steps = {key: step for key, step in planner.reminded.items() if key in told}
    return Plan(planner.tellings, list(planner.marks.values()), list(planner.ended.values()), steps)


@dataclass(slots=True)
class _Planner:
    """A plan in the making."""

    situation: Situation
    section: Callable[[str], AlertsSection]
    now: datetime
    reminded: dict[str, int]
    tellings: list[Telling] = field(default_factory=list)
    marks: dict[int, Mark] = field(default_factory=dict)
    new: dict[str, list[Incident]] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    joined: dict[str, list[Incident]] = field(default_factory=dict)
    recovered: dict[str, list[Incident]] = field(default_factory=dict)
    in_force: dict[str, Mute] = field(init=False)
    ended: dict[str, Mute] = field(init=False)
    open: dict[str, Incident] = field(init=False)

    def __post_init__(self) -> None:
        mutes = self.situation.mutes
        self.in_force = {mute.pipeline: mute for mute in mutes if not mute.over(self.now)}
        self.ended = {mute.pipeline: mute for mute in mutes if mute.over(self.now)}
        self.open = {each.pipeline: each for each in self.situation.incidents if each.open}

    # ---------------------------------------------------------------- sorting

    def take_changes(self) -> None:
        """Sort what people do not know: into new messages, changes of a message, and what nobody shall be told."""
        for incident in self.situation.incidents:
            if incident.version > incident.told:
                self._take(incident)

    def _take(self, incident: Incident) -> None:
        target = self._target(incident.pipeline)
        if incident.message_key is not None and incident.target is not None:
            self.changed[incident.message_key] = incident.target
            self._mark(incident)
            if not incident.open:
                self._recover(incident)
        elif target is None or not self._wanted(incident) or self._passed_over(incident):
            self._mark(incident)
        elif incident.pipeline not in self.in_force:
            self.new.setdefault(target, []).append(incident)

    def _passed_over(self, incident: Incident) -> bool:
        """Say whether it ended without a word: it was not wanted before, or the report on its mute speaks of it."""
        mute = self.ended.get(incident.pipeline)
        reported = mute is not None and mute.held_back(incident.opened_at)
        return not incident.open and (incident.told > 0 or reported)

    def _recover(self, incident: Incident) -> None:
        """Plan a line on the end of trouble, unless the pipeline is in trouble again, or muted until now."""
        name = incident.pipeline
        held_back = name in self.ended and self.ended[name].suppressed > 0
        if name in self.open or name in self.in_force or held_back:
            return
        target = self._target(name)
        if target is not None and AlertKind.RECOVERY in self.section(name).on:
            self.recovered.setdefault(target, []).append(incident)

    # ---------------------------------------------------------------- saying

    def tell_new(self) -> None:
        """Tell of new trouble: one message each, or one for all where there is much of it."""
        for target, news in self.new.items():
            recent = [each for each in self.open.values() if each.target == target and self._is_recent(each)]
            if len(news) + len(recent) < BURST:
                for incident in news:
                    self._alert(target, f"incident:{incident.id}", [incident])
                continue
            key = next((each.message_key for each in recent if is_burst(each.message_key)), None)
            if key is None:
                self._alert(target, f"{_BURST_KEY}{news[0].id}", news)
                continue
            self.changed[key] = target
            self.joined[key] = news
            for incident in news:
                self._mark(incident, key, target)

    def _is_recent(self, incident: Incident) -> bool:
        return incident.message_key is not None and incident.opened_at > self.now - BURST_WINDOW

    def _alert(self, target: str, key: str, incidents: Sequence[Incident]) -> None:
        mention = self._mention(each for each in incidents if each.open)
        self._say(Tell.ALERT, target, key, incidents, mention=mention)
        for incident in incidents:
            self._mark(incident, key, target)
        self._remember(key, incidents)

    def end_mutes(self) -> None:
        """Report on mutes that are over: what was held back, and how the pipeline is now."""
        for name, mute in self.ended.items():
            incident = self.open.get(name)
            if incident is not None and incident.message_key is not None and incident.target is not None:
                self.changed.setdefault(incident.message_key, incident.target)
                self._remember(incident.message_key, [incident])
            elif incident is not None:
                continue  # a new message tells of it
            target = self._target(name)
            if target is not None and mute.suppressed:
                still = [incident] if incident is not None else []
                key = f"mute:{name}:{mute.at.isoformat()}"
                told = Telling(Tell.UNMUTED, target, key, tuple(still), (mute,), self._mention(still))
                self.tellings.append(told)

    def tell_changes(self) -> None:
        """Bring messages up to date."""
        told: dict[str, list[Incident]] = {key: [] for key in self.changed}
        for incident in self.situation.incidents:
            if incident.message_key in told:
                told[incident.message_key].append(incident)
        for key, known in told.items():
            members = [*known, *self.joined.get(key, [])]
            self._say(Tell.CHANGE, self.changed[key], f"{key}:now", members, edits=key)

    def tell_recoveries(self) -> None:
        """Say, without a sound, that trouble is over: a line each, or one for all where there are many."""
        for target, over in self.recovered.items():
            if len(over) >= BURST:
                self._say(Tell.RECOVERY, target, f"incident:{over[0].id}-{over[-1].id}:recovered", over)
                continue
            for incident in over:
                # The key of a message about this very success, so that where these are wanted too, one comes.
                self._say(Tell.RECOVERY, target, success_key(incident.closing_run_id), [incident])

    def remind(self) -> None:
        """Tell again of trouble that goes on and that nobody has taken up, at the steps that its section says."""
        together: dict[str, list[Incident]] = {}
        for incident in self.open.values():
            if incident.message_key is not None and incident.pipeline not in self.in_force:
                together.setdefault(incident.message_key, []).append(incident)
        for key, members in together.items():
            step = self._step(members)
            waiting = [each for each in members if each.acknowledged_by is None and self._wanted(each)]
            target = self._target(members[0].pipeline)
            if step <= self.reminded.get(key, 0) or not waiting or target is None:
                continue
            self.reminded[key] = step
            mention = self._mention(waiting)
            self._say(Tell.REMINDER, target, f"{key}:remind:{step}", waiting, mention=mention)

    # ---------------------------------------------------------------- parts

    def _say(
        self,
        act: Tell,
        target: str,
        key: str,
        incidents: Sequence[Incident],
        *,
        mention: tuple[int, ...] = (),
        edits: str | None = None,
    ) -> None:
        shown = self.in_force if act is Tell.CHANGE else self.ended
        mutes = tuple(shown[name] for name in dict.fromkeys(each.pipeline for each in incidents) if name in shown)
        self.tellings.append(Telling(act, target, key, tuple(incidents), mutes, mention, edits))

    def _mark(self, incident: Incident, key: str | None = None, target: str | None = None) -> None:
        self.marks[incident.id] = Mark(incident.id, incident.version, key, target)

    def _remember(self, key: str, incidents: Sequence[Incident]) -> None:
        """Take reminders that were due before this for given: people hear of it now."""
        self.reminded[key] = max(self._step(incidents), self.reminded.get(key, 0))

    def _step(self, incidents: Sequence[Incident]) -> int:
        """Return how many reminders are due by now, counted from the first of the incidents."""
        since = min(each.opened_at for each in incidents)
        return sum(since + step <= self.now for step in self.section(incidents[0].pipeline).remind)

    def _target(self, pipeline: str) -> str | None:
        channel = self.section(pipeline).channel_id
        return f"discord:{channel}" if channel is not None else None

    def _wanted(self, incident: Incident) -> bool:
        return AlertKind(incident.kind.value) in self.section(incident.pipeline).on

    def _mention(self, incidents: Iterable[Incident]) -> tuple[int, ...]:
        roles = [role for each in incidents for role in self.section(each.pipeline).mention]
        return tuple(dict.fromkeys(roles))


def success_key(run_id: int | None) -> str:
    """Return the key of the message about a run that went well."""
    return f"success:{run_id}"


def is_burst(key: str | None) -> bool:
    """Say whether a message's key is of one that tells of several pipelines."""
    return key is not None and key.startswith(_BURST_KEY)
