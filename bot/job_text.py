"""What messages say of a job: its name, its times, why it is paused. Pure; all of it is safe in markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot import texts
from bot.safe_text import inline_cut
from pipelines import Redactor, ScheduleRow

NAME = 160
REASON = 400
PARAMS = 400


def name(text: str) -> str:
    """Return the name of a job or a pipeline."""
    return inline_cut(text, NAME)


def titled(row: ScheduleRow) -> str:
    """Return `**nightly** (prices)`: the job, and its pipeline where that is called otherwise."""
    of = f" ({name(row.pipeline)})" if row.pipeline != row.id else ""
    return f"**{name(row.id)}**{of}"


def words(row: ScheduleRow) -> str:
    """Return when it is due, in words and with its time zone: `every day at 06:30 (Europe/Stockholm)`."""
    return f"{inline_cut(row.words, 300)} ({inline_cut(row.timezone, 80)})"


def due(row: ScheduleRow) -> str:
    """Return `next run in 3 hours`, or that there is none."""
    if row.next_due_at is not None:
        return f"next run {texts.ago(row.next_due_at)}"
    return "ended" if row.ended else "it is not due again"


def pause(row: ScheduleRow) -> str:
    """Return ` until 14:00 (in 2 hours): because`, as far as it is known; to stand after `paused`."""
    until = f" until {texts.at(row.paused_until)} ({texts.ago(row.paused_until)})" if row.paused_until else ""
    return until + (f": {inline_cut(row.pause_reason, REASON)}" if row.pause_reason else "")


def given(params: Mapping[str, Any], redactor: Redactor, limit: int = PARAMS) -> str:
    """Return `region = eu, limit = 3` without secrets, in at most `limit` UTF-16 units; empty for no parameters."""
    told = ", ".join(f"{name} = {value}" for name, value in redactor.values(params).items())
    return inline_cut(redactor.text(told), limit) if told else ""


def several(count: int, what: str) -> str:
    """Return `1 job`, `1,204 jobs`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
