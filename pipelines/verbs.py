"""What people may ask of the program, one method per verb, the same for every door.

Each asks the policy, then makes the change with its audit row in one transaction; see `asking`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pipelines import parameters
from pipelines.asking import Asking
from pipelines.changes import Change
from pipelines.definition import PipelineDefinition
from pipelines.errors import InvalidTransition, UnknownName
from pipelines.model import (
    Asked,
    MakeUp,
    NewRun,
    Params,
    Question,
    Run,
    ScheduleRow,
    StartedBy,
    Verb,
)
from pipelines.scheduled import Scheduled, new_run
from pipelines.store import incidents, outbox, questions, runs
from pipelines.store.schedules import PYTHON
from pipelines.store.signals import SignalKind

CHAT = "chat"
"""The source of jobs that somebody made in chat; other doors name themselves."""


class Verbs(Asking):
    """The verbs over one engine. All raise `Denied` for those who may not, once that is recorded."""

    # ------------------------------------------------------------ runs

    async def run(self, asked: Asked, pipeline: str, params: Mapping[str, Any] | None = None) -> Run:
        """Queue a run of a pipeline; `params` may be text, as it was typed.

        Where it is a job's callable, made in Python, they go over the values of that job.

        Raises:
            UnknownName: there is no such pipeline.
            BadParameter: parameters are missing or wrong; all of them are told.
            AlreadyAsked: this very request queued a run before.
        """
        definition = self._scheduler.catalog.get(pipeline)
        await self._allow(asked, Verb.RUN, pipeline, target=pipeline)
        given = parameters.check_for(definition, {**self._of_its_job(definition), **(params or {})})
        new = definition.new_run(given, asked.actor.name, StartedBy.MANUAL)
        entry = self._entry(asked, Verb.RUN, pipeline, detail={"params": given})
        run: Run = await self._write(entry)(runs.insert_runs, new)
        self._scheduler.queued([run])
        return run

    def _of_its_job(self, definition: PipelineDefinition) -> Params:
        rows = self._scheduler.jobs.rows.values() if definition.open_params else ()
        mine = [row for row in rows if row.source == PYTHON and row.pipeline == definition.name]
        return mine[0].params if [row.id for row in mine] == [definition.name] else {}

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

    async def reload(self, asked: Asked) -> Change | None:
        """Read the pipelines file and the plugins now, in each service; return what changed, None where nothing did.

        Beside a service nothing is known of that: it is only told to.

        Raises:
            ConfigError: they are wrong; what is in force stays so.
        """
        await self._allow(asked, Verb.RELOAD, None, target=None)
        await self._write(self._entry(asked, Verb.RELOAD, None))(None, None)
        if self._scheduler.attached or self._scheduler.member.shared:
            self._scheduler.signals.tell(SignalKind.RELOAD)
        return None if self._scheduler.attached else await self._scheduler.reload.now()
