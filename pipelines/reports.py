"""A JSON report for each run that is over, where an output folder is set. Written beside and moved, so none is half."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.model import Attempt, Run, StageCount
from pipelines.store import history
from pipelines.store.writer import Reader

logger = logging.getLogger(__name__)


def report_path(folder: Path, run: Run) -> Path:
    """Return `job_report_{job_id}_{timestamp}.json` in `folder`.

    `job_id` is the schedule's id, or the pipeline's name for a run without one. The timestamp, in UTC to the
    microsecond, is the run's end; for a run that never began, many of which may end at once, the instant it was due at.
    """
    job_id = re.sub(r"[^A-Za-z0-9._-]", "_", run.schedule_id or run.pipeline)
    never_began = run.due_at if run.started_at is None else None
    at = never_began or run.ended_at or run.queued_at
    return folder / f"job_report_{job_id}_{at:%Y%m%dT%H%M%S%fZ}.json"


def render(run: Run, attempts: Sequence[Attempt], stages: Sequence[StageCount]) -> dict[str, Any]:
    """Return the report's content: the run's fields, its attempts and the counts of its last attempt's stages."""
    return {
        **_plain(asdict(run)),
        "duration_s": run.duration.total_seconds() if run.duration else None,
        "attempts": [_plain(asdict(attempt)) for attempt in attempts],
        "stages": [asdict(stage) for stage in stages],
    }


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}


def write(folder: Path, run: Run, attempts: Sequence[Attempt], stages: Sequence[StageCount]) -> Path:
    """Write the report of a run that is over and return its path; `folder` is made if missing.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = report_path(folder, run)
    if path.exists():  # two runs of one job that began in the same moment
        path = path.with_stem(f"{path.stem}_{run.id}")
    draft = path.with_suffix(f".{run.id}.tmp")
    draft.write_text(json.dumps(render(run, attempts, stages), indent=2, default=str) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


class Reporter:
    """Writes the reports of runs that end, off the event loop; `folder` None writes none."""

    def __init__(self, folder: Path | None, reader: Reader) -> None:
        """Read attempts and counts with `reader`."""
        self._folder = folder
        self._reader = reader
        self._tasks: set[asyncio.Task[None]] = set()

    def happened(self, run: Run) -> None:
        """Have the report of a run that is over written soon."""
        if self._folder is not None and run.state.final:
            task = asyncio.create_task(self._report(self._folder, run), name=f"report of run {run.id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait until all reports are written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _report(self, folder: Path, run: Run) -> None:
        attempts = await self._reader.read(history.attempts, run.id)
        stages = await self._reader.read(history.stages, run.id)
        try:
            await asyncio.to_thread(write, folder, run, attempts, stages)
        except OSError as error:
            logger.error("no report of run %d of %s in OUTPUT_DIR: %s", run.id, run.pipeline, error)
