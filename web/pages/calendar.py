"""`/calendar`: what is due in the coming week."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from pipelines import JobView, ScheduleState, Verb
from web.access import Caller, caller
from web.pages.frame import engine_of, page, verbs_of, zone_of
from web.week import Timed, week

router = APIRouter()

_NEVER = datetime.max.replace(tzinfo=UTC)


@router.get("/calendar")
async def calendar(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Show seven days."""
    engine = engine_of(request)
    entries = engine.jobs.entries
    jobs = [job for job in engine.overview.jobs() if job.row.id in entries and job.row.state is ScheduleState.ACTIVE]
    names = verbs_of(request).within(who.actor, Verb.VIEW, {job.row.pipeline for job in jobs})
    jobs = sorted((job for job in jobs if job.row.pipeline in names), key=_soonest)
    entered = ((job.row, entries.get(job.row.id)) for job in jobs)  # one by one: others have their turn between
    timed = (Timed(row.pipeline, row.words, each.trigger, each.offset) for row, each in entered if each is not None)
    return page(request, "calendar.html", who, week=await week(timed, engine.clock(), zone_of(engine)))


def _soonest(job: JobView) -> datetime:
    return job.row.next_due_at or _NEVER
