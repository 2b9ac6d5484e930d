"""What every value is made of: JSON, parameters, and the clock that all of them are timed by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
"""What YAML, the store and the worker processes have in common."""

Params: TypeAlias = Mapping[str, Any]


def utcnow() -> datetime:
    """Return the wall clock's time now, aware, in UTC."""
    return datetime.now(UTC)
