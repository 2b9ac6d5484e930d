"""Parameters that a pipeline declares, and the values that people and schedules give for them.

This is the front door of the package; its modules import each other, never this. How values become those of a run, with
`${NAME}` filled in, is the definition's business.
"""

from __future__ import annotations

from pipelines.parameters.declarations import Declarations, declared, defaults, read
from pipelines.parameters.given import check, check_for, complete, faults, parse_text
from pipelines.parameters.parameter import TYPES, Parameter

__all__ = [
    "TYPES",
    "Declarations",
    "Parameter",
    "check",
    "check_for",
    "complete",
    "declared",
    "defaults",
    "faults",
    "parse_text",
    "read",
]
