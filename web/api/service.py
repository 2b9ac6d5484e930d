"""The service itself over REST: is it well, what is in force, taking up the file again, and events as they happen."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from pipelines import Status, StoreError, Verb
from web.access import access_of
from web.asking import Who, engine_of, see, verbs_of
from web.events import Event, Events
from web.refusals import SignInNeeded
from web.values import Text

router = APIRouter(tags=["service"])


@router.get("/scheduler/health", summary="Is the service well?")
async def health(request: Request) -> dict[str, Any]:
    """200: ok or degraded; 503: down. Without a token it says no more than that; with one, readings and complaints."""
    found = await engine_of(request).health()
    try:
        await access_of(request).caller(request)
        told = dict(found.as_json())
    except (SignInNeeded, StoreError):
        told = {"status": found.status.value}
    return JSONResponse(told, 503 if found.status is Status.DOWN else 200)  # type: ignore[return-value]


@router.get("/scheduler", summary="What is in force")
async def scheduler(request: Request, who: Who) -> dict[str, Any]:
    """How many pipelines, jobs and places there are, and whether the newest pipelines file is in force."""
    see(request, who, None)
    engine = engine_of(request)
    last = engine.reload.last
    return {
        "pipelines": len(engine.catalog.pipelines),
        "schedules": len(engine.jobs.rows),
        "slots": engine.catalog.options.max_parallel_jobs,
        "running": len(engine.live),
        "reload": {"problem": engine.reload.problem, "last": str(last) if last is not None else None},
    }


@router.post("/scheduler/reload", summary="Take up the pipelines file")
async def reload(request: Request, who: Who) -> Text:
    """Reads the pipelines file and plugins again; a wrong one is refused, and what was in force stays."""
    see(request, who, None, Verb.REDELIVER)
    change = await engine_of(request).reload.now()
    return Text(change=str(change) if change is not None else None)


@router.get("/events", summary="Events as they happen", response_class=StreamingResponse)
async def events(request: Request, who: Who) -> Response:
    """Server-Sent Events: `run` and `reload`, of what the caller may look at."""
    see(request, who, None)
    stream: Events = request.app.state.events
    verbs = verbs_of(request)
    if stream.full:
        raise StoreError("too many listen to events already; close some")

    def wants(event: Event) -> bool:
        return event.pipeline is None or verbs.may(who.actor, Verb.VIEW, event.pipeline).allowed

    return StreamingResponse(stream.listen(wants), media_type="text/event-stream")
