"""`pipecall pipelines`: what there is to run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pipelines.cli import frame, printing, records, words

if TYPE_CHECKING:
    from pipelines.overview import PipelineView


def pipelines(as_json: frame.Json = False) -> None:
    """List the pipelines of the file: how the last run ended, what goes on, and when each is due next."""
    frame.run_async(_list(as_json))


async def _list(as_json: bool) -> None:
    async with frame.attached() as desk:
        views, now = desk.engine.overview.pipelines(), desk.engine.clock()
    if as_json:
        printing.document([records.pipeline(view) for view in views])
        return
    titles = ("pipeline", "now", "last run", "next", "jobs", "description")
    printing.table(titles, [_row(view, now) for view in views], empty="the file has no pipelines")


def _row(view: PipelineView, now: datetime) -> list[printing.Cell]:
    going = [f"running {', '.join(f'#{each}' for each in view.running)}"] if view.running else []
    going += [f"{view.queued} queued"] if view.queued else []
    last = words.state(view.last.state) if view.last else None
    if last is not None and view.last is not None and view.last.ended_at is not None:
        last.append(f" {words.off(view.last.ended_at, now)}", style="default")
    due = words.off(view.next_due_at, now) if view.next_due_at else ""
    idle = "" if view.definition.enabled else "disabled"
    return [view.name, ", ".join(going) or idle, last, due, str(len(view.jobs)), view.definition.description]
