"""Text for a terminal, as pure functions of values: the table of jobs, the summary of runs, an instant, a duration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.log import printable
from pipelines.model import Run, RunState, ScheduleRow, ScheduleState

if TYPE_CHECKING:
    from pipelines.catalog import Catalog

PIPED_WIDTH = 160
"""Columns of a table that does not go to a terminal."""

STYLES = {
    RunState.SUCCEEDED: "green",
    RunState.SKIPPED: "yellow",
    RunState.FAILED: "red",
    RunState.TIMED_OUT: "red",
    RunState.CRASHED: "red",
    RunState.CANCELLED: "yellow",
    RunState.MISSED: "yellow",
}


def jobs_table(catalog: Catalog, schedules: Sequence[ScheduleRow], now: datetime, *, first: bool = True) -> Table:
    """Return the table of jobs: name, schedule in words, time zone, next run on the clock of that zone.

    Pipelines without a schedule run when the `first` scheduler of a store starts.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("JOB", overflow="fold")
    table.add_column("SCHEDULE", overflow="fold", min_width=16)
    table.add_column("TIME ZONE", no_wrap=True)
    table.add_column("NEXT RUN", overflow="fold")
    for row in sorted(schedules, key=_soonest_first):
        table.add_row(_job(row), Text(row.words), row.timezone, _next_run(row, now))
    for definition in catalog.unscheduled():
        table.add_row(
            Text(definition.name), "once at start", "", "now" if first else "past: another scheduler was first"
        )
    return table


def _next_run(row: ScheduleRow, now: datetime) -> str:
    if row.state is ScheduleState.PAUSED:
        return "paused"
    return "ended" if row.ended else when(row.next_due_at, row.timezone, now)


def _soonest_first(row: ScheduleRow) -> tuple[bool, datetime, str]:
    return row.next_due_at is None, row.next_due_at or datetime.max.replace(tzinfo=UTC), row.id


def _job(row: ScheduleRow) -> Text:
    named = row.id.startswith(row.pipeline)
    return Text(row.id if named else f"{row.id} ({row.pipeline})")


def when(instant: datetime | None, zone: str, now: datetime) -> str:
    """Return an instant on the wall clock of `zone`, and how far off it is; `never` for None."""
    if instant is None:
        return "never"
    local = instant.astimezone(ZoneInfo(zone))
    seconds = f":{local:%S}" if local.second else ""
    year = "" if local.year == now.astimezone(ZoneInfo(zone)).year else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year} {local:%H:%M}{seconds}, in {span(instant - now)}"


def span(duration: timedelta) -> str:
    """Return a duration in its two largest units: `3 d 4 h`, `2 min 5 s`, `41 s`."""
    seconds = max(round(duration.total_seconds()), 0)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    parts: list[tuple[int, str]] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count) or "0 s"


def summary_line(run: Run) -> Text:
    """Return one line about a run that is over: name, number, state, seconds, counts, and why it went wrong."""
    seconds = run.duration.total_seconds() if run.duration else 0.0
    why = str(run.error) if run.error else run.reason
    line = Text(f"{run.pipeline} #{run.id} ")
    line.append(str(run.state), style=STYLES.get(run.state, ""))
    line.append(f" in {seconds:.2f} s, {run.items_in} in, {run.items_out} out")
    line.append(f": {printable(why)}" if why else "")
    return line


def show(*parts: Table | Text, console: Console | None = None) -> None:
    """Print tables and lines to standard output, without wrapping lines of text."""
    target = console or Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    for part in parts:
        target.print(part, soft_wrap=isinstance(part, Text))
