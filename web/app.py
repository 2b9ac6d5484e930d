"""The web app of one service: what answers which path, what every request goes through, and how faults are told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from pipelines import Engine, PipecallError, Settings, Verbs
from web.access import Access
from web.api.routes import router as api
from web.docs_page import serve_docs
from web.events import Events
from web.guard import Guard
from web.hosts import Hosts
from web.metrics import serve_metrics
from web.pages import problem_page
from web.pages import router as pages
from web.problems import trouble_of
from web.refusals import Refused

STATIC = Path(__file__).parent / "static"
ABOUT = """Everything that Pipecall does, as JSON: pipelines, runs, schedules, what went wrong, and
events as they happen.

Instants are ISO 8601 in UTC; durations are seconds, in names that end in `_s`. What goes wrong is told as
`application/problem+json`.
"""


def make_app(
    engine: Engine,
    verbs: Verbs,
    access: Access,
    settings: Settings,
    *,
    events: Events | None = None,
    leaving: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """Return the app over a running engine; `leaving` says that no new requests are taken."""
    app = FastAPI(
        title="Pipecall",
        description=ABOUT,
        version="1",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.engine, app.state.verbs, app.state.access = engine, verbs, access
    app.state.settings, app.state.events = settings, events or Events()
    app.include_router(api())
    app.include_router(pages)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    serve_docs(app)
    serve_metrics(app, engine)
    for kind in (Refused, PipecallError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _told)
    app.add_middleware(Guard, hosts=Hosts(settings.web_hosts, settings.web_host), leaving=leaving, tell=tell)
    return app


async def _told(request: Request, error: Exception) -> Response:
    return tell(request, error)


def tell(request: Request, error: Exception) -> Response:
    """Return the answer that tells of an error: to programs as JSON, to people as a page or the way to sign in."""
    trouble, path = trouble_of(error), request.url.path
    if path.startswith(("/api/", "/metrics", "/static/")):
        return trouble.as_json()
    if trouble.status == 401 and path != "/login":
        return RedirectResponse(f"/login?{urlencode({'next': path})}", 303)
    return problem_page(
        request, status=trouble.status, title=trouble.title, detail=trouble.detail, headers=dict(trouble.headers)
    )
