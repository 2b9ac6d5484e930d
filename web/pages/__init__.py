"""The dashboard: pages for browsers, rendered here. `router` has all of them, `problem_page` tells what went wrong."""

from __future__ import annotations

from fastapi import APIRouter

from web.pages import (
    calendar,
    machines,
    mutes,
    overview,
    pipeline,
    pipelines,
    questions,
    records,
    reloading,
    run,
    runs,
    schedules,
    signing,
)
from web.pages.frame import problem_page

__all__ = ["problem_page", "router"]

router = APIRouter(include_in_schema=False)
_PARTS = (
    *(overview, pipelines, pipeline, mutes, runs, run, schedules, calendar, records, machines, questions, reloading),
    signing,
)
for _part in _PARTS:
    router.include_router(_part.router)
