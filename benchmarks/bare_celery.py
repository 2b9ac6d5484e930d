"""A peer of `benchmarks.machines`: bare Celery, whose worker is `celery -A benchmarks.bare_celery worker`.

`BROKER` and `RESULTS` name its servers. A task counts as done when it has ended (`acks_late`), a worker takes one
beyond those at work. On Redis a task that was not done within `visibility_timeout`, six seconds, is given to another
worker, also where the first still works on it: longer ones need a longer timeout, which is an hour where nothing is
said. It is looked for every second instead of every hundredth.
"""

from __future__ import annotations

import os
import time

from celery import Celery

from benchmarks.stages import mark

VISIBLE_AFTER_S = 6


def app_at(broker: str, results: str) -> Celery:
    """The tasks, with their messages at `broker` and their ends at `results`."""
    app = Celery("peer", broker=broker, backend=results)
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue="pipecall_benchmark",
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
    )
    if broker.startswith("redis"):
        app.conf.broker_transport_options = {
            "visibility_timeout": VISIBLE_AFTER_S,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }
    return app


app = app_at(os.environ.get("BROKER", "memory://"), os.environ.get("RESULTS", "cache+memory://"))


@app.task(name="nothing")  # type: ignore[untyped-decorator]  # Celery ships no types
def nothing() -> None:
    """Do nothing."""


@app.task(name="mark")  # type: ignore[untyped-decorator]  # as above
def mark_time(file: str) -> None:
    """Note when it was called."""
    mark(None, file)


@app.task(name="hold")  # type: ignore[untyped-decorator]  # as above
def hold(file: str) -> None:
    """Note when it was called, and go on for five minutes."""
    mark(None, file)
    time.sleep(300)
