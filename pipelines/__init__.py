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
    from pipelines.errors import BadSchedule, ConfigError, PipecallError, RetryLater, Skip, UnknownName
    from pipelines.model import Attempt, LogLine, Message, Run, RunState, StageCount
    from pipelines.scheduler import PipelineScheduler
    from pipelines.settings import Settings, read_settings
    from pipelines.transform import Fetcher, RunContext, Sink, Transform, current_run

_HOMES = {
    "Attempt": "model",
    "BadSchedule": "errors",
    "Catalog": "catalog",
    "ConfigError": "errors",
    "Fetcher": "transform",
    "LogLine": "model",
    "Message": "model",
    "PipecallError": "errors",
    "PipelineScheduler": "scheduler",
    "RetryLater": "errors",
    "Run": "model",
    "RunContext": "transform",
    "RunState": "model",
    "Settings": "settings",
    "Sink": "transform",
    "Skip": "errors",
    "StageCount": "model",
    "Transform": "transform",
    "UnknownName": "errors",
    "current_run": "transform",
    "read_settings": "settings",
}

__all__ = [
    "Attempt",
    "BadSchedule",
    "Catalog",
    "ConfigError",
    "Fetcher",
    "LogLine",
    "Message",
    "PipecallError",
    "PipelineScheduler",
    "RetryLater",
    "Run",
    "RunContext",
    "RunState",
    "Settings",
    "Sink",
    "Skip",
    "StageCount",
    "Transform",
    "UnknownName",
    "current_run",
    "read_settings",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
