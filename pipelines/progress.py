"""Writes about once a second how far live runs are, for other processes to follow; short runs cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from pipelines.runner import LiveRun
from pipelines.store import progress
from pipelines.store.progress import Progress
from pipelines.store.writer import Writer

EVERY_S = 1.0
"""So often, in seconds, it is written; a run that is over before its first time is never written."""


async def keep(writer: Writer, live: Callable[[], Mapping[int, LiveRun]], clock: Callable[[], datetime]) -> None:
    """Write how far the runs of `live` are, for ever, and forget those that are over."""
    writer.post(progress.forget_all, None)
    written: dict[int, Progress] = {}
    while True:
        await asyncio.sleep(EVERY_S)
        running = live()
        for run_id, each in running.items():
            now = Progress(run_id, each.run.attempt, clock(), each.done, each.note, each.stages)
            if _tells_more(written.get(run_id), now):
                written[run_id] = now
                writer.post(progress.put, now)
        if over := [run_id for run_id in written if run_id not in running]:
            writer.post(progress.forget, over)
            for run_id in over:
                del written[run_id]


def _tells_more(before: Progress | None, now: Progress) -> bool:
    told = (now.attempt, now.done, now.note, now.stages)
    return before is None or (before.attempt, before.done, before.note, before.stages) != told
