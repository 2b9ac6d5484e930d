"""What a message about trouble says, as facts: JSON that a face turns into its own words. Nothing here is markup.

Instants are ISO texts in UTC, durations seconds in keys that end in `_s`. Errors were cleaned of secrets before they
were stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection

from pipelines.model import Incident, Mute, Run, RunState
from pipelines.notifications import Situation, Tell, Telling, is_burst, success_key
from pipelines.store import history, troubles
from pipelines.store.outbox import Post

SHOWN = 25
"""So many pipelines a message names; of the others it says how many they are."""
LONGEST_ERROR = 600
WANTED = timedelta(hours=24)
"""After this nobody needs the message any more."""


@dataclass(frozen=True, slots=True)
class Details:
    """What a message about one pipeline says beyond the incident: its newest run, and how long it usually takes."""

    run: Run | None = None
    usual_s: float | None = None


def situation(conn: Connection) -> Situation:
    """Read all that decides on who is told what."""
    open_ones = troubles.standing(conn)
    changed = troubles.changed(conn)
    found = {each.id: each for each in (*open_ones, *changed)}
    if changed:
        bursts = {each.message_key for each in found.values() if each.message_key and is_burst(each.message_key)}
        if bursts:
            found |= {each.id: each for each in troubles.with_message(conn, bursts)}
    return Situation([found[each] for each in sorted(found)], troubles.muted(conn))


def details(conn: Connection, tellings: Iterable[Telling]) -> dict[int, Details]:
    """Read what messages about a single pipeline say in addition, by the incident's id."""
    single = {telling.incidents[0].id: telling.incidents[0] for telling in tellings if len(telling.incidents) == 1}
    return {each.id: _details(conn, each) for each in single.values()}


def _details(conn: Connection, incident: Incident) -> Details:
    run = history.run(conn, incident.last_run_id) if incident.last_run_id is not None else None
    return Details(run, usual_s(conn, incident.pipeline))


def usual_s(conn: Connection, pipeline: str) -> float | None:
    """Return how long a pipeline's run takes as a rule, in seconds: the median of the last 30 successes."""
    durations = history.durations(conn, pipeline, 30)
    return median(durations) if durations else None


def successes(conn: Connection, names: Iterable[str], since: datetime) -> list[Run]:
    """Return the newest runs of these pipelines that succeeded since an instant, at most 20 of each, oldest first."""
    found = (run for name in names for run in history.runs(conn, pipeline=name, state=RunState.SUCCEEDED, limit=20))
    return sorted((run for run in found if run.ended_at is not None and run.ended_at > since), key=lambda run: run.id)


def post(telling: Telling, more: Mapping[int, Details], now: datetime) -> Post:
    """Return the message that says it."""
    mutes = {mute.pipeline: mute for mute in telling.mutes} if telling.act is not Tell.UNMUTED else {}
    shown = telling.incidents[:SHOWN]
    body: dict[str, Any] = {
        "tell": telling.act.value,
        "members": [member(each, mutes.get(each.pipeline), more.get(each.id, Details())) for each in shown],
        "total": len(telling.incidents),
        "still": sum(each.open for each in telling.incidents),
        "mention": [str(role) for role in telling.mention],
    }
    if telling.edits is not None:
        body["edits"] = telling.edits
    if telling.act is Tell.UNMUTED:
        (mute,) = telling.mutes
        body |= {"pipeline": mute.pipeline, "suppressed": mute.suppressed, "muted_at": mute.at.isoformat()}
    return Post(
        target=telling.target,
        kind="alert",
        key=telling.key,
        body=body,
        at=now,
        expires_at=now + WANTED,
        replace=telling.edits is not None,
    )


def member(incident: Incident, mute: Mute | None, more: Details) -> dict[str, Any]:
    """Return the facts of one pipeline's trouble."""
    run = more.run
    error = run.error if run is not None else None
    text = f"{error.type}: {error.message}" if error is not None else incident.summary
    return {
        "incident": incident.id,
        "pipeline": incident.pipeline,
        "kind": incident.kind.value,
        "state": run.state.value if run is not None else None,
        "count": incident.count,
        "since": incident.opened_at.isoformat(),
        "summary": incident.summary[:LONGEST_ERROR],
        "started": _iso(run.started_at) if run is not None else None,
        "last": incident.last_at.isoformat(),
        "ended": _iso(incident.closed_at),
        "downtime_s": (incident.closed_at - incident.opened_at).total_seconds() if incident.closed_at else None,
        "run": incident.last_run_id,
        "first_run": incident.first_run_id,
        "closing_run": incident.closing_run_id,
        "error": text[:LONGEST_ERROR],
        "stage": error.stage if error is not None else None,
        "duration_s": _took_s(run),
        "usual_s": more.usual_s,
        "last_success": _iso(incident.last_success),
        "acknowledged_by": incident.acknowledged_by,
        **_mute(mute),
    }


def _mute(mute: Mute | None) -> dict[str, Any]:
    if mute is None:
        return {"muted_by": None, "muted_until": None, "suppressed": 0}
    return {"muted_by": mute.actor, "muted_until": _iso(mute.until), "suppressed": mute.suppressed}


def success(run: Run, target: str, usual: float | None, now: datetime) -> Post:
    """Return the message about a run that went well."""
    body = {
        "tell": "success",
        "pipeline": run.pipeline,
        "run": run.id,
        "duration_s": _took_s(run),
        "usual_s": usual,
        "items_out": run.items_out,
    }
    return Post(target, "alert", success_key(run.id), body, now, expires_at=now + WANTED)


def usual_of(conn: Connection, names: Sequence[str]) -> dict[str, float | None]:
    """Return `usual_s` of several pipelines."""
    return {name: usual_s(conn, name) for name in dict.fromkeys(names)}


def _took_s(run: Run | None) -> float | None:
    return run.duration.total_seconds() if run is not None and run.duration is not None else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
