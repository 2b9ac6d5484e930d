"""What people may ask of the program, one method per verb, the same for every door.

Each asks the policy, then makes the change with its audit row in one transaction. A denied request is recorded as well,
before it is refused. A request that arrives twice takes effect once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines import parameters
from pipelines.errors import AlreadyAsked, Denied, InvalidTransition, UnknownName
from pipelines.model import (
    Actor,
    Asked,
    AuditEntry,
    MakeUp,
    NewRun,
    Question,
    Run,
    ScheduleRow,
    StartedBy,
    Verb,
)
from pipelines.policy import Decision, Policy
from pipelines.store import audit, incidents, outbox, questions, runs
from pipelines.store.audit import Audited, Repeated
from pipelines.timetable import Scheduled, new_run

if TYPE_CHECKING:
    from pipelines.engine import Engine

CHAT = "chat"
"""The source of jobs that somebody made in chat; other doors name themselves."""


class Verbs:
    """The verbs over one scheduler. All raise `Denied` for those who may not, once that is recorded."""

    def __init__(self, scheduler: Engine) -> None:
        """Act through `scheduler`."""
        self._scheduler = scheduler
        self._loaded: Any = None
        self._in_force: Policy | None = None

    @property
    def policy(self) -> Policy:
        """The policy of the pipelines file in force."""
        loaded = self._scheduler.catalog.loaded
        if self._in_force is None or self._loaded is not loaded:
            own = {name: each.policy for name, each in loaded.file.pipelines.items() if each.policy is not None}
            self._in_force, self._loaded = Policy(loaded.file.policy, own), loaded
        return self._in_force

    def may(self, actor: Actor, verb: Verb, pipeline: str | None = None, owner: str | None = None) -> Decision:
        """Say whether somebody may do something; nothing is recorded."""
        return self.policy.decide(actor, verb, pipeline, owner=owner)

    def within(self, actor: Actor, verb: Verb, pipelines: Iterable[str]) -> set[str]:
        """Return those pipelines to which somebody may do something; to ask `may` of thousands would take long."""
        return self.policy.within(actor, verb, pipelines)

    async def deny(self, asked: Asked, verb: Verb, target: str | None, missing: str) -> None:
        """Record that a request was denied, for a reason that the policy does not know of; it may come once more."""
        again = dataclasses.replace(asked, request_id=None)
        entry = self._entry(again, verb, target, allowed=False, missing=missing)
        await self._scheduler.writer.call(audit.record, entry)

    # ------------------------------------------------------------ runs

    async def run(self, asked: Asked, pipeline: str, params: Mapping[str, Any] | None = None) -> Run:
        """Queue a run of a pipeline; `params` may be text, as it was typed.

        Raises:
            UnknownName: there is no such pipeline.
            BadParameter: parameters are missing or wrong; all of them are told.
            AlreadyAsked: this very request queued a run before.
        """
        definition = self._scheduler.catalog.get(pipeline)
        await self._allow(asked, Verb.RUN, pipeline, target=pipeline)
        given = parameters.check_for(definition, params or {})
        new = definition.new_run(given, asked.actor.name, StartedBy.MANUAL)
        entry = self._entry(asked, Verb.RUN, pipeline, detail={"params": given})
        run: Run = await self._write(entry)(runs.insert_runs, new)
        self._scheduler.queued([run])
        return run

    async def cancel(self, asked: Asked, run_id: int, reason: str = "") -> Run:
        """Cancel a run that is queued, running or waiting for its next attempt; return it as it then stands.

        Raises:
            UnknownName: there is no such run.
            InvalidTransition: it is over already.
        """
        run = await self._scheduler.reads.run(run_id)
        await self._allow(asked, Verb.CANCEL, run.pipeline, target=f"#{run_id}")
        words = f"cancelled by {asked.actor.name}" + (f": {reason}" if reason else "")
        if run.state.final:
            raise InvalidTransition(f"run #{run_id} of {run.pipeline} is {run.state}; nothing to cancel")
        entry = self._entry(asked, Verb.CANCEL, f"#{run_id}", run_id=run_id, detail={"reason": reason})
        await self._write(entry)(None, None)
        await self._scheduler.cancel(run_id, reason=words)
        return await self._scheduler.reads.run(run_id)

    async def make_up(self, asked: Asked, question_id: int, choice: MakeUp) -> questions.Decided:
        """Decide what becomes of missed runs that people were asked about; whoever is first decides.

        Raises:
            UnknownName: there is no such question, or its pipeline is gone.
            InvalidTransition: it is decided already, or runs are wanted of a job that is gone.
        """
        question = await self._scheduler.reads.question(question_id)
        await self._allow(asked, Verb.RUN, question.pipeline, target=question.schedule_id)
        if question.choice is not None:
            raise InvalidTransition(question.decision)
        now = self._scheduler.clock()
        new = None if choice is MakeUp.SKIP else self._made_up(question, asked.actor.name, now)
        entry = self._entry(asked, Verb.RUN, question.schedule_id, detail={"missed": choice, "question": question_id})
        wish = questions.Decide(question_id, choice, now, asked.actor.name, new)
        decided: questions.Decided = await self._write(entry)(questions.decide, wish)
        if not decided.first:
            raise InvalidTransition(decided.question.decision)
        self._scheduler.queued(decided.runs)
        self._scheduler.people_spoke()
        return decided

    def _made_up(self, question: Question, actor: str, now: datetime) -> NewRun:
        entry = self._scheduler.jobs.entries.get(question.schedule_id)
        if entry is None:
            raise InvalidTransition(f"job '{question.schedule_id}' is gone; its missed runs can only be skipped")
        definition = self._scheduler.catalog.get(entry.pipeline)
        return dataclasses.replace(new_run(Scheduled.of(entry, definition, last=now), now), actor=actor)

    # ------------------------------------------------------------ jobs

    async def schedule(
        self,
        asked: Asked,
        pipeline: str,
        spec: Mapping[str, Any],
        *,
        timezone: str,
        params: Mapping[str, Any] | None = None,
        name: str | None = None,
        replace: bool = False,
        since: datetime | None = None,
    ) -> ScheduleRow:
        """Make a job of a pipeline: `spec` is what the pipelines file would say, `name` its id (None: one is made).

        It is due from `since` (UTC; None: now) on. With `replace`, the job of that name which was made through the same
        door is given this time and these parameters; where they are what it has, nothing changes.

        Raises:
            UnknownName: there is no such pipeline.
            BadSchedule: the time cannot be read, never comes, or the zone is unknown.
            BadParameter: parameters are missing or wrong.
            InvalidTransition: a job has that name already.
        """
        jobs, definition = self._scheduler.jobs, self._scheduler.catalog.get(pipeline)
        await self._allow(asked, Verb.SCHEDULE, pipeline, target=pipeline)
        given = parameters.check_for(definition, params or {})
        job_id = name or jobs.free_id(pipeline)
        if not replace:
            jobs.check_free(job_id)
        entry = jobs.entry(pipeline, spec, zone=timezone, job_id=job_id, given=given)
        row = ScheduleRow(
            id=job_id,
            pipeline=pipeline,
            spec=entry.definition.spec(),
            timezone=timezone,
            words=entry.trigger.words,
            source=CHAT if asked.door == "discord" else asked.door,
            params=given,
            created_at=self._scheduler.clock(),
            last_due_at=since or self._scheduler.clock(),
            actor_id=asked.actor.id,
            actor=asked.actor.name,
        )
        detail = {"pipeline": pipeline, "spec": dict(row.spec), "timezone": timezone, "params": given}
        write = self._write(self._entry(asked, Verb.SCHEDULE, job_id, detail=detail))
        return await (jobs.put if replace else jobs.add)(row, entry, write)

    async def remove(self, asked: Asked, job_id: str) -> ScheduleRow:
        """Take a job away that somebody made; `restore` brings it back within ten minutes.

        Raises:
            UnknownName: there is no such job.
            InvalidTransition: it stands in the pipelines file.
        """
        jobs = self._scheduler.jobs
        row = jobs.get(job_id)
        await self._allow(asked, Verb.REMOVE, row.pipeline, target=job_id, owner=row.actor_id)
        return await jobs.remove(job_id, self._write(self._entry(asked, Verb.REMOVE, job_id)))

    async def restore(self, asked: Asked, job_id: str) -> ScheduleRow:
        """Bring a removed job back.

        Raises:
            UnknownName: no such job was removed.
            InvalidTransition: that was more than ten minutes ago.
        """
        jobs = self._scheduler.jobs
        row = await jobs.removed(job_id)
        await self._allow(asked, Verb.SCHEDULE, row.pipeline, target=job_id)
        return await jobs.restore(job_id, self._write(self._entry(asked, Verb.SCHEDULE, job_id, detail={"undo": True})))

    async def pause(
        self, asked: Asked, job_id: str, *, until: datetime | None = None, reason: str | None = None
    ) -> ScheduleRow:
        """Pause a job until `until` (UTC), or (None) until somebody resumes it.

        Raises:
            UnknownName: there is no such job.
        """
        jobs = self._scheduler.jobs
        row = jobs.get(job_id)
        await self._allow(asked, Verb.PAUSE, row.pipeline, target=job_id)
        reason = self._scheduler.redactor.text(reason) if reason else reason
        detail = {"until": until.isoformat() if until else None, "reason": reason}
        entry = self._entry(asked, Verb.PAUSE, job_id, detail=detail)
        return await jobs.pause(job_id, self._write(entry), until=until, reason=reason)

    async def resume(self, asked: Asked, job_id: str) -> ScheduleRow:
        """Let a paused job be due again, from now on.

        Raises:
            UnknownName: there is no such job.
            InvalidTransition: it is not paused.
        """
        jobs = self._scheduler.jobs
        row = jobs.get(job_id)
        await self._allow(asked, Verb.RESUME, row.pipeline, target=job_id)
        return await jobs.resume(job_id, self._write(self._entry(asked, Verb.RESUME, job_id)))

    # ------------------------------------------------------------ alerts and messages

    async def mute(self, asked: Asked, pipeline: str, until: datetime | None) -> None:
        """Hold back a pipeline's alerts until an instant (UTC), or (None) its next success; may raise UnknownName."""
        await self._allow(asked, Verb.MUTE, self._scheduler.catalog.get(pipeline).name, target=pipeline)
        detail = {"until": until.isoformat() if until else "success"}
        entry = self._entry(asked, Verb.MUTE, pipeline, detail=detail)
        mute = incidents.Mute(pipeline=pipeline, until=until, at=entry.at, actor=asked.actor.name)
        await self._write(entry)(incidents.mute, mute)
        self._scheduler.people_spoke()

    async def unmute(self, asked: Asked, pipeline: str) -> None:
        """Let a pipeline's alerts through again."""
        await self._allow(asked, Verb.MUTE, pipeline, target=pipeline)
        entry = self._entry(asked, Verb.MUTE, pipeline, detail={"until": None})
        await self._write(entry)(incidents.unmute, (pipeline, entry.at))
        self._scheduler.people_spoke()

    async def acknowledge(self, asked: Asked, incident_id: int) -> None:
        """Say that somebody looks after an incident.

        Raises:
            UnknownName: there is no such incident.
        """
        incident = await self._scheduler.reader.read(incidents.get, incident_id)
        if incident is None:
            raise UnknownName("incident", str(incident_id), [])
        await self._allow(asked, Verb.MUTE, incident.pipeline, target=incident.pipeline)
        entry = self._entry(asked, Verb.MUTE, incident.pipeline, detail={"acknowledged": incident_id})
        await self._write(entry)(incidents.acknowledge, (incident_id, asked.actor.name))
        self._scheduler.people_spoke()

    async def redeliver(self, asked: Asked) -> int:
        """Send all messages again that were refused for good, and at once what waits; return how many were refused."""
        await self._allow(asked, Verb.REDELIVER, None, target=None)
        queued: int = await self._write(self._entry(asked, Verb.REDELIVER, None))(outbox.redeliver, None)
        self._scheduler.people_spoke(send_again=True)
        return queued

    # ------------------------------------------------------------ how

    async def _allow(
        self, asked: Asked, verb: Verb, pipeline: str | None, *, target: str | None, owner: str | None = None
    ) -> None:
        decision = self.may(asked.actor, verb, pipeline, owner)
        if not decision.allowed:
            await self.deny(asked, verb, target, decision.missing)
            raise Denied(verb, target, decision.missing)

    def _entry(self, asked: Asked, verb: Verb, target: str | None, **more: Any) -> AuditEntry:
        more["detail"] = self._scheduler.redactor.values(more.get("detail", {}))
        return AuditEntry(asked=asked, at=self._scheduler.clock(), verb=verb, target=target, **more)

    def _write(self, entry: AuditEntry) -> Callable[[Callable[..., Any] | None, Any], Any]:
        """Return what writes a change together with `entry`; it raises AlreadyAsked where that was done before."""

        async def write(fn: Callable[..., Sequence[Any]] | None, arg: Any) -> Any:
            result = await self._scheduler.writer.call(audit.audited, Audited(entry, fn, arg))
            if isinstance(result, Repeated):
                raise AlreadyAsked(str(entry.asked.request_id), result.run_id)
            return result

        return write
