"""All routes of the REST interface, put together."""

from __future__ import annotations

from fastapi import APIRouter, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from web.access import SESSION_COOKIE
from web.api import machines, matters, pipelines, runs, schedules, service


def router() -> APIRouter:
    """Return everything under `/api`."""
    token = HTTPBearer(
        auto_error=False, scheme_name="token", description="A token that 'pipecall token create' made, or WEB_TOKEN."
    )
    session = APIKeyCookie(
        name=SESSION_COOKIE, auto_error=False, scheme_name="session", description="A browser that signed in."
    )
    whole = APIRouter(prefix="/api", dependencies=[Security(token), Security(session)])
    for each in (pipelines, runs, schedules, matters, machines, service):
        whole.include_router(each.router)
    return whole
