"""Runs over REST: pages of them, one with its attempts, stages and log, cancelling, and running again."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pipelines import AlreadyAsked, InvalidTransition, RunState, Verb
from web.asking import Key, Number, Who, asked, before, engine_of, see, verbs_of
from web.values import AttemptValue, LineValue, ProgressValue, RunDetail, Runs, RunValue, StageValue

router = APIRouter(tags=["runs"])


class Why(BaseModel):
    """Why a run is cancelled, for people."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="", max_length=500)


@router.get("/runs", summary="Runs, newest first")
async def every(
    request: Request,
    who: Who,
    pipeline: Annotated[str | None, Query(max_length=200)] = None,
    state: RunState | None = None,
    schedule: Annotated[str | None, Query(max_length=200)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="Older than this run.")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Runs:
    """A page of runs; `next` leads to older ones. Those that the caller may not look at are left out."""
    found = await engine_of(request).reads.runs(
        pipeline=pipeline, state=state, schedule_id=schedule, limit=limit, before_id=before
    )
    seen = verbs_of(request).within(who.actor, Verb.VIEW, {run.pipeline for run in found})
    given = {"pipeline": pipeline, "state": state.value if state else None, "schedule": schedule, "limit": limit}
    more = {name: value for name, value in given.items() if value is not None}
    older = f"/api/runs?{urlencode({**more, 'before': found[-1].id})}" if len(found) == limit else None
    return Runs(runs=[RunValue.model_validate(run) for run in found if run.pipeline in seen], next=older)


@router.get("/runs/{number}", summary="One run")
async def one(request: Request, who: Who, number: Number) -> RunDetail:
    """A run with its attempts, the counts of its stages, and how far it is."""
    reads = engine_of(request).reads
    run = await reads.run(number)
    see(request, who, run.pipeline)
    far = None if run.state.final else await reads.progress(number)
    return RunDetail(
        run=RunValue.model_validate(run),
        attempts=[AttemptValue.model_validate(each) for each in await reads.attempts(number)],
        stages=[StageValue.model_validate(each) for each in await reads.stages(number)],
        progress=ProgressValue.model_validate(far) if far is not None else None,
    )


@router.post("/runs/{number}/cancel", summary="Cancel a run")
async def cancel(request: Request, who: Who, number: Number, why: Why | None = None, key: Key = None) -> RunValue:
    """Stops a run that waits or goes on; its chain gets 10 s to close."""
    try:
        run = await verbs_of(request).cancel(asked(who, key), number, (why or Why()).reason)
    except AlreadyAsked:
        run = await engine_of(request).reads.run(number)
    return RunValue.model_validate(run)


@router.post("/runs/{number}/retry", status_code=202, summary="Run again")
async def retry(request: Request, response: Response, who: Who, number: Number, key: Key = None) -> RunValue:
    """Queues another run of the same pipeline with the same parameters."""
    run = await engine_of(request).reads.run(number)
    try:
        made = await verbs_of(request).run(asked(who, key), run.pipeline, run.params)
    except AlreadyAsked as error:
        made, response.status_code = await before(request, error), 200
        if made.pipeline != run.pipeline:
            raise InvalidTransition(f"this Idempotency-Key made a run of '{made.pipeline}'; use another") from None
    response.headers["Location"] = f"/api/runs/{made.id}"
    return RunValue.model_validate(made)


@router.get("/runs/{number}/log", summary="The log of a run")
async def log(
    request: Request,
    who: Who,
    number: Number,
    tail: Annotated[int, Query(ge=1, le=2001, description="So many lines.")] = 500,
    after: Annotated[int | None, Query(ge=0, le=2**31 - 1, description="Only lines after this number.")] = None,
) -> list[LineValue]:
    """Lines, oldest first: the newest `tail`, or the first `tail` after a number."""
    reads = engine_of(request).reads
    see(request, who, (await reads.run(number)).pipeline, Verb.LOGS)
    lines = await reads.lines(number, tail, after)
    return [LineValue(seq=seq, at=line.at, level=line.level, source=line.source, text=line.text) for seq, line in lines]
