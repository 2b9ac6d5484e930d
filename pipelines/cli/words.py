"""Text for people about values, as pure functions: instants, how long ago, states, errors.

Instants are on the clock of the machine, with its offset from UTC, unless a time zone is given.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.text import Text

from pipelines.model import Run, RunState, ScheduleRow, ScheduleState
from pipelines.terminal import STYLES, span

_TENTHS = timedelta(seconds=10)


def instant(at: datetime | None, zone: str | None = None) -> str:
    """Return `2026-11-21 16:40:12 +01:00`; nothing for None. `zone` None is that of the machine."""
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(zone) if zone else None)
    offset = local.isoformat()[-6:]
    return f"{local:%Y-%m-%d %H:%M:%S} {offset}"


def day(at: datetime, zone: str | None = None) -> str:
    """Return an instant with its weekday in front."""
    return f"{at.astimezone(ZoneInfo(zone) if zone else None):%a} {instant(at, zone)}"


def lasting(duration: timedelta | None) -> str:
    """Return a duration: tenths of seconds below ten seconds; nothing for None, and 0.0 s where clocks differ."""
    if duration is None:
        return ""
    duration = max(duration, timedelta(0))
    return f"{duration.total_seconds():.1f} s" if duration < _TENTHS else span(duration)


def off(at: datetime, now: datetime) -> str:
    """Return `in 2 h 5 min` or `3 min 2 s ago`."""
    return f"in {span(at - now)}" if at >= now else f"{span(now - at)} ago"


def state(of: RunState) -> Text:
    """Return the state of a run in its colour."""
    return Text(str(of).replace("_", " "), style=STYLES.get(of, "cyan" if of is RunState.RUNNING else ""))


def why(run: Run) -> str:
    """Return why a run ended as it did; nothing where all is said by its state."""
    return str(run.error) if run.error else run.reason or ""


def asked_by(run: Run) -> str:
    """Return who or what asked for a run: a person, a job, or the start of the service."""
    return run.actor or run.schedule_id or str(run.started_by)


def due(row: ScheduleRow, now: datetime) -> str:
    """Return when a job is due next, or why it is not."""
    if row.state is ScheduleState.PAUSED:
        until = f" until {instant(row.paused_until, row.timezone)}" if row.paused_until else ""
        return f"paused{until}" + (f": {row.pause_reason}" if row.pause_reason else "")
    if row.next_due_at is None:
        return "ended" if row.ended else "never"
    return f"{day(row.next_due_at, row.timezone)}, {off(row.next_due_at, now)}"


def named(run: Run) -> str:
    """Return `prices #812`."""
    return f"{run.pipeline} #{run.id}"
