"""The daily summary: when it is due, and what it says, as facts. A day on which nothing ended has none.

What happened is the difference between the counts of all runs now and those that were noted with the last summary, so
that a million runs cost no more than ten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pipelines.alert_facts import usual_s
from pipelines.model import Incident, Run, RunState
from pipelines.store import history, notes, troubles

NOTE = "digest"
"""Under this name it is noted when the last summary was, with the counts as they were then and those of past days."""
COUNTED = ("succeeded", "failed", "skipped", "missed")

DAYS = 14
"""So many past days are shown."""
SAMPLE = 2000
"""So many of the newest successes are looked at for slow ones."""
LISTED = 10
SLOW = 1.5
"""A run is slow that took so many times the usual."""
SLOW_S = 1.0
"""… and at least so many seconds more."""
FLAKY = timedelta(days=7)
FLAKY_TIMES = 2


def last_due(now: datetime, at: str, zone: ZoneInfo) -> datetime:
    """Return the newest instant at or before `now` when a summary was due; `at` is a time of day such as `08:00`."""
    wall = time.fromisoformat(at)
    today = now.astimezone(zone).date()
    due = datetime.combine(today, wall, zone)
    if due > now:
        due = datetime.combine(today - timedelta(days=1), wall, zone)
    return due.astimezone(now.tzinfo)


def noted(conn: Connection) -> dict[str, Any] | None:
    """Return what was noted with the last summary."""
    found = notes.get(conn, NOTE)
    return found if isinstance(found, dict) else None


def totals(conn: Connection) -> dict[str, int]:
    """Return how many runs there ever were, by outcome."""
    found: Counter[str] = Counter()
    for stats in history.stats(conn):
        found.update({name: getattr(stats, name) for name in COUNTED})
    return {name: found[name] for name in COUNTED}


def note(now: datetime, counts: Mapping[str, int], days: Iterable[Any] = ()) -> notes.Note:
    """Return what to note with a summary, or (without days) at the very beginning."""
    return notes.Note(NOTE, {"at": now.isoformat(), "totals": dict(counts), "days": list(days)[-DAYS:]}, now)


def since(last: Mapping[str, Any]) -> datetime:
    """Return when the last summary was."""
    return datetime.fromisoformat(last["at"])


def happened(last: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, int]:
    """Return how many runs ended since the last summary, by outcome."""
    return {name: max(0, counts[name] - last["totals"].get(name, 0)) for name in COUNTED}


def facts(conn: Connection, last: Mapping[str, Any], counts: Mapping[str, int], now: datetime) -> dict[str, Any]:
    """Return what the summary says; `next` is left to who knows what is due."""
    ended = happened(last, counts)
    standing = troubles.standing(conn)
    return {
        "since": last["at"],
        "until": now.isoformat(),
        "counts": ended,
        "days": [*last.get("days", ()), [ended["succeeded"], ended["failed"]]][-DAYS:],
        "failing": [_trouble(each) for each in standing[:LISTED]],
        "failing_total": len(standing),
        "slow": _slow(conn, since(last)),
        "flaky": _flaky(troubles.opened_since(conn, now - FLAKY)),
    }


def _trouble(incident: Incident) -> dict[str, Any]:
    return {
        "pipeline": incident.pipeline,
        "kind": incident.kind.value,
        "count": incident.count,
        "since": incident.opened_at.isoformat(),
    }


def _slow(conn: Connection, after: datetime) -> list[dict[str, Any]]:
    """Return up to three runs that took much longer than usual, the worst first."""
    longest: dict[str, Run] = {}
    for run in history.runs(conn, state=RunState.SUCCEEDED, limit=SAMPLE):
        if run.ended_at is not None and run.ended_at > after and _took_s(run) > _took_s(longest.get(run.pipeline)):
            longest[run.pipeline] = run
    candidates = sorted(longest.values(), key=_took_s, reverse=True)[: 2 * LISTED]
    found: list[dict[str, Any]] = []
    for run in candidates:
        usual = usual_s(conn, run.pipeline) or 0.0
        if _took_s(run) >= max(SLOW * usual, usual + SLOW_S):
            found.append({"pipeline": run.pipeline, "run": run.id, "duration_s": _took_s(run), "usual_s": usual})
    return sorted(found, key=_ratio, reverse=True)[:3]


def _ratio(slow: Mapping[str, Any]) -> float:
    return float(slow["duration_s"]) / max(float(slow["usual_s"]), 0.001)


def _took_s(run: Run | None) -> float:
    return run.duration.total_seconds() if run is not None and run.duration else 0.0


def _flaky(incidents: Iterable[Incident]) -> list[dict[str, Any]]:
    """Return the pipelines that failed and recovered again and again, most often first."""
    times = Counter(each.pipeline for each in incidents if not each.open)
    return [{"pipeline": name, "times": count} for name, count in times.most_common(3) if count >= FLAKY_TIMES]
