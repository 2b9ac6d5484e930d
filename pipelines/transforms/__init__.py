"""The built-in stages, by name. Each is imported from its module when first asked for, never before.

A worker process that runs one chain needs one or two of them; importing every library behind all of them would cost
it most of its start. A new stage is one class in one module of this folder and one line in each list below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.transforms.feed import Feed
    from pipelines.transforms.file_sink import FileSink
    from pipelines.transforms.files import Csv, JsonLines
    from pipelines.transforms.html import HtmlSelect
    from pipelines.transforms.http import HttpFetch, Webhook
    from pipelines.transforms.log import Log
    from pipelines.transforms.memory import Diff, OnlyNew
    from pipelines.transforms.sql import SqlQuery, SqlSink
    from pipelines.transforms.steps import Batch, Filter, Limit, Select, Sort, Template

__all__ = [
    "NAMES",
    "Batch",
    "Csv",
    "Diff",
    "Feed",
    "FileSink",
    "Filter",
    "HtmlSelect",
    "HttpFetch",
    "JsonLines",
    "Limit",
    "Log",
    "OnlyNew",
    "Select",
    "Sort",
    "SqlQuery",
    "SqlSink",
    "Template",
    "Webhook",
]

NAMES = {
    "Batch": "pipelines.transforms.steps",
    "Csv": "pipelines.transforms.files",
    "Diff": "pipelines.transforms.memory",
    "Feed": "pipelines.transforms.feed",
    "FileSink": "pipelines.transforms.file_sink",
    "Filter": "pipelines.transforms.steps",
    "HtmlSelect": "pipelines.transforms.html",
    "HttpFetch": "pipelines.transforms.http",
    "JsonLines": "pipelines.transforms.files",
    "Limit": "pipelines.transforms.steps",
    "Log": "pipelines.transforms.log",
    "OnlyNew": "pipelines.transforms.memory",
    "Select": "pipelines.transforms.steps",
    "Sort": "pipelines.transforms.steps",
    "SqlQuery": "pipelines.transforms.sql",
    "SqlSink": "pipelines.transforms.sql",
    "Template": "pipelines.transforms.steps",
    "Webhook": "pipelines.transforms.http",
}
"""Every built-in stage and the module it lives in, in the order of their names."""


def __getattr__(name: str) -> Any:
    """Import the module of a built-in stage and return the class (PEP 562); later look-ups do not come here."""
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    stage = getattr(importlib.import_module(NAMES[name]), name)
    globals()[name] = stage
    return stage


def __dir__() -> list[str]:
    """List the stages whether or not they were imported."""
    return sorted({*globals(), *NAMES})
