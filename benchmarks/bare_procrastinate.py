"""A peer of `benchmarks.machines`: bare procrastinate, in a worker process of its own.

`python -m benchmarks.bare_procrastinate URL CONCURRENCY` is such a worker. What a worker that died has left is found by
the recipe in procrastinate's manual: a periodic task that tries stalled jobs again, with a heartbeat every two seconds,
and every other second a look for who has been silent for six.
"""

from __future__ import annotations

import asyncio
import logging
import sys

from procrastinate import App, JobContext, PsycopgConnector

from benchmarks.stages import mark
from pipelines.store import conninfo

HEARTBEAT_S, STALLED_S = 2.0, 6.0


def app_at(url: str) -> App:
    """The tasks, with their jobs on the PostgreSQL at `url`."""
    app = App(connector=PsycopgConnector(kwargs=conninfo.arguments(url)))

    @app.task(name="nothing")
    async def nothing() -> None:
        """Do nothing."""

    @app.task(name="mark")
    async def mark_time(file: str) -> None:
        mark(None, file)

    @app.task(name="hold")
    async def hold(file: str) -> None:
        mark(None, file)
        await asyncio.sleep(300)

    @app.periodic(cron="* * * * * */2")
    @app.task(name="retry_stalled", queueing_lock="retry_stalled", pass_context=True)
    async def retry_stalled(_: JobContext, timestamp: int) -> None:  # noqa: ARG001 - procrastinate's periodic argument
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S):
            await app.job_manager.retry_job(job)

    return app


async def main(url: str, concurrency: int) -> None:
    """Work until it is told to stop."""
    app = app_at(url)
    async with app.open_async():
        await app.run_worker_async(
            concurrency=concurrency, update_heartbeat_interval=HEARTBEAT_S, stalled_worker_timeout=STALLED_S
        )


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("procrastinate.worker").setLevel(logging.INFO)
    logging.getLogger("procrastinate.worker").addFilter(lambda record: "Starting worker" in record.getMessage())
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
