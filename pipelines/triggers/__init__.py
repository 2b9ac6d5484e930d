"""When a schedule is due: triggers for cron expressions, intervals, dates, times of day and minutes of the hour.

This is the front door of the package; its modules import each other, never this. Triggers are pure: what happens to
the instants they name is the timetable's business.
"""

from __future__ import annotations

from pipelines.triggers.cron_trigger import cron, daily, hourly
from pipelines.triggers.date_trigger import date
from pipelines.triggers.interval_trigger import interval
from pipelines.triggers.jitter import later, offset_of
from pipelines.triggers.trigger import Trigger
from pipelines.triggers.window import end_of, start_of, within
from pipelines.triggers.zones import check_zone, pin_zones, tzdata_version

__all__ = [
    "Trigger",
    "check_zone",
    "cron",
    "daily",
    "date",
    "end_of",
    "hourly",
    "interval",
    "later",
    "offset_of",
    "pin_zones",
    "start_of",
    "tzdata_version",
    "within",
]
