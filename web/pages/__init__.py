"""The dashboard: pages for browsers, rendered here. `router` has all of them, `problem_page` tells what went wrong."""

from __future__ import annotations

from fastapi import APIRouter

from web.pages import calendar, overview, pipeline, pipelines, records, run, runs, schedules, signing
from web.pages.frame import problem_page

__all__ = ["problem_page", "router"]

router = APIRouter(include_in_schema=False)
for _part in (overview, pipelines, pipeline, runs, run, schedules, calendar, records, signing):
    router.include_router(_part.router)
