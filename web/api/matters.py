"""What people look after, over REST: missed runs, questions, incidents, messages, counts, and who asked for what."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from pipelines import AuditEntry, MakeUp, Verb
from web.asking import Key, Number, Who, asked, engine_of, see, verbs_of
from web.values import AuditValue, Count, LetterValue, MissedValue, RunValue, StatsValue

router = APIRouter(tags=["matters"])
Limit = Annotated[int, Query(ge=1, le=500)]


class Answer(BaseModel):
    """What becomes of the missed runs."""

    model_config = ConfigDict(extra="forbid")
    choice: Literal["latest", "all", "skip"]


@router.get("/stats", summary="Counts of runs")
async def stats(
    request: Request, who: Who, pipeline: Annotated[str | None, Query(max_length=200)] = None
) -> list[StatsValue]:
    """Counts of each pipeline that ever ran, or of one."""
    found = await engine_of(request).reads.stats(pipeline)
    seen = verbs_of(request).within(who.actor, Verb.VIEW, [each.pipeline for each in found])
    return [StatsValue.model_validate(each) for each in found if each.pipeline in seen]


@router.get("/missed", summary="Instants without a run")
async def missed(
    request: Request, who: Who, schedule: Annotated[str | None, Query(max_length=200)] = None, limit: Limit = 50
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
async def audit(request: Request, who: Who, limit: Limit = 50) -> list[AuditValue]:
    """Changes that people asked for, newest first, denied ones as well."""
    see(request, who, None, Verb.REDELIVER)
    return [_entry(each) for each in await engine_of(request).reads.audit(limit)]


@router.get("/messages/undeliverable", summary="Messages that were refused")
async def undeliverable(request: Request, who: Who, limit: Limit = 100) -> list[LetterValue]:
    """Messages that were refused for good, newest first."""
    see(request, who, None)
    return [LetterValue.model_validate(each) for each in await engine_of(request).reads.undeliverable(limit)]


@router.post("/messages/redeliver", summary="Send refused messages again")
async def redeliver(request: Request, who: Who, key: Key = None) -> Count:
    """Sends all messages again that were refused for good."""
    return Count(count=await verbs_of(request).redeliver(asked(who, key)))


@router.post("/incidents/{number}/acknowledge", status_code=204, summary="Look after an incident")
async def acknowledge(request: Request, who: Who, number: Number, key: Key = None) -> None:
    """Says that somebody looks after a pipeline's trouble."""
    await verbs_of(request).acknowledge(asked(who, key), number)


@router.post("/questions/{number}/answer", summary="Decide about missed runs")
async def answer(request: Request, who: Who, number: Number, wish: Answer, key: Key = None) -> list[RunValue]:
    """Decides what becomes of missed runs; whoever is first decides. Returns the runs that were made up."""
    decided = await verbs_of(request).make_up(asked(who, key), number, MakeUp(wish.choice))
    return [RunValue.model_validate(run) for run in decided.runs]


def _entry(entry: AuditEntry) -> AuditValue:
    return AuditValue(
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
