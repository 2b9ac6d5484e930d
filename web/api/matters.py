"""What people look after, over REST: missed runs, questions, incidents, messages, counts, and who asked for what."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from pipelines import AuditEntry, MakeUp, Question, Run, Verb
from web.asking import Before, Change, Limit, Number, Who, engine_of, see, see_audit, verbs_of
from web.listing import listing
from web.values import (
    AuditValue,
    Count,
    DecidedValue,
    IncidentValue,
    LetterValue,
    MissedValue,
    QuestionValue,
    RunValue,
    StatsValue,
)

router = APIRouter(tags=["matters"])


class Answer(BaseModel):
    """What becomes of the missed runs."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"choice": "latest"}]})
    choice: Literal["latest", "all", "skip"]


@router.get("/stats", summary="Counts of runs", response_model=list[StatsValue])
async def stats(
    request: Request,
    who: Who,
    pipeline: Annotated[str | None, Query(max_length=200, description="Only those of this pipeline.")] = None,
) -> Response:
    """Counts of each pipeline that ever ran, or of one."""
    found = await engine_of(request).reads.stats(pipeline)
    seen = verbs_of(request).within(who.actor, Verb.VIEW, [each.pipeline for each in found])
    return await listing(StatsValue.model_validate(each) for each in found if each.pipeline in seen)


@router.get("/missed", summary="Instants without a run")
async def missed(
    request: Request,
    who: Who,
    schedule: Annotated[str | None, Query(max_length=200, description="Only those of this job.")] = None,
    limit: Limit = 50,
) -> list[MissedValue]:
    """Instants at which jobs were due and did not run, latest first."""
    found = await engine_of(request).reads.ledger(schedule, limit)
    seen = verbs_of(request).within(who.actor, Verb.VIEW, {pipeline for _, pipeline in found})
    return [
        MissedValue(
            schedule_id=each.schedule_id,
            pipeline=pipeline,
            due_at=each.due_at,
            outcome=each.outcome.value,
            reason=each.reason,
        )
        for each, pipeline in found
        if pipeline in seen
    ]


@router.get("/audit", summary="Who asked for what")
async def audit(request: Request, who: Who, before: Before = None, limit: Limit = 50) -> list[AuditValue]:
    """Changes that people asked for, newest first, denied ones as well; for admins only, as it names people."""
    see_audit(request, who)
    return [_entry(each) for each in await engine_of(request).reads.audit(limit, before)]


@router.get("/incidents", summary="Trouble that goes on")
async def incidents(request: Request, who: Who, limit: Limit = 100) -> list[IncidentValue]:
    """Pipelines in trouble, the newest first; a success ends it."""
    found = await engine_of(request).reads.open_incidents(limit)
    seen = verbs_of(request).within(who.actor, Verb.VIEW, {each.pipeline for each in found})
    return [IncidentValue.model_validate(each) for each in found if each.pipeline in seen]


@router.post("/incidents/{number}/acknowledge", status_code=204, summary="Look after an incident")
async def acknowledge(change: Change, number: Number) -> None:
    """Says that the caller looks after a pipeline's trouble."""

    async def again(_: AuditEntry) -> None:
        """Say nothing."""

    await change.once(lambda: change.verbs.acknowledge(change.asked, number), again)


@router.get("/questions", summary="Questions about missed runs")
async def questions(request: Request, who: Who, limit: Limit = 100) -> list[QuestionValue]:
    """What nobody has decided yet, newest first."""
    found = await engine_of(request).reads.open_questions(limit)
    seen = verbs_of(request).within(who.actor, Verb.VIEW, {each.pipeline for each in found})
    return [QuestionValue.model_validate(each) for each in found if each.pipeline in seen]


@router.post("/questions/{number}/answer", summary="Decide about missed runs")
async def answer(change: Change, number: Number, wish: Answer) -> DecidedValue:
    """Decides what becomes of missed runs; whoever is first decides. The runs are those that make up for them."""

    async def deed() -> tuple[Question, list[Run]]:
        decided = await change.verbs.make_up(change.asked, number, MakeUp(wish.choice))
        return decided.question, list(decided.runs)

    async def again(_: AuditEntry) -> tuple[Question, list[Run]]:
        question = await change.reads.question(number)
        runs = await change.reads.runs(schedule_id=question.schedule_id, limit=500)
        return question, [run for run in runs if run.due_at in question.instants]

    question, runs = await change.once(deed, again)
    return DecidedValue(
        question=QuestionValue.model_validate(question), runs=[RunValue.of(run, change.engine.redactor) for run in runs]
    )


@router.get("/messages/undeliverable", summary="Messages that were refused")
async def undeliverable(request: Request, who: Who, limit: Limit = 100) -> list[LetterValue]:
    """Messages that were refused for good, newest first."""
    see(request, who, None)
    return [LetterValue.model_validate(each) for each in await engine_of(request).reads.undeliverable(limit)]


@router.post("/messages/redeliver", summary="Send refused messages again")
async def redeliver(change: Change) -> Count:
    """Sends all messages again that were refused for good; 0 for a request that did so before."""

    async def again(_: AuditEntry) -> int:
        return 0

    return Count(count=await change.once(lambda: change.verbs.redeliver(change.asked), again))


def _entry(entry: AuditEntry) -> AuditValue:
    return AuditValue(
        id=entry.id,
        at=entry.at,
        actor=entry.asked.actor.name,
        actor_id=entry.asked.actor.id,
        door=entry.asked.door,
        verb=entry.verb.value,
        target=entry.target,
        allowed=entry.allowed,
        missing=entry.missing,
        detail=entry.detail,
        run_id=entry.run_id,
    )
