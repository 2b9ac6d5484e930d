"""What `--json` prints, as pure functions of values. Keys are stable: new ones may come, none changes.

Parameters whose names say that they are secrets are hidden, as they are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines.model import AuditEntry, LogLine, Occurrence, ProcessName, Run, RunError, ScheduleRow, StageCount
from pipelines.redaction import Redactor

if TYPE_CHECKING:
    from pipelines.overview import JobView, PipelineView
    from pipelines.store.progress import Progress

Record = Mapping[str, Any]


def run(of: Run) -> Record:
    """Return a run; `duration_s` is None while it is not over, `due_at` None for one that no schedule asked for."""
    return {
        "id": of.id,
        "pipeline": of.pipeline,
        "state": of.state,
        "started_by": of.started_by,
        "actor": of.actor,
        "job": of.schedule_id,
        "params": Redactor().values(of.params),
        "due_at": of.due_at,
        "queued_at": of.queued_at,
        "started_at": of.started_at,
        "ended_at": of.ended_at,
        "duration_s": of.duration,
        "attempt": of.attempt,
        "max_attempts": of.max_attempts,
        "items_in": of.items_in,
        "items_out": of.items_out,
        "reason": of.reason,
        "error": error(of.error) if of.error else None,
    }


def error(of: RunError) -> Record:
    """Return why an attempt did not succeed."""
    return {"type": of.type, "message": of.message, "stage": of.stage}


def progress(of: Progress) -> Record:
    """Return how far a run is; `done` is from 0 to 1, None where it is not known."""
    return {"at": of.at, "attempt": of.attempt, "done": of.done, "note": of.note, "stages": [*map(stage, of.stages)]}


def holder(of: ProcessName) -> Record:
    """Return the process that executes a run."""
    return {"id": of.id, "host": of.host, "pid": of.pid}


def stage(of: StageCount) -> Record:
    """Return what a stage did so far."""
    return {"name": of.name, "items_in": of.items_in, "items_out": of.items_out, "busy_s": round(of.busy_s, 3)}


def log_line(of: LogLine) -> Record:
    """Return a line of a run's log; `level` is a number of Python's logging: 20 information, 30 warning, 40 error."""
    return {"at": of.at, "level": of.level, "source": of.source, "text": of.text}


def schedule(of: ScheduleRow) -> Record:
    """Return a job without its runs."""
    return {
        "id": of.id,
        "pipeline": of.pipeline,
        "words": of.words,
        "spec": of.spec,
        "timezone": of.timezone,
        "params": Redactor().values(of.params),
        "source": of.source,
        "state": of.state,
        "next_due_at": of.next_due_at,
        "paused_until": of.paused_until,
        "pause_reason": of.pause_reason,
        "actor": of.actor,
    }


def job(of: JobView) -> Record:
    """Return a job with its last run."""
    return {**schedule(of.row), "last_run": run(of.last) if of.last else None}


def pipeline(of: PipelineView) -> Record:
    """Return a pipeline with what goes on in it."""
    return {
        "name": of.name,
        "description": of.definition.description,
        "enabled": of.definition.enabled,
        "failing": of.failing,
        "running": of.running,
        "queued": of.queued,
        "next_due_at": of.next_due_at,
        "jobs": [each.row.id for each in of.jobs],
        "last_run": run(of.last) if of.last else None,
    }


def missed(of: Occurrence, pipeline_name: str) -> Record:
    """Return an instant that did not become a run."""
    return {
        "job": of.schedule_id,
        "pipeline": pipeline_name,
        "due_at": of.due_at,
        "outcome": of.outcome,
        "reason": of.reason,
    }


def audit(of: AuditEntry) -> Record:
    """Return what somebody asked for."""
    return {
        "at": of.at,
        "actor": of.asked.actor.name,
        "actor_id": of.asked.actor.id,
        "door": of.asked.door,
        "verb": of.verb,
        "target": of.target,
        "allowed": of.allowed,
        "missing": of.missing,
        "detail": of.detail,
    }
