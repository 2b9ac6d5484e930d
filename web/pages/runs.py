"""`/runs`: all runs, newest first, by pipeline, state and schedule; a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import Reads, Run, RunState, Verb
from web.access import Caller, caller
from web.pages.frame import engine_of, page, verbs_of

router = APIRouter()

ON_PAGE = 50
LOOKED_AT = 1_000
"""So many runs of a schedule are looked at for those in a certain state; the rest is on the next page."""
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
    found, older = await pick(engine.reads, wanted, cursor if cursor is not None and cursor < LARGEST_ID else None)
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


async def pick(reads: Reads, wanted: Wanted, before: int | None) -> tuple[list[Run], int | None]:
    """Return a page of runs, newest first, and the id that the next page begins before (None: that was all).

    Each question is one that an index answers. No index has schedule and state both: then a bounded number of the
    schedule's runs is looked through.
    """
    state = RunState(wanted.state) if wanted.state else None
    sift = bool(wanted.schedule)
    limit = LOOKED_AT if sift and (state or wanted.pipeline) else ON_PAGE + 1
    rows = await reads.runs(
        pipeline=wanted.pipeline or None if not sift else None,
        state=state if not sift else None,
        schedule_id=wanted.schedule or None,
        before_id=before,
        limit=limit,
    )
    fitting = [row for row in rows if state in (None, row.state) and wanted.pipeline in ("", row.pipeline)]
    if len(fitting) > ON_PAGE:
        return fitting[:ON_PAGE], fitting[ON_PAGE - 1].id
    return fitting, rows[-1].id if len(rows) == limit else None
