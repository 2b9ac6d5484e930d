"""Pipelines over REST: what there is, and holding back alerts of one. How one is run is in `runs`."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from pipelines import AuditEntry, PipelineView, Redactor, Verb
from web.asking import Change, Name, Who, engine_of, see, verbs_of
from web.listing import listing
from web.values import PipelineValue, RunValue, ScheduleValue

router = APIRouter(tags=["pipelines"])


class Hold(BaseModel):
    """Until when alerts are held back (None: until the next success)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"until": "2030-01-01T12:00:00Z"}, {}]})
    until: AwareDatetime | None = Field(default=None)


@router.get("/pipelines", summary="All pipelines", response_model=list[PipelineValue])
async def every(request: Request, who: Who) -> Response:
    """Pipelines that the caller may look at, in the order of the file."""
    engine = engine_of(request)
    views = engine.overview.pipelines()
    seen = verbs_of(request).within(who.actor, Verb.VIEW, [view.name for view in views])
    return await listing(_value(view, engine.redactor) for view in views if view.name in seen)


@router.get("/pipelines/{name}", summary="One pipeline")
async def one(request: Request, who: Who, name: Name) -> PipelineValue:
    """A pipeline: how it stands, and its jobs."""
    engine = engine_of(request)
    engine.catalog.get(name)
    see(request, who, name)
    view = engine.overview.pipeline(name)
    assert view is not None  # the catalog has it
    return _value(view, engine.redactor)


@router.post("/pipelines/{name}/mute", status_code=204, summary="Hold back alerts")
async def mute(change: Change, name: Name, hold: Hold | None = None) -> None:
    """Alerts of a pipeline are held back until an instant, or until its next success."""
    change.engine.catalog.get(name)
    until = hold.until if hold is not None else None
    await change.once(lambda: change.verbs.mute(change.asked, name, until), _done)


@router.post("/pipelines/{name}/unmute", status_code=204, summary="Let alerts through again")
async def unmute(change: Change, name: Name) -> None:
    """Alerts of a pipeline come again."""
    change.engine.catalog.get(name)
    await change.once(lambda: change.verbs.unmute(change.asked, name), _done)


async def _done(_: AuditEntry) -> None:
    """Say nothing of what was done before."""


def _value(view: PipelineView, redactor: Redactor) -> PipelineValue:
    return PipelineValue(
        name=view.name,
        description=view.definition.description or "",
        enabled=view.definition.enabled,
        failing=view.failing,
        running=list(view.running),
        queued=view.queued,
        next_due_at=view.next_due_at,
        last=RunValue.of(view.last, redactor) if view.last is not None else None,
        schedules=[ScheduleValue.of(job.row, redactor) for job in view.jobs],
    )
