"""`/`: what runs, what is next, what fails, how the service is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nsmallest
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from pipelines import Engine, Mark, PipelineView, Progress, Run, RunState, StageCount, Verb
from web import pictures
from web.access import Caller, caller
from web.pages.frame import engine_of, page, started_by, verbs_of, zone_of
from web.pages.questions import still_open

router = APIRouter()

LIVE, NEXT, FAILING, RECENT = 12, 8, 6, 12
"""So many of each are shown."""
LOOKED_AT = 2_000
"""So many of the newest runs make the picture of the last day."""
HOURS = 24
_SIGNS = {"ok": "✓", "degraded": "!", "down": "✕"}
_VERDICTS = {"ok": "All is well", "degraded": "Goes on, with trouble", "down": "Of no use just now"}


@dataclass(frozen=True, slots=True)
class Going:
    """A run that waits or goes on, as it is shown; `done` is in percent."""

    id: int
    pipeline: str
    state: RunState
    began: str
    since: datetime
    again: datetime | None
    by: str
    waits: str | None
    done: int | None
    note: str
    stages: Sequence[StageCount]
    may_cancel: bool


@router.get("/")
async def overview(request: Request, who: Annotated[Caller, Depends(caller)]) -> Response:
    """Show it all on one page."""
    engine, verbs = engine_of(request), verbs_of(request)
    views = engine.overview.pipelines()
    names = verbs.within(who.actor, Verb.VIEW, (view.name for view in views))
    seen = [view for view in views if view.name in names]
    live = [run for run in engine.overview.live_runs() if run.pipeline in names]
    live.sort(key=lambda run: (run.state is RunState.QUEUED, run.id))
    failing = sorted((view for view in seen if view.failing), key=_last_id, reverse=True)
    shown = [view.last for view in failing[:FAILING]]
    recent = [run for run in engine.overview.recent_runs(RECENT * 4) if run.pipeline in names][:RECENT]
    cancel = verbs.within(who.actor, Verb.CANCEL, {run.pipeline for run in live[:LIVE]})
    marks = [mark for mark in await engine.reads.newest(LOOKED_AT) if mark.pipeline in names]
    health = await engine.health()
    far = await engine.following.of(run.id for run in live[:LIVE] if run.state is RunState.RUNNING)
    return page(
        request,
        "overview.html",
        who,
        counts={
            "running": sum(run.state is RunState.RUNNING for run in live),
            "queued": sum(run.state is not RunState.RUNNING for run in live),
        },
        failing=shown,
        failing_count=len(failing),
        health=health,
        machines=engine.reads.seen(),
        health_sign=_SIGNS[health.status.value],
        health_words=_VERDICTS[health.status.value],
        hours=pictures.columns(hours(marks, engine.clock(), zone_of(engine))),
        hours_cut=LOOKED_AT if len(marks) >= LOOKED_AT else 0,
        live=[going(engine, run, far.get(run.id), may_cancel=run.pipeline in cancel) for run in live[:LIVE]],
        live_more=max(len(live) - LIVE, 0),
        may_run=verbs.within(who.actor, Verb.RUN, {run.pipeline for run in shown if run is not None}),
        pipelines_count=f"{len(seen):,}",
        questions=await still_open(request, who),
        recent=recent,
        upcoming=upcoming(seen),
    )


def going(engine: Engine, run: Run, live: Progress | None, *, may_cancel: bool) -> Going:
    """Return how a run is shown that is not over; `live` says how far it is, where that is known."""
    done = round(live.done * 100) if live is not None and live.done is not None else None
    return Going(
        id=run.id,
        pipeline=run.pipeline,
        state=run.state,
        began="started" if run.started_at is not None else "queued",
        since=run.started_at or run.queued_at,
        again=run.not_before if run.state is RunState.WAITING_RETRY else None,
        by=started_by(run),
        waits=engine.overview.waiting_for(run),
        done=min(max(done, 0), 100) if done is not None else None,
        note=live.note if live is not None else "",
        stages=live.stages if live is not None else (),
        may_cancel=may_cancel,
    )


def upcoming(views: Sequence[PipelineView]) -> list[tuple[str, datetime, str]]:
    """Return the next schedules that are due: pipeline, instant, and in words when they are due at all."""
    rows = [job.row for view in views if view.next_due_at is not None for job in view.jobs]
    due = [(row.next_due_at, row.pipeline, row.words) for row in rows if row.next_due_at is not None]
    return [(name, at, said) for at, name, said in nsmallest(NEXT, due)]


def hours(marks: Sequence[Mark], now: datetime, zone: Any) -> list[pictures.Column]:
    """Return runs per hour of the last day, the hour that goes on last."""
    first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS - 1)
    counts = [[0, 0, 0] for _ in range(HOURS)]
    for mark in marks:
        place = int((mark.at - first).total_seconds() // 3_600)
        if 0 <= place < HOURS and mark.state.final:
            counts[place][0 if mark.state is RunState.SUCCEEDED else 1 if mark.state in pictures.BAD else 2] += 1
    names = [f"{(first + timedelta(hours=place)).astimezone(zone):%H:00}" for place in range(HOURS)]
    return [pictures.Column(name, *each) for name, each in zip(names, counts, strict=True)]


def _last_id(view: PipelineView) -> int:
    return view.last.id if view.last is not None else 0
