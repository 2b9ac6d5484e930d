"""Runs over REST: asking for one, pages of them, one with its attempts, stages and log, cancelling, running again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from pipelines import AuditEntry, Run, RunState, Verb
from web.asking import Before, Change, Limit, Name, Number, Wanted, Who, engine_of, see, verbs_of
from web.values import AttemptValue, HolderValue, LineValue, ProgressValue, RunDetail, Runs, RunValue, StageValue

router = APIRouter(tags=["runs"])


class Wish(BaseModel):
    """A run that is wanted: `params` go over the pipeline's own."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"params": {"days": 7}}, {}]})
    params: dict[str, Any] = Field(default_factory=dict)


class Why(BaseModel):
    """Why a run is cancelled, for people."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "wrong day"}, {}]})
    reason: str = Field(default="", max_length=500)


@router.post("/pipelines/{name}/runs", status_code=202, summary="Run a pipeline now")
async def run(change: Change, name: Name, wish: Wish | None = None) -> RunValue:
    """Queues a run; `Location` is where to follow it. The same Idempotency-Key once more gives the same run."""
    return await _queued(change, name, (wish or Wish()).params)


@router.get("/runs", summary="Runs, newest first")
async def every(
    request: Request,
    who: Who,
    pipeline: Annotated[str | None, Query(max_length=200, description="Only those of this pipeline.")] = None,
    state: Annotated[RunState | None, Query(description="Only those that stand so.")] = None,
    schedule: Annotated[str | None, Query(max_length=200, description="Only those of this job.")] = None,
    before: Before = None,
    limit: Limit = 50,
) -> Runs:
    """A page of runs; `next` leads to older ones, as long as there is one: a page may hold fewer than `limit`, or none.

    Those that the caller may not look at are left out.
    """
    engine = engine_of(request)
    found, cursor = await engine.reads.page(
        pipeline=pipeline, state=state, schedule_id=schedule, limit=limit, before_id=before
    )
    seen = verbs_of(request).within(who.actor, Verb.VIEW, {run.pipeline for run in found})
    given = {"pipeline": pipeline, "state": state.value if state else None, "schedule": schedule, "limit": limit}
    more = {name: value for name, value in given.items() if value is not None}
    older = f"/api/runs?{urlencode({**more, 'before': cursor})}" if cursor is not None else None
    return Runs(runs=[RunValue.of(run, engine.redactor) for run in found if run.pipeline in seen], next=older)


@router.get("/runs/{number}", summary="One run")
async def one(request: Request, who: Who, number: Number) -> RunDetail:
    """A run with its attempts, the counts of its stages, how far it is, and which process executes it."""
    engine = engine_of(request)
    reads = engine.reads
    run = await reads.run(number)
    see(request, who, run.pipeline)
    far = await reads.progress(number) if run.state is RunState.RUNNING else None
    return RunDetail(
        run=RunValue.of(run, engine.redactor),
        attempts=[AttemptValue.model_validate(each) for each in await reads.attempts(number)],
        stages=[StageValue.model_validate(each) for each in await reads.stages(number)],
        progress=ProgressValue.model_validate(far) if far is not None else None,
        holder=HolderValue.model_validate(run.holder) if run.holder is not None else None,
    )


@router.post("/runs/{number}/cancel", summary="Cancel a run")
async def cancel(change: Change, number: Number, why: Why | None = None) -> RunValue:
    """Stops a run that waits or goes on; its chain gets 10 s to close. Answers with the run as it then stands."""
    reason = (why or Why()).reason

    async def again(_: AuditEntry) -> Run:
        return await change.reads.run(number)

    run = await change.once(lambda: change.verbs.cancel(change.asked, number, reason), again)
    return RunValue.of(run, change.engine.redactor)


@router.post("/runs/{number}/retry", status_code=202, summary="Run again")
async def retry(change: Change, number: Number) -> RunValue:
    """Queues another run of the same pipeline with the same parameters; `Location` is where to follow it."""
    run = await change.reads.run(number)
    return await _queued(change, run.pipeline, run.params)


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


async def _queued(change: Wanted, pipeline: str, params: Mapping[str, Any]) -> RunValue:
    async def again(entry: AuditEntry) -> Run:
        return await change.reads.run(entry.run_id or 0)

    run = await change.once(lambda: change.verbs.run(change.asked, pipeline, params), again)
    change.response.headers["Location"] = f"/api/runs/{run.id}"
    return RunValue.of(run, change.engine.redactor)
