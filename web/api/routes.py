"""All routes of the REST interface, put together."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from web.api import matters, pipelines, runs, schedules, service
from web.asking import BEARER, FAULTS


def router() -> APIRouter:
    """Return everything under `/api`."""
    whole = APIRouter(prefix="/api", responses=FAULTS, dependencies=[Depends(BEARER)])
    for each in (pipelines, runs, schedules, matters, service):
        whole.include_router(each.router)
    return whole
