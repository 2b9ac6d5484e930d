"""Writes about once a second how far live runs are, for other processes to follow; short runs cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from pipelines.following import progress_of
from pipelines.live_run import LiveRun
from pipelines.store import progress
from pipelines.store.progress import Progress
from pipelines.store.writer import Writer

EVERY_S = 1.0
"""So often, in seconds, it is written; a run that is over before its first time is never written."""
PRUNE_EVERY = 60
"""After so many times what processes that died have left is removed."""


async def keep(writer: Writer, live: Callable[[], Mapping[int, LiveRun]], clock: Callable[[], datetime]) -> None:
    """Write how far the runs of `live` are, for ever, and forget those that are over, those of the dead as well."""
    writer.post(progress.prune, None)
    written: dict[int, Progress] = {}
    ticks = 0
    while True:
        await asyncio.sleep(EVERY_S)
        running = live()
        for run_id, each in running.items():
            now = progress_of(each, clock())
            if _tells_more(written.get(run_id), now):
                written[run_id] = now
                writer.post(progress.put, now)
        for run_id in [run_id for run_id in written if run_id not in running]:
            writer.post(progress.forget, (run_id, written.pop(run_id).attempt))
        if ticks % PRUNE_EVERY == 0:  # the first time as well: what the dead ran may have been run to its end since
            writer.post(progress.prune, None)
        ticks += 1


def _tells_more(before: Progress | None, now: Progress) -> bool:
    told = (now.attempt, now.done, now.note, now.stages)
    return before is None or (before.attempt, before.done, before.note, before.stages) != told
