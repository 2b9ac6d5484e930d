"""The one place where the terminal imports late: a command when it is asked for, the engine when it is to work.

Help and completion need neither, and importing all of the engine takes longer than either may.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from pipelines.collector import collector_off


def late(name: str) -> Any:
    """Import and return what `package.module:name` names."""
    with collector_off(keep=True):
        return resolve_name(name)
