"""`/runs`: all runs, newest first, by pipeline, state and schedule; a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import RunState, Verb
from web.access import Caller, caller
from web.pages.frame import engine_of, page, verbs_of

router = APIRouter()

ON_PAGE = 50
SUGGESTED = 500
LARGEST_ID = 2**63


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, as text; empty for what may be anything."""

    pipeline: str
    state: str
    schedule: str


@router.get("/runs")
async def runs(
    request: Request,
    who: Annotated[Caller, Depends(caller)],
    pipeline: str = "",
    state: str = "",
    schedule: str = "",
    before: str = "",
) -> Response:
    """List them."""
    engine, verbs = engine_of(request), verbs_of(request)
    known = [each.value for each in RunState]
    wanted = Wanted(pipeline.strip()[:200], state if state in known else "", schedule.strip()[:200])
    cursor = int(before) if before.isascii() and before.isdigit() and len(before) < 20 else None
    found, older = await engine.reads.page(
        pipeline=wanted.pipeline or None,
        state=RunState(wanted.state) if wanted.state else None,
        schedule_id=wanted.schedule or None,
        limit=ON_PAGE,
        before_id=cursor if cursor is not None and cursor < LARGEST_ID else None,
    )
    seen = verbs.within(who.actor, Verb.VIEW, {run.pipeline for run in found})
    names = verbs.within(who.actor, Verb.VIEW, list(engine.catalog.pipelines)[:SUGGESTED])
    return page(
        request,
        "runs.html",
        who,
        before=cursor,
        known=sorted(names),
        older=older,
        runs=[run for run in found if run.pipeline in seen],
        states=list(RunState),
        wanted=wanted,
    )
