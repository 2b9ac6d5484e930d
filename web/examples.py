"""Examples of what the REST interface answers, as its documentation shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Example = Mapping[str, Any]

NOON = "2026-03-02T12:00:00Z"
RUN: Example = {
    "id": 42,
    "pipeline": "prices",
    "state": "succeeded",
    "started_by": "manual",
    "queued_at": NOON,
    "schedule_id": None,
    "actor": "ci",
    "params": {"days": 7},
    "due_at": None,
    "started_at": NOON,
    "ended_at": "2026-03-02T12:00:04Z",
    "attempt": 1,
    "max_attempts": 3,
    "reason": None,
    "error": None,
    "items_in": 0,
    "items_out": 120,
}
JOB: Example = {
    "id": "prices-daily",
    "pipeline": "prices",
    "spec": {"daily": "09:30"},
    "timezone": "Europe/Stockholm",
    "words": "daily at 09:30",
    "source": "file",
    "state": "active",
    "params": {},
    "next_due_at": "2026-03-03T08:30:00Z",
    "last_due_at": "2026-03-02T08:30:00Z",
    "actor": None,
    "paused_until": None,
    "pause_reason": None,
}
RUN_DETAIL: Example = {
    "run": RUN,
    "attempts": [
        {"number": 1, "state": "succeeded", "started_at": NOON, "ended_at": NOON, "error": None, "reason": None}
    ],
    "stages": [{"position": 0, "name": "prices.Fetch", "items_in": 0, "items_out": 120, "busy_s": 1.5}],
    "progress": None,
    "holder": None,
}
PROCESS: Example = {
    "id": "host-1:7:5f2a9c01",
    "role": "scheduler",
    "state": "working",
    "alive": True,
    "leads": True,
    "host": "host-1",
    "pid": 7,
    "version": "0.1.0",
    "started_at": NOON,
    "beat_at": NOON,
    "silent_s": 1.2,
    "slots": 4,
    "running": 1,
    "queues": ["default", "gpu"],
    "web": "http://host-1:8080",
}
QUEUE: Example = {
    "name": "gpu",
    "waiting": 3,
    "waiting_since": NOON,
    "lag_s": 12.5,
    "running": 1,
    "servers": ["host-1:7:5f2a9c01"],
}
RUNS: Example = {"runs": [RUN], "next": "/api/runs?limit=1&before=42"}
PIPELINE: Example = {
    "name": "prices",
    "description": "Prices of the day",
    "enabled": True,
    "failing": False,
    "running": [],
    "queued": 0,
    "next_due_at": "2026-03-03T08:30:00Z",
    "last": RUN,
    "schedules": [JOB],
}
LINE: Example = {"seq": 1, "at": NOON, "level": 20, "source": "prices.Fetch", "text": "120 prices"}
AUDIT: Example = {
    "id": 7,
    "at": NOON,
    "actor": "ci",
    "actor_id": "token:ci",
    "door": "api",
    "verb": "run",
    "target": "prices",
    "allowed": True,
    "missing": None,
    "detail": {"params": {"days": 7}},
    "run_id": 42,
}
PREVIEW: Example = {
    "words": "at 09:00 on Monday to Friday",
    "spec": {"cron": "0 9 * * 1-5"},
    "next": ["2026-03-03T09:00:00Z", "2026-03-04T09:00:00Z", "2026-03-05T09:00:00Z"],
    "cautions": [],
}
INCIDENT: Example = {
    "id": 3,
    "pipeline": "prices",
    "kind": "failure",
    "opened_at": NOON,
    "last_at": NOON,
    "first_run_id": 40,
    "last_run_id": 42,
    "count": 3,
    "summary": "TimeoutError: no answer within 30 s",
    "acknowledged_by": None,
}
QUESTION: Example = {
    "id": 5,
    "schedule_id": "prices-daily",
    "pipeline": "prices",
    "instants": ["2026-03-01T08:30:00Z", "2026-03-02T08:30:00Z"],
    "asked_at": NOON,
    "expires_at": "2026-03-03T12:00:00Z",
    "choice": None,
    "decided_by": None,
    "decided_at": None,
}
SCHEDULER: Example = {
    "version": "1.0.0",
    "pid": 4242,
    "host": "box",
    "since": NOON,
    "web": "http://127.0.0.1:8080",
    "timezone": "Europe/Stockholm",
    "pipelines": 12,
    "schedules": 20,
    "slots": 10,
    "running": 1,
    "reload": {"problem": None, "last": "+1 pipeline", "last_at": NOON},
}
