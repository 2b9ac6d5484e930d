"""What people see on a terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from pipelines.model import Run, RunError, RunState, ScheduleRow, ScheduleState, StartedBy
from pipelines.terminal import jobs_table, span, summary_line, when
from tests.project import Project

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (41.4, "41 s"),
        (59.7, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7384, "2 h 3 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_spans_have_two_units(seconds, expected):
    """A duration is told in its two largest units, those that are zero left out."""
    assert expected == span(timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (None, "never"),
        (datetime(2026, 3, 2, 8, 0, tzinfo=UTC), "Mon 2 Mar 09:00, in 20 h"),
        (datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC), "Sun 1 Mar 13:00:30, in 30 s"),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), "Fri 1 Jan 2027 00:00, in 305 d 11 h"),
    ],
)
def test_instants_are_told_on_the_schedules_clock(instant, expected):
    """A next run is told in the schedule's own zone, with the year only where it is another one."""
    assert expected == when(instant, "Europe/Stockholm", NOW)


def test_the_table_lists_the_soonest_first(project: Project):
    """Jobs come in the order in which they are due; paused ones and those that run at start come last.

    Only the first scheduler of a store runs those.
    """
    project.write(
        """
        pipelines:
          late: {schedule: {daily: "13:30"}, chain: [pipelines.transforms.Log]}
          off: {enabled: false, chain: [pipelines.transforms.Log]}
          start: {chain: [pipelines.transforms.Log]}
        """
    )
    late = ScheduleRow("late", "late", {}, "UTC", "every day at 13:30", next_due_at=NOW + timedelta(minutes=90))
    soon = ScheduleRow("mine", "late", {}, "UTC", "every minute", next_due_at=NOW + timedelta(seconds=60))
    idle = ScheduleRow("late-2", "late", {}, "UTC", "every hour", state=ScheduleState.PAUSED)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(jobs_table(project.catalog(), [idle, late, soon], NOW))
        console.print(jobs_table(project.catalog(), [], NOW, first=False))
    lines = [" ".join(line.split()) for line in captured.get().splitlines()]
    assert [
        "JOB SCHEDULE TIME ZONE NEXT RUN",
        "mine (late) every minute UTC Sun 1 Mar 12:01, in 1 min",
        "late every day at 13:30 UTC Sun 1 Mar 13:30, in 1 h 30 min",
        "late-2 every hour UTC paused",
        "start once at start now",
        "JOB SCHEDULE TIME ZONE NEXT RUN",
        "start once at start past: another scheduler was first",
    ] == lines


def test_a_summary_line_says_why():
    """A run that failed is told with its error, on one line."""
    run = Run(
        id=7,
        pipeline="prices",
        state=RunState.FAILED,
        started_by=StartedBy.MANUAL,
        queued_at=NOW,
        started_at=NOW,
        ended_at=NOW + timedelta(seconds=1.5),
        error=RunError("OSError", "no such host\nmore", "Save"),
        items_in=3,
    )
    assert "prices #7 failed in 1.50 s, 3 in, 0 out: Save: OSError: no such host" == summary_line(run).plain
