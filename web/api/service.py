"""The service itself over REST: is it well, what is in force, taking up the file again, and events as they happen."""

from __future__ import annotations

import os
import socket

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pipelines import AuditEntry, Engine, RunState, Status, StoreError, Verb
from web.access import access_of
from web.asking import Change, Who, engine_of, see, verbs_of
from web.events import Event, Events
from web.refusals import Refused, SignInNeeded
from web.release import program_version
from web.service_values import HealthValue, Reloaded, ReloadValue, SchedulerValue

router = APIRouter(tags=["service"])


@router.get(
    "/scheduler/health",
    summary="Is the service well?",
    response_model=HealthValue,
    responses={503: {"model": HealthValue, "description": "It is down."}},
)
async def health(request: Request) -> Response:
    """200: ok or degraded; 503: down. Without a token it says no more than that; with one, readings and complaints."""
    found = await engine_of(request).health()
    try:
        await access_of(request).caller(request)
        told = dict(found.as_json())
    except (SignInNeeded, StoreError):
        told = {"status": found.status.value}
    return JSONResponse(told, 503 if found.status is Status.DOWN else 200)


@router.get("/scheduler", summary="What is in force")
async def scheduler(request: Request, who: Who) -> SchedulerValue:
    """Which service answers, how much there is of everything, and whether the newest pipelines file is in force."""
    see(request, who, None)
    engine = engine_of(request)
    told, mine = await engine.serving(), (os.getpid(), socket.gethostname())
    machines = await engine.reads.machines()
    return SchedulerValue(
        version=program_version(),
        pid=os.getpid(),
        host=socket.gethostname(),
        since=told.since if told is not None and mine == (told.pid, told.host) else None,
        web=engine.web_address,
        timezone=engine.catalog.options.timezone,
        pipelines=len(engine.catalog.pipelines),
        schedules=len(engine.jobs.rows),
        slots=machines.places if machines.many else engine.catalog.options.max_parallel_jobs,
        running=engine.overview.counts()[RunState.RUNNING],
        reload=_reload(engine),
    )


def _reload(engine: Engine) -> ReloadValue:
    last = engine.reload.last
    return ReloadValue(
        problem=engine.reload.problem,
        last=str(last) if last is not None else None,
        last_at=last.at if last is not None else None,
    )


@router.post("/scheduler/reload", summary="Take up the pipelines file", responses={422: {}})
async def reload(wanted: Change) -> Reloaded:
    """Reads the pipelines file and plugins again; a wrong one is refused, and what was in force stays. For admins."""

    async def again(_: AuditEntry) -> None:
        """Tell no change: it is in force already."""

    change = await wanted.once(lambda: wanted.verbs.reload(wanted.asked), again)
    return Reloaded(change=str(change) if change is not None else None)


@router.get(
    "/events",
    summary="Events as they happen",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A stream that ends when the service stops, the caller may not listen any more or is slow.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def events(request: Request, who: Who) -> Response:
    """Server-Sent Events: `run`, `job` and `reload`, of what the caller may look at.

    Nothing is kept for those who come back: `Last-Event-ID` is not looked at; after a break, ask for what there is.
    """
    see(request, who, None)
    stream: Events = request.app.state.events
    verbs, access = verbs_of(request), access_of(request)
    if stream.full:
        raise StoreError("too many listen to events already; close some")

    def wants(event: Event) -> bool:
        return event.pipeline is None or verbs.may(who.actor, Verb.VIEW, event.pipeline).allowed

    async def allowed() -> bool:
        try:
            await access.caller(request)
        except (Refused, StoreError):
            return False
        return True

    return StreamingResponse(stream.listen(wants, allowed), media_type="text/event-stream")
