"""Frozen values that cross the borders between modules: runs, attempts, counts, messages, occurrences.

All datetimes are aware and UTC. Plain floats that are durations end in `_s` (seconds). Nothing here does I/O.
"""

from __future__ import annotations

from pipelines.model.base import JSON, Params, utcnow
from pipelines.model.incidents import Incident, IncidentKind, Mute
from pipelines.model.jobs import CollectionChange, ExecutorKind, Job, Message, Outcome, StageSpec, StateChange
from pipelines.model.machines import Lease, Machines, Queue
from pipelines.model.people import Actor, Asked, AuditEntry, Role, Verb
from pipelines.model.processes import Process, ProcessName, ProcessRole, ProcessState
from pipelines.model.questions import MakeUp, Question
from pipelines.model.runs import (
    DEFAULT_QUEUE,
    LIVE_STATES,
    RETRYABLE_STATES,
    Attempt,
    LogLine,
    NewRun,
    PipelineStats,
    Run,
    RunError,
    RunState,
    StageCount,
    StartedBy,
)
from pipelines.model.schedules import Occurrence, OccurrenceOutcome, Overlap, ScheduleRow, ScheduleState

__all__ = [
    "DEFAULT_QUEUE",
    "JSON",
    "LIVE_STATES",
    "RETRYABLE_STATES",
    "Actor",
    "Asked",
    "Attempt",
    "AuditEntry",
    "CollectionChange",
    "ExecutorKind",
    "Incident",
    "IncidentKind",
    "Job",
    "Lease",
    "LogLine",
    "Machines",
    "MakeUp",
    "Message",
    "Mute",
    "NewRun",
    "Occurrence",
    "OccurrenceOutcome",
    "Outcome",
    "Overlap",
    "Params",
    "PipelineStats",
    "Process",
    "ProcessName",
    "ProcessRole",
    "ProcessState",
    "Question",
    "Queue",
    "Role",
    "Run",
    "RunError",
    "RunState",
    "ScheduleRow",
    "ScheduleState",
    "StageCount",
    "StageSpec",
    "StartedBy",
    "StateChange",
    "Verb",
    "utcnow",
]
