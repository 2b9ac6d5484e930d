"""Pipelines over REST: what there is, running one, and holding back its alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipelines import AlreadyAsked, InvalidTransition, PipelineView, Verb
from web.asking import Key, Name, Who, asked, before, engine_of, see, verbs_of
from web.values import PipelineValue, RunValue, ScheduleValue

router = APIRouter(tags=["pipelines"])


class Wish(BaseModel):
    """A run that is wanted: `params` go over the pipeline's own."""

    model_config = ConfigDict(extra="forbid")
    params: dict[str, Any] = Field(default_factory=dict, examples=[{"days": 7}])


class Hold(BaseModel):
    """Until when alerts are held back (None: until the next success)."""

    model_config = ConfigDict(extra="forbid")
    until: AwareDatetime | None = None


@router.get("/pipelines", summary="All pipelines")
async def every(request: Request, who: Who) -> list[PipelineValue]:
    """Pipelines that the caller may look at, in the order of the file."""
    views = engine_of(request).overview.pipelines()
    seen = verbs_of(request).within(who.actor, Verb.VIEW, [view.name for view in views])
    return [_value(view) for view in views if view.name in seen]


@router.get("/pipelines/{name}", summary="One pipeline")
async def one(request: Request, who: Who, name: Name) -> PipelineValue:
    """A pipeline: how it stands, and its jobs."""
    engine = engine_of(request)
    engine.catalog.get(name)
    see(request, who, name)
    return next(_value(view) for view in engine.overview.pipelines() if view.name == name)


@router.post("/pipelines/{name}/runs", status_code=202, summary="Run a pipeline now")
async def run(
    request: Request, response: Response, who: Who, name: Name, wish: Wish | None = None, key: Key = None
) -> RunValue:
    """Queues a run and says where to follow it. The same Idempotency-Key once more gives the same run, with 200."""
    try:
        made = await verbs_of(request).run(asked(who, key), name, (wish or Wish()).params)
    except AlreadyAsked as error:
        made, response.status_code = await before(request, error), 200
        if made.pipeline != name:
            raise InvalidTransition(f"this Idempotency-Key made a run of '{made.pipeline}'; use another") from None
    response.headers["Location"] = f"/api/runs/{made.id}"
    return RunValue.model_validate(made)


@router.post("/pipelines/{name}/mute", status_code=204, summary="Hold back alerts")
async def mute(request: Request, who: Who, name: Name, hold: Hold | None = None, key: Key = None) -> None:
    """Alerts of a pipeline are held back until an instant, or until its next success."""
    engine_of(request).catalog.get(name)
    until: datetime | None = hold.until if hold is not None else None
    await verbs_of(request).mute(asked(who, key), name, until)


@router.post("/pipelines/{name}/unmute", status_code=204, summary="Let alerts through again")
async def unmute(request: Request, who: Who, name: Name, key: Key = None) -> None:
    """Alerts of a pipeline come again."""
    engine_of(request).catalog.get(name)
    await verbs_of(request).unmute(asked(who, key), name)


def _value(view: PipelineView) -> PipelineValue:
    return PipelineValue(
        name=view.name,
        description=view.definition.description or "",
        enabled=view.definition.enabled,
        failing=view.failing,
        running=list(view.running),
        queued=view.queued,
        next_due_at=view.next_due_at,
        last=RunValue.model_validate(view.last) if view.last is not None else None,
        schedules=[ScheduleValue.model_validate(job.row) for job in view.jobs],
    )
