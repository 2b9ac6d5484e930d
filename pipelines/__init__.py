"""Pipecall's engine: pipelines in YAML, run on schedule, each run recorded. This is its front door.

Names are looked up in their modules when first asked for, so that a worker process or a plugin which needs `Transform`
alone does not pay for the scheduler and the database. Modules of the engine import each other directly, never from
here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.catalog import Catalog
    from pipelines.channels import (
        Banned,
        Channel,
        DeliveryFault,
        Forbidden,
        Gone,
        Rejected,
        Slow,
        TooBig,
        Unauthorised,
        Unsure,
        Wait,
    )
    from pipelines.definition import PipelineDefinition
    from pipelines.delivery import Delivery
    from pipelines.engine import Engine
    from pipelines.errors import (
        AlreadyAsked,
        BadParameter,
        BadSchedule,
        ConfigError,
        Denied,
        InvalidTransition,
        NotAllowed,
        PipecallError,
        RetryLater,
        Skip,
        StoreError,
        UnknownName,
    )
    from pipelines.face_definition import AlertKind
    from pipelines.model import (
        Actor,
        Asked,
        Attempt,
        AuditEntry,
        Incident,
        LogLine,
        MakeUp,
        Message,
        Occurrence,
        OccurrenceOutcome,
        PipelineStats,
        Question,
        Run,
        RunError,
        RunState,
        ScheduleRow,
        ScheduleState,
        StageCount,
        StartedBy,
        Verb,
    )
    from pipelines.overview import JobView, Overview, PipelineView
    from pipelines.parameters import Parameter, check_for, parse_text
    from pipelines.phrases import Understood, cautions, examples, next_fires, understand
    from pipelines.policy import Decision, Policy, Role
    from pipelines.reads import Reads
    from pipelines.redaction import Redactor
    from pipelines.registry import Registry
    from pipelines.runner import LiveRun
    from pipelines.service import load_catalog
    from pipelines.settings import Settings, read_settings
    from pipelines.store.cards import Card, CardEnd, Cards, Wish
    from pipelines.store.deliveries import Parcel
    from pipelines.store.notes import Notes
    from pipelines.store.outbox import Post
    from pipelines.transform import Fetcher, RunContext, Sink, Transform, current_run
    from pipelines.transforms.values import Placeholders, getter, readable
    from pipelines.triggers import Trigger, check_zone
    from pipelines.triggers.zones import zone_names
    from pipelines.verbs import Verbs

_HOMES = {
    "Actor": "model",
    "AlertKind": "face_definition",
    "AlreadyAsked": "errors",
    "Asked": "model",
    "Attempt": "model",
    "AuditEntry": "model",
    "BadParameter": "errors",
    "BadSchedule": "errors",
    "Banned": "channels",
    "Card": "store.cards",
    "CardEnd": "store.cards",
    "Cards": "store.cards",
    "Catalog": "catalog",
    "Channel": "channels",
    "ConfigError": "errors",
    "Decision": "policy",
    "Delivery": "delivery",
    "DeliveryFault": "channels",
    "Denied": "errors",
    "Fetcher": "transform",
    "Forbidden": "channels",
    "Gone": "channels",
    "Incident": "model",
    "InvalidTransition": "errors",
    "JobView": "overview",
    "LiveRun": "runner",
    "LogLine": "model",
    "MakeUp": "model",
    "Message": "model",
    "NotAllowed": "errors",
    "Notes": "store.notes",
    "Occurrence": "model",
    "OccurrenceOutcome": "model",
    "Overview": "overview",
    "Parameter": "parameters",
    "Parcel": "store.deliveries",
    "PipecallError": "errors",
    "PipelineDefinition": "definition",
    "Engine": "engine",
    "PipelineStats": "model",
    "PipelineView": "overview",
    "Placeholders": "transforms.values",
    "Policy": "policy",
    "Post": "store.outbox",
    "Question": "model",
    "Reads": "reads",
    "Redactor": "redaction",
    "Registry": "registry",
    "Rejected": "channels",
    "RetryLater": "errors",
    "Role": "policy",
    "Run": "model",
    "RunContext": "transform",
    "RunError": "model",
    "RunState": "model",
    "ScheduleRow": "model",
    "ScheduleState": "model",
    "Settings": "settings",
    "Sink": "transform",
    "Skip": "errors",
    "Slow": "channels",
    "StageCount": "model",
    "StartedBy": "model",
    "StoreError": "errors",
    "TooBig": "channels",
    "Transform": "transform",
    "Trigger": "triggers",
    "Unauthorised": "channels",
    "Understood": "phrases",
    "UnknownName": "errors",
    "Unsure": "channels",
    "Verb": "model",
    "Verbs": "verbs",
    "Wait": "channels",
    "Wish": "store.cards",
    "cautions": "phrases",
    "check_for": "parameters",
    "check_zone": "triggers",
    "current_run": "transform",
    "examples": "phrases",
    "getter": "transforms.values",
    "load_catalog": "service",
    "next_fires": "phrases",
    "parse_text": "parameters",
    "read_settings": "settings",
    "readable": "transforms.values",
    "understand": "phrases",
    "zone_names": "triggers.zones",
}

__all__ = [
    "Actor",
    "AlertKind",
    "AlreadyAsked",
    "Asked",
    "Attempt",
    "AuditEntry",
    "BadParameter",
    "BadSchedule",
    "Banned",
    "Card",
    "CardEnd",
    "Cards",
    "Catalog",
    "Channel",
    "ConfigError",
    "Decision",
    "Delivery",
    "DeliveryFault",
    "Denied",
    "Engine",
    "Fetcher",
    "Forbidden",
    "Gone",
    "Incident",
    "InvalidTransition",
    "JobView",
    "LiveRun",
    "LogLine",
    "MakeUp",
    "Message",
    "NotAllowed",
    "Notes",
    "Occurrence",
    "OccurrenceOutcome",
    "Overview",
    "Parameter",
    "Parcel",
    "PipecallError",
    "PipelineDefinition",
    "PipelineStats",
    "PipelineView",
    "Placeholders",
    "Policy",
    "Post",
    "Question",
    "Reads",
    "Redactor",
    "Registry",
    "Rejected",
    "RetryLater",
    "Role",
    "Run",
    "RunContext",
    "RunError",
    "RunState",
    "ScheduleRow",
    "ScheduleState",
    "Settings",
    "Sink",
    "Skip",
    "Slow",
    "StageCount",
    "StartedBy",
    "StoreError",
    "TooBig",
    "Transform",
    "Trigger",
    "Unauthorised",
    "Understood",
    "UnknownName",
    "Unsure",
    "Verb",
    "Verbs",
    "Wait",
    "Wish",
    "cautions",
    "check_for",
    "check_zone",
    "current_run",
    "examples",
    "getter",
    "load_catalog",
    "next_fires",
    "parse_text",
    "read_settings",
    "readable",
    "understand",
    "zone_names",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
