"""Resumes jobs whose pause is over, for as long as the service goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from pipelines.errors import InvalidTransition, StoreError, UnknownName
from pipelines.jobs import Jobs
from pipelines.store.writer import Writer

logger = logging.getLogger(__name__)

LOOK_S = 30.0
"""So often, in seconds, paused jobs are looked at: the clock may have been set."""


async def keep(jobs: Jobs, writer: Writer, clock: Callable[[], datetime]) -> None:
    """Resume jobs whose pause is over, for ever."""
    while True:
        jobs.woken.clear()
        now = clock()
        for job_id in [row.id for row in jobs.rows.values() if row.paused_until and row.paused_until <= now]:
            try:
                await jobs.resume(job_id, writer.call)
                logger.info("job '%s' is active again: its pause is over", job_id)
            except (UnknownName, InvalidTransition):
                continue  # somebody removed or resumed it in this moment
            except StoreError as error:
                logger.error("job '%s' cannot be resumed yet: %s", job_id, error)
        try:
            async with asyncio.timeout(_rest_s(jobs, clock())):
                await jobs.woken.wait()
        except TimeoutError:
            continue


def _rest_s(jobs: Jobs, now: datetime) -> float:
    ends = [row.paused_until for row in jobs.rows.values() if row.paused_until]
    left = (min(ends) - now).total_seconds() if ends else LOOK_S
    return min(max(left, 0.05), LOOK_S)
